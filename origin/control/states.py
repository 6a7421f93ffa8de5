"""What became of each edge lately, and why, for those who look at it later."""

from __future__ import annotations

from collections import deque
from typing import Final

from origin.control.api import StateChange
from origin.fleet.events import EdgeStateChanged

CHANGES_MAX: Final = 50
"""Of an edge: a thousand of them take 10 MB at most."""


class StateHistory:
    """Bounded by the number of edges: forget those that leave."""

    def __init__(self) -> None:
        self._edges: dict[str, deque[StateChange]] = {}

    def take(self, change: EdgeStateChanged, wall_s: float) -> None:
        known = self._edges.setdefault(change.edge, deque(maxlen=CHANGES_MAX))
        known.append(
            StateChange(
                wall_s=wall_s, before=change.before, after=change.after, reason=change.reason
            )
        )

    def forget(self, edge: str) -> None:
        self._edges.pop(edge, None)

    def of(self, edge: str) -> tuple[StateChange, ...]:
        """Oldest first."""
        return tuple(self._edges.get(edge, ()))
