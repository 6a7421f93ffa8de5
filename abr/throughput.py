"""What the network gives, from transfers flagged as edge hit or miss.

An edge hit travels the last mile only, a miss the backhaul as well, so each kind has an estimate of
its own and a hit never raises what is expected of a miss. Three more traps are kept out:

- A sample runs from the first body bytes to the last. The bytes that came with the first read are
  not counted, since when they started is unknown; the wait for them is the time to first byte, kept
  apart, so that small segments do not look slow.
- Transfers in parallel share the link. A sample counts what all transfers brought meanwhile: for a
  miss all misses (the backhaul carried no hits), for a hit everything (the last mile carried all).
- A transfer too small to time is pooled with the next ones of its kind instead of being a sample.

The meter lives as long as the viewer: the next title starts with what this one learnt.
"""

from __future__ import annotations

from collections import deque

import msgspec

from abr.view import HISTORY
from nearcast.units import kbps
from predictor.bandwidth import Prior

HALF_LIFE_FAST_S = 3.0
HALF_LIFE_SLOW_S = 8.0
"""As in dash.js and Sabre; the estimate is the lower of the two."""
SAMPLE_BYTES_MIN = 16 * 1024
SAMPLE_DURATION_S_MIN = 0.001
"""Less than this is pooled: a body that fits one read tells how fast memory is, not the link."""
BYTES_PER_WEIGHT_S = 250_000
WEIGHT_S_MAX = 4.0
"""A sample weighs its duration, but at least a second per so many bytes, up to a bound: weighed by
duration alone, the quick transfers after an outage would take hundreds to outweigh the slow ones
during it."""
HITS_IN_ROW_TRUSTED = 5
MISS_DOUBT_FACTOR = 1.1
"""After some hits in a row the miss estimate is stale: each further hit lets it rise by this much,
so that a viewer whose edge has everything is not held at the rung of an old bad moment."""


class Sample(msgspec.Struct, frozen=True):
    """One timed transfer, or several small ones pooled. Rate, size and duration are above 0."""

    throughput_kbps: float
    size_bytes: int
    duration_s: float
    is_hit: bool
    ttfb_s: float = 0.0
    """Of the last one pooled: from its request to where `duration_s` begins."""
    gap_s: float = 0.0
    """Of the first one pooled: nothing was under way for so long before its request."""


class Mark(msgspec.Struct, frozen=True):
    """Where a transfer's timing began."""

    at_s: float
    counted_bytes: int
    is_hit: bool


class Ewma:
    """A mean of values that forgets half of what it knew in `half_life_s` of weight."""

    def __init__(self, half_life_s: float) -> None:
        self._half_life_s = half_life_s
        self._mean = 0.0
        self._weight_s = 0.0

    def add(self, value: float, weight_s: float) -> None:
        keep: float = 0.5 ** (weight_s / self._half_life_s)
        self._mean = keep * self._mean + (1.0 - keep) * value
        self._weight_s += weight_s

    def value(self) -> float | None:
        """None before the first value. The start from zero is corrected for."""
        if self._weight_s <= 0:
            return None
        correction: float = 1.0 - 0.5 ** (self._weight_s / self._half_life_s)
        return self._mean / correction


class _Path:
    """The estimate of one kind of transfer."""

    def __init__(self) -> None:
        self._fast = Ewma(HALF_LIFE_FAST_S)
        self._slow = Ewma(HALF_LIFE_SLOW_S)
        self._ttfb = Ewma(HALF_LIFE_FAST_S)
        self.pooled_bytes = 0
        self.pooled_s = 0.0
        self.pooled_gap_s = 0.0

    def add(self, sample: Sample) -> None:
        by_bytes_s = min(sample.size_bytes / BYTES_PER_WEIGHT_S, WEIGHT_S_MAX)
        weight_s = max(sample.duration_s, by_bytes_s)
        self._fast.add(sample.throughput_kbps, weight_s)
        self._slow.add(sample.throughput_kbps, weight_s)

    def add_ttfb(self, ttfb_s: float) -> None:
        self._ttfb.add(ttfb_s, 1.0)

    def kbps(self) -> float | None:
        fast, slow = self._fast.value(), self._slow.value()
        return None if fast is None or slow is None else min(fast, slow)

    def ttfb_s(self) -> float | None:
        return self._ttfb.value()


