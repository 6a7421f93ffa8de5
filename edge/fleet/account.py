"""What a plan has cost, written down before it is spent: a node that is killed spends none twice.

The kept sum is always ahead of what may be on its way. It is raised in steps of some seconds of the
plan's rate, each asked for while half of the one before is left, so that fetching seldom waits for
the disk. A node that ends in order writes down what was spent indeed; one that is killed has lost
what it had kept ahead, a step at most. While nothing can be written, nothing is fetched.
"""

from __future__ import annotations

from typing import Final

from edge.fleet.orders import KeepSpent, SpentKept
from nearcast.placement import EdgePlan
from nearcast.units import bytes_per_s_from_kbps

AHEAD_S: Final = 4.0
"""Of the plan's rate: one write in two seconds while it is used up."""
AHEAD_BYTES_MIN: Final = 256 * 1024
RETRY_S: Final = 10.0
"""After it could not be written."""


class Account:
    """Of one plan. `kept_bytes` is what a restart takes for spent."""

    def __init__(self) -> None:
        self.kept_bytes = 0
        self._plan_id = ""
        self._bytes_max = 0
        self._step_bytes = 0
        self._wanted_bytes: int | None = None
        self._asked_bytes: int | None = None
        self._rests_until_s = 0.0

    def follow(self, plan: EdgePlan, spent_bytes: int) -> None:
        """Keep that of this plan from now on."""
        self.kept_bytes = spent_bytes
        self._plan_id = plan.plan_id
        self._bytes_max = plan.fill_bytes_max
        ahead_bytes = int(bytes_per_s_from_kbps(plan.fill_kbps_max) * AHEAD_S)
        self._step_bytes = max(ahead_bytes, AHEAD_BYTES_MIN)
        self._wanted_bytes = self._asked_bytes = None

    def room_bytes(self, taken_bytes: int) -> int:
        """What may come beyond this by what was written down; wants more written while that is
        little."""
        room_bytes = self.kept_bytes - taken_bytes
        if room_bytes < self._step_bytes // 2 and self._asked_bytes is None:
            ahead_bytes = min(taken_bytes + self._step_bytes, self._bytes_max)
            self._wanted_bytes = ahead_bytes if ahead_bytes > self.kept_bytes else None
        return max(room_bytes, 0)

    def take_wanted(self, now_s: float) -> KeepSpent | None:
        """What is to be written down now; `SpentKept` is waited for then."""
        if self._wanted_bytes is None or now_s < self._rests_until_s:
            return None
        self._asked_bytes, self._wanted_bytes = self._wanted_bytes, None
        return KeepSpent(plan_id=self._plan_id, spent_bytes=self._asked_bytes)

    def kept(self, event: SpentKept, now_s: float) -> None:
        """It was written, or could not be."""
        if (event.plan_id, event.spent_bytes) != (self._plan_id, self._asked_bytes):
            return  # of a plan before, or asked for before this plan was followed anew
        self._asked_bytes = None
        if event.is_kept:
            self.kept_bytes = event.spent_bytes
        else:
            self._wanted_bytes = event.spent_bytes
            self._rests_until_s = now_s + RETRY_S

    def last(self, taken_bytes: int) -> KeepSpent | None:
        """What is to be written down at the end, where it is not: no more than was spent."""
        if not self._plan_id or (self.kept_bytes == taken_bytes and self._asked_bytes is None):
            return None
        return KeepSpent(plan_id=self._plan_id, spent_bytes=taken_bytes)

    @property
    def due_s(self) -> float | None:
        """When `take_wanted` is worth asking again by time alone."""
        return self._rests_until_s if self._wanted_bytes is not None else None
