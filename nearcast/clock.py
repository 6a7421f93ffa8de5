"""The only module outside `drivers/` that reads a clock.

`now_s` is monotonic and what machines are given. `wall_s` (seconds since the Unix epoch, UTC) is
needed where HTTP speaks of dates: it is the monotonic clock plus an offset taken once, so that a
clock step never makes an age negative. For what another machine is told, that will not do: a node
may start before its clock was set, and a machine asleep loses time. `system_wall_s` looks anew.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Time for a driver; `epoch_s` is the wall time at `now_s() == 0`."""

    epoch_s: float

    def now_s(self) -> float: ...

    def system_wall_s(self) -> float:
        """What the machine's calendar says at this moment; it may step."""


class SystemClock:
    """The machine's monotonic clock."""

    def __init__(self) -> None:
        self.epoch_s = time.time() - time.monotonic()

    now_s = staticmethod(time.monotonic)
    system_wall_s = staticmethod(time.time)


class VirtualClock:
    """Time that moves only when told to. `epoch_s` defaults to a fixed date so that runs repeat."""

    def __init__(self, *, epoch_s: float = 1_767_225_600.0) -> None:  # 2026-01-01T00:00:00Z
        self.epoch_s = epoch_s
        self.stepped_s = 0.0
        """By how much the calendar was set since."""
        self._now_s = 0.0

    def now_s(self) -> float:
        return self._now_s

    def system_wall_s(self) -> float:
        return self.epoch_s + self.stepped_s + self._now_s

    def move_to(self, now_s: float) -> None:
        assert now_s >= self._now_s, "virtual time never goes back"
        self._now_s = now_s