class ThroughputMeter:
    """Collects samples, and says what the next request can expect. `prior`: what is remembered of
    this network from before, for whoever has to decide without a sample."""

    def __init__(self, prior: Prior | None = None) -> None:
        self.prior = prior
        self.samples: deque[Sample] = deque(maxlen=HISTORY)
        self._last_mile = _Path()
        self._end_to_end = _Path()
        self._all_bytes = 0
        self._miss_bytes = 0
        self._hits_in_row = 0
        self._open_count = 0
        self._quiet_since_s: float | None = None

    def asked(self, now_s: float) -> float:
        """A request goes out: for how long nothing was under way before it."""
        gap_s = self.gap_s(now_s)
        self._open_count += 1
        return gap_s

    def closed(self, now_s: float) -> None:
        """A request has ended, one way or another."""
        self._open_count -= 1
        self._quiet_since_s = now_s

    def gap_s(self, now_s: float) -> float:
        """Nothing has been under way for so long; 0 while something is, or never was."""
        if self._open_count or self._quiet_since_s is None:
            return 0.0
        return max(0.0, now_s - self._quiet_since_s)

    def answered(self, ttfb_s: float, *, is_hit: bool) -> None:
        """The head of a media answer came `ttfb_s` after its request."""
        self._path(is_hit).add_ttfb(ttfb_s)
        self._hits_in_row = self._hits_in_row + 1 if is_hit else 0

    def count(self, received_bytes: int, *, is_hit: bool) -> None:
        """So many more body bytes came, of whichever transfer."""
        self._all_bytes += received_bytes
        if not is_hit:
            self._miss_bytes += received_bytes

    def mark(self, now_s: float, *, is_hit: bool) -> Mark:
        """Start timing a transfer; what was counted until now is left out."""
        return Mark(now_s, self._counted(is_hit), is_hit)

    def measure(self, mark: Mark, now_s: float, *, ttfb_s: float = 0.0, gap_s: float = 0.0) -> None:
        """The transfer ended, or was given up: what came since `mark` makes a sample. It began
        `ttfb_s` after its request, before which nothing was under way for `gap_s`."""
        size_bytes = self._counted(mark.is_hit) - mark.counted_bytes
        duration_s = now_s - mark.at_s
        if size_bytes <= 0 or duration_s <= 0:
            return
        path = self._path(mark.is_hit)
        if path.pooled_bytes == 0:
            path.pooled_gap_s = gap_s
        path.pooled_bytes += size_bytes
        path.pooled_s += duration_s
        if path.pooled_bytes < SAMPLE_BYTES_MIN or path.pooled_s < SAMPLE_DURATION_S_MIN:
            return
        rate_kbps = kbps(path.pooled_bytes, path.pooled_s)
        sample = Sample(
            rate_kbps, path.pooled_bytes, path.pooled_s, mark.is_hit, ttfb_s, path.pooled_gap_s
        )
        path.pooled_bytes, path.pooled_s = 0, 0.0
        path.add(sample)
        self.samples.append(sample)

    @property
    def last_mile_kbps(self) -> float | None:
        """From edge hits alone; None before the first."""
        return self._last_mile.kbps()

    @property
    def end_to_end_kbps(self) -> float | None:
        """From misses, and from answers that do not say; None before the first."""
        return self._end_to_end.kbps()

    @property
    def hits_in_row(self) -> int:
        """Media answers from the edge's store since the last one that was not."""
        return self._hits_in_row

    def next_kbps(self) -> float | None:
        """What the next request can expect if it misses; None when nothing was measured.

        The miss estimate, never above the last mile's. It may rise above what misses showed only
        after a long row of hits, slowly, until a miss shows the truth again. When nothing ever
        missed, the last mile is all that is known.
        """
        last_mile, end_to_end = self.last_mile_kbps, self.end_to_end_kbps
        if end_to_end is None or last_mile is None:
            return last_mile if end_to_end is None else end_to_end
        doubted_hits = max(0, self._hits_in_row - HITS_IN_ROW_TRUSTED)
        # The exponent is bounded so that a day of hits does not overflow.
        doubt: float = MISS_DOUBT_FACTOR ** min(doubted_hits, 100)
        return min(last_mile, end_to_end * doubt)

    def ttfb_s(self) -> float:
        """The wait for the first byte that the next request can expect; 0 when not measured."""
        path = self._last_mile if self._hits_in_row else self._end_to_end
        return path.ttfb_s() or 0.0

    def _path(self, is_hit: bool) -> _Path:
        return self._last_mile if is_hit else self._end_to_end

    def _counted(self, is_hit: bool) -> int:
        return self._all_bytes if is_hit else self._miss_bytes
