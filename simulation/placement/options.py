"""What may be said of the planner `nearcast`."""

from __future__ import annotations

from typing import Final

import msgspec

from origin.placement.forecast import PARTS
from simulation.placement.replay import FillLimits

PINNED_SHARE: Final = 1.0
EVERY_HOURS: Final = 6


class Options(msgspec.Struct, frozen=True, kw_only=True):
    limits: FillLimits = FillLimits()
    every_hours: int = EVERY_HOURS
    """Between two plans; what is held already costs a plan nothing, fetching waits for a window."""
    pinned_share: float = PINNED_SHARE
    parts: frozenset[str] = PARTS
