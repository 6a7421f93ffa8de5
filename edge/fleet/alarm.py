"""When to look again, if nothing happens before."""

from __future__ import annotations

from typing import Final

NEVER_S: Final = float("inf")
HAIR_S: Final = 1e-3
"""Rounding must not wake us a moment before it is so."""


class Alarm:
    """The soonest of what was asked for since it was cleared."""

    def __init__(self) -> None:
        self.due_s = NEVER_S

    def clear(self) -> None:
        self.due_s = NEVER_S

    def at(self, at_s: float) -> None:
        self.due_s = min(self.due_s, at_s)

    def at_wall(self, at_wall_s: float | None, now_s: float, wall_s: float) -> None:
        """At a wall time; None: not for this."""
        if at_wall_s is not None:
            self.at(now_s + max(at_wall_s - wall_s, 0.0) + HAIR_S)
