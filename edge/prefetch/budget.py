"""What prefetches may take: a rate on average by the hour of the day, and so much a day.

The rate is a token bucket. Bytes are charged as they arrive, so the level may sink a little below
zero; nothing is started or resumed until it has risen to a quarter of the burst again. Over any
time t no more arrives than burst + rate * t plus what was on its way when the bucket ran dry.
"""

from __future__ import annotations

from typing import Final

from edge.prefetch.hours import Hours
from nearcast.units import bytes_per_s_from_kbps

RESUME_SHARE: Final = 0.25
"""Of the burst: without it a fill would be paused and resumed for every chunk."""


class Budget:
    """Bytes that may still be prefetched."""

    def __init__(
        self,
        rate_kbps: float,
        burst_s: float,
        *,
        hours: Hours | None = None,
        bytes_per_day: int | None = None,
    ) -> None:
        self._rate_bytes_per_s = bytes_per_s_from_kbps(rate_kbps)
        self._burst_bytes = self._rate_bytes_per_s * burst_s
        self._level_bytes = self._burst_bytes
        self._at_s = 0.0
        self._is_dry = False
        self._hours = hours
        self._bytes_per_day = bytes_per_day
        self._day_no = hours.day_no(0.0) if hours is not None else 0
        self._day_bytes = 0

    def charge(self, size_bytes: int, now_s: float) -> None:
        self._fill_up(now_s)
        self._level_bytes -= size_bytes
        self._day_bytes += size_bytes
        if self._level_bytes <= 0:
            self._is_dry = True

    def is_dry(self, now_s: float) -> bool:
        """Whether prefetching has to wait."""
        self._fill_up(now_s)
        if self._is_dry and self._level_bytes >= RESUME_SHARE * self._burst_bytes:
            self._is_dry = False
        return self._is_dry or self._is_closed(now_s) or self._is_spent()

    def ready_s(self, now_s: float) -> float:
        """When `is_dry` may be false; the soonest of what keeps it from that."""
        self._fill_up(now_s)
        if self._hours is not None and self._is_spent():
            return self._hours.midnight_s(now_s)
        if self._hours is not None and self._is_closed(now_s):
            return self._hours.change_s(now_s)
        missing_bytes = RESUME_SHARE * self._burst_bytes - self._level_bytes
        rate_bytes_per_s = self._rate_bytes_per_s * self._factor(now_s)
        # The ten thousandth on top keeps rounding from making a wake-up come a moment early.
        ready_s = now_s + max(missing_bytes, 0.0) / rate_bytes_per_s * 1.0001
        # Another tariff may fill it faster, or not at all.
        return ready_s if self._hours is None else min(ready_s, self._hours.change_s(now_s))

    def describe(self, now_s: float) -> str:
        """In words, for whoever asks why something waits."""
        if self.is_dry(now_s):
            if self._is_spent():
                return f"the day's {self._bytes_per_day} bytes are spent"
            if self._is_closed(now_s):
                return "nothing is prefetched at this hour"
            return f"dry, for {self.ready_s(now_s) - now_s:.1f} s"
        return f"{max(self._level_bytes, 0.0) / self._burst_bytes:.0%} of the burst is left"

    def _is_closed(self, now_s: float) -> bool:
        return self._factor(now_s) == 0

    def _is_spent(self) -> bool:
        return self._bytes_per_day is not None and self._day_bytes >= self._bytes_per_day

    def _factor(self, now_s: float) -> float:
        return 1.0 if self._hours is None else self._hours.tariff(now_s).rate_factor

    def _fill_up(self, now_s: float) -> None:
        # By the tariff at the end of the time: it is looked at at every boundary while anything
        # runs, and a bucket holds no more than its burst anyway.
        rate_bytes_per_s = self._rate_bytes_per_s * self._factor(now_s)
        gained_bytes = max(now_s - self._at_s, 0.0) * rate_bytes_per_s
        self._level_bytes = min(self._level_bytes + gained_bytes, self._burst_bytes)
        self._at_s = max(now_s, self._at_s)
        # Greater: a midnight at which clocks are put back comes twice, and ends one day.
        if self._hours is not None and self._hours.day_no(now_s) > self._day_no:
            self._day_no = self._hours.day_no(now_s)
            self._day_bytes = 0
