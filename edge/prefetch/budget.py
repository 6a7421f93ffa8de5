"""The rate that prefetches may take on average: a token bucket.

Bytes are charged as they arrive, so the level may sink a little below zero; nothing is started or
resumed until it has risen to a quarter of the burst again. Over any time t no more arrives than
burst + rate * t plus what was on its way when the bucket ran dry.
"""

from __future__ import annotations

from typing import Final

from nearcast.units import bytes_per_s_from_kbps

RESUME_SHARE: Final = 0.25
"""Of the burst: without it a fill would be paused and resumed for every chunk."""


class Budget:
    """Bytes that may still be prefetched."""

    def __init__(self, rate_kbps: float, burst_s: float) -> None:
        self._rate_bytes_per_s = bytes_per_s_from_kbps(rate_kbps)
        self._burst_bytes = self._rate_bytes_per_s * burst_s
        self._level_bytes = self._burst_bytes
        self._at_s = 0.0
        self._is_dry = False

    def charge(self, size_bytes: int, now_s: float) -> None:
        self._fill_up(now_s)
        self._level_bytes -= size_bytes
        if self._level_bytes <= 0:
            self._is_dry = True

    def is_dry(self, now_s: float) -> bool:
        """Whether prefetching has to wait."""
        self._fill_up(now_s)
        if self._is_dry and self._level_bytes >= RESUME_SHARE * self._burst_bytes:
            self._is_dry = False
        return self._is_dry

    def ready_s(self, now_s: float) -> float:
        """When `is_dry` will be false."""
        self._fill_up(now_s)
        missing_bytes = RESUME_SHARE * self._burst_bytes - self._level_bytes
        # The ten thousandth on top keeps rounding from making a wake-up come a moment early.
        return now_s + max(missing_bytes, 0.0) / self._rate_bytes_per_s * 1.0001

    def _fill_up(self, now_s: float) -> None:
        gained_bytes = max(now_s - self._at_s, 0.0) * self._rate_bytes_per_s
        self._level_bytes = min(self._level_bytes + gained_bytes, self._burst_bytes)
        self._at_s = max(now_s, self._at_s)
