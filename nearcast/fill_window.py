"""When, how fast and how much an edge may fetch for its placement plan.

Whoever fetches asks before every read, and says afterwards what came:

    grant = clock.take(65_536, now_wall_s)       # None: not now; ask again at clock.next_s(...)
    ...read at most grant.size_bytes, and give the read up at grant.until_wall_s...
    clock.settle(grant, arrived_bytes, now_wall_s)

A bucket fills at the plan's rate while a window is open, from empty at the window's start, and
holds one second's worth less what was granted and has not come yet. So the bytes that arrive in a
window never pass its rate times the time since it opened, those of any interval pass it by at most
one second's worth, and all of them together never pass the plan's bytes, whatever the links do.
Several reads may be open at once. What the network delivers into the socket's buffers before it is
read is not seen here; it is bounded by those buffers.
"""

from __future__ import annotations

from typing import Final

import msgspec

from nearcast.placement import EdgePlan, FillWindow
from nearcast.units import bytes_per_s_from_kbps

BURST_S: Final = 1.0
GRANT_BYTES_MIN: Final = 16_384
"""Nobody is sent off with less, unless the rate or what is left of the plan is less: a read has a
cost of its own."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Leave to read so many bytes before that time; goes back through `settle`, used or not."""

    plan_id: str
    size_bytes: int
    until_wall_s: float
    """The window closes: a read that still waits is given up."""
    window_from_wall_s: float


