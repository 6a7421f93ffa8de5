"""What a plan should name though it may not fetch it: a place reserved, for viewers to fill.

A byte that is held saves what is asked of it. One that is only *reserved* is not there when it is
first asked for: the viewer pulls it, and from then on it stays. Over a life of `days` its saving is
less by the one miss, if there is one. So something reserved must be wanted clearly more often than
what it displaces, and the more so the more rarely both are asked for.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from origin.placement.demand import Floats

RESERVED_DAYS: Final = 3.0
"""For which a density is taken to last. 2 to 5 do alike on the public log."""


def reserved_density(density_per_day: Floats, days: float = RESERVED_DAYS) -> Floats:
    """What a reserved byte saves a day, where a held one saves `density_per_day`."""
    missed: Floats = -np.expm1(-density_per_day * days) / days
    return np.maximum(0.0, density_per_day - missed)
