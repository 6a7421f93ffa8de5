"""Deadlines of many connections on one timer of the loop.

Each connection carries its deadline as a plain number that it may change at any time for the price
of an assignment. It lies in the bucket of some tick no later than that; when the tick comes, it has
either expired or is put into the bucket of its deadline of then. So a deadline that only ever moves
on, as that of a busy keep-alive connection does, costs one look in a long while.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Final, Protocol

TICK_S: Final = 0.05
NEVER: Final = 1 << 62
NO_DEADLINE_S: Final = float("inf")


class Timed(Protocol):
    """Something with a deadline. `tick` is the wheel's own; begin with NEVER."""

    due_s: float
    tick: int

    def expire(self, now_s: float) -> None:
        """The deadline has passed, and there is none now. Set another if there is to be one."""


class TimerWheel:
    """Calls `expire` at most a tick and a bit late. Make it inside the running loop."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._loop = asyncio.get_running_loop()
        self._buckets: dict[int, set[Timed]] = {}
        self._ticks: list[int] = []  # a heap of the buckets' ticks
        self._timer: asyncio.TimerHandle | None = None
        self._timer_tick = NEVER
        self._tick = 0
        """The last one that has come."""

    def watch(self, one: Timed) -> None:
        """Call after `due_s` was set to something earlier; later ones are seen by themselves."""
        if one.due_s == NO_DEADLINE_S:
            return
        # What is due already waits for the next tick: the one under way is being emptied.
        tick = max(int(one.due_s / TICK_S), self._tick) + 1
        if tick >= one.tick:
            return
        self.forget(one)
        one.tick = tick
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = set()
            heapq.heappush(self._ticks, tick)
            self._arm()
        bucket.add(one)

    def forget(self, one: Timed) -> None:
        if one.tick != NEVER:
            self._buckets[one.tick].discard(one)
            one.tick = NEVER

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        tick = self._ticks[0] if self._ticks else NEVER
        if tick >= self._timer_tick:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_tick = tick
        delay_s = max(0.0, tick * TICK_S - self._now_s())
        self._timer = self._loop.call_later(delay_s, self._turn)

    def _turn(self) -> None:
        self._timer = None
        self._timer_tick = NEVER
        now_s = self._now_s()
        while self._ticks and self._ticks[0] * TICK_S <= now_s:
            # The bucket stays in its place meanwhile: who expires may have others forgotten.
            self._tick = tick = self._ticks[0]
            bucket = self._buckets[tick]
            while bucket:
                one = bucket.pop()
                one.tick = NEVER
                if one.due_s <= now_s:
                    one.due_s = NO_DEADLINE_S
                    one.expire(now_s)
                self.watch(one)
            heapq.heappop(self._ticks)
            del self._buckets[tick]
        self._arm()