class FillClock:
    """Holds an edge's planned fetching to the windows, the rate and the bytes of its plan."""

    def __init__(self) -> None:
        self._plan: EdgePlan | None = None
        self._windows: tuple[FillWindow, ...] = ()
        self._spent_bytes = 0
        self._open_bytes = 0  # granted, not settled
        self._level_bytes = 0.0
        self._at_wall_s = 0.0

    @property
    def plan_id(self) -> str:
        """Of the plan that is followed; empty: none."""
        return self._plan.plan_id if self._plan is not None else ""

    @property
    def spent_bytes(self) -> int:
        """What came for this plan."""
        return self._spent_bytes

    @property
    def taken_bytes(self) -> int:
        """What came for this plan or may be on its way. Have it written down before it is, so that
        a restart does not spend it twice."""
        return self._spent_bytes + self._open_bytes

    @property
    def left_bytes(self) -> int:
        """What may still be taken of this plan's bytes."""
        if self._plan is None:
            return 0
        return max(0, self._plan.fill_bytes_max - self._spent_bytes - self._open_bytes)

    def follow(self, plan: EdgePlan | None, *, spent_bytes: int = 0) -> None:
        """Go by this plan from now on; `spent_bytes`: what came for it before. The plan that is
        followed already changes nothing. Grants of the plan before may be used up: they count
        against that plan's bytes, and against the rate."""
        if plan is not None and plan.plan_id == self.plan_id:
            return
        self._plan = plan
        self._windows = _within_validity(plan) if plan is not None else ()
        self._spent_bytes = spent_bytes
        self._level_bytes = min(self._level_bytes, self._room_bytes())

    def window(self, now_wall_s: float) -> FillWindow | None:
        """The window that is open now."""
        for window in self._windows:
            if window.from_wall_s <= now_wall_s < window.until_wall_s:
                return window
        return None

    def room_bytes(self, now_wall_s: float) -> int:
        """What the plan's rate brings until the window closes, within its bytes: a file that is
        begun should be no larger."""
        window = self.window(now_wall_s)
        if self._plan is None or window is None:
            return 0
        rate = bytes_per_s_from_kbps(self._plan.fill_kbps_max)
        return min(self.left_bytes, int(rate * (window.until_wall_s - now_wall_s)))

    def take(self, wanted_bytes: int, now_wall_s: float) -> Grant | None:
        """Leave to read up to `wanted_bytes` (> 0), or None while there is none."""
        self._refill(now_wall_s)
        window = self.window(now_wall_s)
        if self._plan is None or window is None:
            return None
        size_bytes = min(wanted_bytes, int(self._level_bytes), self.left_bytes)
        if size_bytes < self._least_bytes(wanted_bytes):
            return None
        self._level_bytes -= size_bytes
        self._open_bytes += size_bytes
        return Grant(
            plan_id=self._plan.plan_id,
            size_bytes=size_bytes,
            until_wall_s=window.until_wall_s,
            window_from_wall_s=window.from_wall_s,
        )

    def settle(self, grant: Grant, arrived_bytes: int, now_wall_s: float) -> None:
        """What came of a grant: nothing if the read failed or was given up."""
        assert 0 <= arrived_bytes <= grant.size_bytes, "more was read than was granted"
        self._refill(now_wall_s)  # before there is more room: what ran over is gone
        self._open_bytes = max(0, self._open_bytes - grant.size_bytes)
        if grant.plan_id == self.plan_id:
            self._spent_bytes += arrived_bytes
        window = self.window(now_wall_s)
        # What another window granted is no use in this one: it began empty.
        if window is not None and window.from_wall_s == grant.window_from_wall_s:
            back_bytes = grant.size_bytes - arrived_bytes
            self._level_bytes = min(self._level_bytes + back_bytes, self._room_bytes())

    def next_s(self, now_wall_s: float, wanted_bytes: int = GRANT_BYTES_MIN) -> float | None:
        """The wall time at which asking again is worth it; None: not by this plan."""
        self._refill(now_wall_s)
        if self._plan is None or self.left_bytes < 1:
            return None
        rate = bytes_per_s_from_kbps(self._plan.fill_kbps_max)
        need_bytes = self._least_bytes(wanted_bytes)
        window = self.window(now_wall_s)
        if window is not None:
            if self._level_bytes >= need_bytes:
                return now_wall_s
            # With reads open the bucket may not fill so far: then look again after that long.
            at_wall_s = now_wall_s + max(need_bytes - self._level_bytes, 1.0) / rate
            if at_wall_s < window.until_wall_s:
                return at_wall_s
        later = [each.from_wall_s for each in self._windows if each.from_wall_s > now_wall_s]
        return min(later) + need_bytes / rate if later else None

    def _refill(self, now_wall_s: float) -> None:
        at_wall_s, self._at_wall_s = self._at_wall_s, now_wall_s
        window = self.window(now_wall_s)
        if window is None or self._plan is None:
            self._level_bytes = 0.0
            return
        if not window.from_wall_s <= at_wall_s < window.until_wall_s:
            at_wall_s = window.from_wall_s
            self._level_bytes = 0.0
        # A clock that was set back gives nothing for the time it lives through again.
        passed_s = max(0.0, now_wall_s - at_wall_s)
        made_bytes = passed_s * bytes_per_s_from_kbps(self._plan.fill_kbps_max)
        self._level_bytes = min(self._level_bytes + made_bytes, self._room_bytes())

    def _room_bytes(self) -> float:
        if self._plan is None:
            return 0.0
        burst_bytes = bytes_per_s_from_kbps(self._plan.fill_kbps_max) * BURST_S
        return max(0.0, max(burst_bytes, 1.0) - self._open_bytes)

    def _least_bytes(self, wanted_bytes: int) -> int:
        assert self._plan is not None
        burst_bytes = bytes_per_s_from_kbps(self._plan.fill_kbps_max) * BURST_S
        return max(1, min(wanted_bytes, GRANT_BYTES_MIN, int(burst_bytes), self.left_bytes))


def _within_validity(plan: EdgePlan) -> tuple[FillWindow, ...]:
    """The windows as far as the plan is valid, in order, without those that are empty. Those that
    touch are one: what was granted in the first may come in the second."""
    found: list[FillWindow] = []
    for window in sorted(plan.windows, key=lambda each: each.from_wall_s):
        from_wall_s = max(window.from_wall_s, plan.valid_from_wall_s)
        until_wall_s = min(window.until_wall_s, plan.valid_until_wall_s)
        if from_wall_s >= until_wall_s:
            continue
        if found and from_wall_s <= found[-1].until_wall_s:
            until_wall_s = max(until_wall_s, found[-1].until_wall_s)
            from_wall_s = found.pop().from_wall_s
        found.append(FillWindow(from_wall_s=from_wall_s, until_wall_s=until_wall_s))
    return tuple(found)
