"""What the room that prefetched bytes take would have earned.

A prefetch pushes out what eviction finds coldest. What that would have earned is seen afterwards:
some of the evicted objects are asked for again while the prefetched ones are still kept, and have
to be fetched once more. The share of evicted bytes for which that is so is the cost of holding a
byte; as long as nothing is evicted it is not measured and the settings' word holds.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

GHOSTS_MAX: Final = 20_000
"""Evicted URLs remembered; one forgotten early counts as not asked for again."""

EVIDENCE_BYTES: Final = 100_000_000
"""Below so much evicted the settings weigh in, above twice that the past is halved."""


class Displaced:
    """Evicted objects, and which of them came back."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._ghosts: OrderedDict[str, tuple[float, int]] = (
            OrderedDict()
        )  # evicted longest ago first
        self._evicted_bytes = 0.0
        self._missed_bytes = 0.0

    def evicted(self, url: str, size_bytes: int, now_s: float) -> None:
        self._ghosts.pop(url, None)
        self._ghosts[url] = now_s, size_bytes
        self._evicted_bytes += size_bytes
        if self._evicted_bytes > 2 * EVIDENCE_BYTES:
            self._evicted_bytes /= 2
            self._missed_bytes /= 2
        if len(self._ghosts) > GHOSTS_MAX:
            self._ghosts.popitem(last=False)

    def fetched(self, url: str, now_s: float) -> None:
        """A client's request had to be fetched."""
        at_s, size_bytes = self._ghosts.pop(url, (0.0, 0))
        if size_bytes and now_s - at_s <= self._within_s:
            self._missed_bytes += size_bytes

    def hold_cost(self, cost_peak: float, otherwise: float) -> float:
        """Of keeping a byte as long as prefetched ones are kept, in fetches of a byte;
        `otherwise`: what it is by the settings."""
        known = min(self._evicted_bytes / EVIDENCE_BYTES, 1.0)
        if not known:
            return otherwise
        measured = min(self._missed_bytes / self._evicted_bytes, 1.0) * cost_peak
        return known * measured + (1.0 - known) * otherwise
