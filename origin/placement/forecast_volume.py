"""How much an edge views in a day, also one of which little is known yet.

An edge that has just joined reports nothing, and would be planned nothing: its first evening would
be all misses. So it is taken for a median edge of those that were viewed at, and that guess fades
with its age, whatever it reports: after a day it is a third, after three nothing. What it did
report is set against the hours it could have reported in, not against those of the fleet.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from origin.placement.demand import Floats
from origin.placement.forecast_fading import Singles

HOURS_PER_DAY: Final = 24.0
GUESS_DAYS: Final = 1.0
"""In which the guess falls to a third: evenings and nights are seen once by then."""
GUESS_SHARE_MIN: Final = 0.05
"""Then an edge is taken at its word: one at which nobody views is planned nothing."""


def guess_share(age_hours: Floats) -> Floats:
    """(edge,): how much of an edge's volume is that of others."""
    share: Floats = np.exp(-np.maximum(0.0, age_hours) / (HOURS_PER_DAY * GUESS_DAYS))
    share[share < GUESS_SHARE_MIN] = 0.0
    return share


def volumes(seen: Singles, age_hours: Floats, fade_days: float) -> Singles:
    """(edge,): viewings a day. `seen`: viewings counted so far, fading over `fade_days`."""
    hours = np.maximum(1.0, age_hours)
    days = fade_days * (1.0 - np.exp(-hours / (HOURS_PER_DAY * fade_days)))
    own = seen / days
    viewed = own[seen > 0]
    usual = float(np.median(viewed)) if len(viewed) else 0.0
    share = guess_share(age_hours)
    volume: Singles = (share * usual + (1.0 - share) * own).astype(np.float32)
    return volume
