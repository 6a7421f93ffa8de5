"""How fast fetches from upstream are, as clients who have to wait for one see it.

Small objects tell how long an answer takes to come, large ones how fast it then flows. Only what
clients asked for is measured: prefetches are paused and resumed.
"""

from __future__ import annotations

from typing import Final

from nearcast.units import bytes_per_s_from_kbps, kbps

SMALL_BYTES_MAX: Final = 16_000
LARGE_BYTES_MIN: Final = 64_000
MEMORY: Final = 20.0
"""Fetches after which an old one has lost most of its weight."""


class Backhaul:
    """Decaying means; None until something was measured."""

    def __init__(self) -> None:
        self.answer_s: float | None = None
        self.rate_kbps: float | None = None
        self._large_count = 0
        self._small_count = 0

    def learn(self, received_bytes: int, took_s: float) -> None:
        """A client's fetch took so long."""
        if took_s <= 0:
            return
        if 0 < received_bytes <= SMALL_BYTES_MAX:
            self._small_count += 1
            self.answer_s = _mixed(self.answer_s, took_s, self._small_count)
        elif received_bytes >= LARGE_BYTES_MIN:
            self._large_count += 1
            flow_s = max(took_s - (self.answer_s or 0.0), took_s / 4)
            rate_kbps = kbps(received_bytes, flow_s)
            self.rate_kbps = _mixed(self.rate_kbps, rate_kbps, self._large_count)

    def load(self, rate_kbps: float) -> float:
        """The share of the time that fetching a picture of this rate would take, at most 1; 0 as
        long as nothing is known."""
        return min(rate_kbps / self.rate_kbps, 1.0) if self.rate_kbps else 0.0

    def fetch_s(self, size_bytes: int) -> float:
        """How long a client would wait for so much; 0 as long as nothing is known."""
        if self.rate_kbps is None:
            return self.answer_s or 0.0
        return (self.answer_s or 0.0) + size_bytes / bytes_per_s_from_kbps(self.rate_kbps)


def _mixed(known: float | None, fresh: float, count: int) -> float:
    weight = 1.0 / min(count, MEMORY)
    return fresh if known is None else known + weight * (fresh - known)
