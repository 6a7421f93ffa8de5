"""What may be said of the planner `nearcast`."""

from __future__ import annotations

from typing import Final

import msgspec

from origin.placement.forecast import PARTS
from origin.placement.settings import PlanSettings

EVERY_HOURS: Final = 2


class Options(msgspec.Struct, frozen=True, kw_only=True):
    settings: PlanSettings = PlanSettings()
    """The origin's own, with its own defaults."""
    every_hours: int = EVERY_HOURS
    """Between two plans; what is held already costs a plan nothing, fetching waits for a window."""
    parts: frozenset[str] = PARTS
