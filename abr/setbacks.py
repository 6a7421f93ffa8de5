"""What failed of the segment that is due, and what follows for rungs and waiting.

Tries come in rounds. Within a round nobody waits: whatever another host or rung may have is asked
for at once. When nothing is left to ask, the round is over and a wait begins, longer each time. A
segment that is missing (HTTP 404, 410) at every rung, and still is after a wait, is a hole in the
title, which playback can jump over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from abr.config import RetryConfig
from abr.events import ResponseFailed
from abr.hosts import NOT_FOUND, is_of_host
from nearcast.backoff import doubled_s

FAILURES_AT_RUNG_MAX = 2
"""In a row, for whatever reason, before a rung is avoided."""
AVOID_FACTOR = 4.0
STRIKES_MAX = 4
"""A rung that was avoided so often and never brought anything in between is given up for good."""
TRIES_AT_ONCE_MAX = 12
"""In one round, so that a ladder of many rungs on many hosts is no flood of requests."""


class Setbacks:
    """Of one track. `spread` makes waits differ from player to player."""

    def __init__(
        self, retry: RetryConfig, rung_count: int, spread: Callable[[float], float]
    ) -> None:
        self.wait_until_s: float | None = None
        self.round_count = 0
        """Waits since the last segment came."""
        self.try_count = 0
        """Failures since the last segment came."""
        self.detail = ""
        self._retry = retry
        self._rung_count = rung_count
        self._spread = spread
        self._tries_at_once = 0
        self._in_row: tuple[int, int] = (-1, 0)  # rung, failures in a row
        self._missing: set[int] = set()
        self._is_confirmed = False
        """Something was missing after a wait, too."""
        self._avoided_until_s: dict[int, float] = {}
        self._strikes: dict[int, int] = {}
        self._before: tuple[dict[int, float], dict[int, int]] = ({}, {})
        """What was thought of the rungs when this segment became due."""

    @property
    def is_hole(self) -> bool:
        """No rung has this segment, as far as can be told from outside."""
        rungs = range(self._rung_count)
        return self._is_confirmed and all(r in self._missing or self._is_gone(r) for r in rungs)

    def failed(
        self,
        rung: int,
        failure: ResponseFailed,
        now_s: float,
        *,
        has_fresh: Callable[[int], bool],
        not_before_s: float,
    ) -> None:
        """A request at `rung` failed. `has_fresh` says at which rungs some host can be asked now;
        the hosts ask to be left alone until `not_before_s`."""
        self.try_count += 1
        self._tries_at_once += 1
        self.detail = failure.detail
        is_elsewhere = has_fresh(rung)
        if not is_elsewhere:
            self._blame(rung, failure, now_s)
        if self._tries_at_once < TRIES_AT_ONCE_MAX:
            if is_elsewhere:
                return
            rungs = (each for each in range(self._rung_count) if each != rung)
            if any(self.is_allowed(each, now_s) and has_fresh(each) for each in rungs):
                return
        pause_s = doubled_s(self._retry.base_s, self.round_count, self._retry.wait_s_max)
        wait_s = self._spread(pause_s)
        self.wait_until_s = max(now_s + wait_s, not_before_s)
        self.round_count += 1
        self._tries_at_once = 0

    def _blame(self, rung: int, failure: ResponseFailed, now_s: float) -> None:
        """No host has this rung's segment: that, or the rung itself, is at fault."""
        at, count = self._in_row
        self._in_row = (rung, count + 1 if at == rung else 1)
        if failure.status in NOT_FOUND:
            self._is_confirmed = self._is_confirmed or self.round_count > 0
            self._missing.add(rung)
        if is_of_host(failure):
            if self._in_row[1] >= FAILURES_AT_RUNG_MAX:
                self._avoided_until_s[rung] = now_s + self._retry.avoid_s
            return
        is_refused = failure.status is not None and 400 <= failure.status < 500
        strikes = self._before[1].get(rung, 0)
        self._strikes[rung] = strikes + 1
        # An error of the server may pass, and means less than that it does not know the URL.
        weight = AVOID_FACTOR ** (strikes if is_refused else strikes - 1)
        until_s = now_s + self._retry.avoid_s * weight
        self._avoided_until_s[rung] = math.inf if self._is_gone(rung) else until_s

    def _is_gone(self, rung: int) -> bool:
        return self._strikes.get(rung, 0) >= STRIKES_MAX

    def is_waiting(self, now_s: float, tolerance_s: float) -> bool:
        return self.wait_until_s is not None and now_s < self.wait_until_s - tolerance_s

    def is_allowed(self, rung: int, now_s: float) -> bool:
        return self._avoided_until_s.get(rung, now_s) <= now_s

    def nearest_allowed(self, rung: int, having: Sequence[int], now_s: float) -> int:
        """`rung`, or if it is avoided the next lower one that is not, else the next higher; where
        all are, the one least blamed. Only those `having` the segment count."""
        nearest = [each for each in having if each <= rung][::-1]
        nearest += [each for each in having if each > rung]
        allowed = (each for each in nearest if self.is_allowed(each, now_s))

        def blame(each: int) -> tuple[bool, float]:
            return each in self._missing, self._avoided_until_s.get(each, now_s)

        return next(allowed, min(nearest, key=blame))

    def succeeded(self, rung: int) -> None:
        """A segment came, at `rung`."""
        self._avoided_until_s.pop(rung, None)
        self._strikes.pop(rung, None)
        self._start_over()

    def skipped(self) -> None:
        """The segment is a hole: no rung is to blame."""
        self._avoided_until_s, self._strikes = dict(self._before[0]), dict(self._before[1])
        self._start_over()

    def _start_over(self) -> None:
        self.wait_until_s = None
        self.round_count = self.try_count = self._tries_at_once = 0
        self._in_row = (-1, 0)
        self._missing.clear()
        self._is_confirmed = False
        self._before = (dict(self._avoided_until_s), dict(self._strikes))
