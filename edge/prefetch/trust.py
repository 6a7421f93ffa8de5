"""How far each source is to be believed, by what became of the bytes that it had fetched.

A source says with which probability an object will be used. Of objects of S bytes said to be used
with probability p, p * S should be: `Trust.factor` is what was used over what should have been,
never above 1. A source whose bytes nobody asks for loses its worth, and with it first its rests,
then its heads: a wrong model may waste its budget and nothing more. What was measured is forgotten
with a half-life, whether anything more is measured or not: a source that was wrong once has nothing
fetched any more, and would never be heard again.
"""

from __future__ import annotations

import math
from typing import Final

from edge.prefetch.plans import Source
from edge.status import SourceFigures

PRIOR_S: Final = 300.0
"""A source is believed at first as if so many seconds of the full rate had come as foreseen: that
much a wrong one may waste before it is doubted."""

PRIOR_SHARE: Final = 0.25
"""Or as if this share of the room for prefetched objects had, if that is less: in a small store a
wrong one must be found out before it has turned all of it over."""

HALF_LIFE_S: Final = 6 * 3600.0


class _Record:
    def __init__(self) -> None:
        self.expected_bytes = 0.0
        self.used_bytes = 0.0
        self.fetched_bytes = 0.0
        self.at_s = 0.0

    def kept(self, now_s: float) -> float:
        """The share of it that counts at this time."""
        return float(0.5 ** (max(now_s - self.at_s, 0.0) / HALF_LIFE_S))

    def age(self, now_s: float) -> None:
        kept = self.kept(now_s)
        self.expected_bytes *= kept
        self.used_bytes *= kept
        self.fetched_bytes *= kept
        self.at_s = max(now_s, self.at_s)


class Trust:
    """By source."""

    def __init__(self, rate_bytes_per_s: float, room_bytes: float = math.inf) -> None:
        """`rate_bytes_per_s`: what prefetching may take; `room_bytes`: of the store."""
        self._prior_bytes = max(min(rate_bytes_per_s * PRIOR_S, room_bytes * PRIOR_SHARE), 1.0)
        self._records: dict[Source, _Record] = {}

    def resolved(
        self, source: Source, probability: float, size_bytes: int, now_s: float, *, is_used: bool
    ) -> None:
        """An object that this source had fetched was used, or let go without."""
        record = self._records.setdefault(source, _Record())
        record.age(now_s)
        record.expected_bytes += probability * size_bytes
        record.used_bytes += size_bytes if is_used else 0
        record.fetched_bytes += size_bytes

    def factor(self, source: Source, now_s: float) -> float:
        """What its probabilities are to be multiplied with, 0..1."""
        record = self._records.get(source)
        if record is None:
            return 1.0
        prior_bytes, kept = self._prior_bytes, record.kept(now_s)
        used_bytes, expected_bytes = kept * record.used_bytes, kept * record.expected_bytes
        return min((prior_bytes + used_bytes) / (prior_bytes + expected_bytes), 1.0)

    def precision(self, source: Source) -> float | None:
        """Share of its bytes that were used; None when nothing is known."""
        record = self._records.get(source)
        if record is None or record.fetched_bytes <= 0:
            return None
        return record.used_bytes / record.fetched_bytes

    def figures(self, now_s: float) -> tuple[SourceFigures, ...]:
        """Of all sources that had anything fetched whose fate is known."""
        return tuple(
            SourceFigures(
                source=source, trust=self.factor(source, now_s), precision=self.precision(source)
            )
            for source in sorted(self._records)
        )

    def forget(self, source: Source) -> None:
        """Another model is another source."""
        self._records.pop(source, None)
