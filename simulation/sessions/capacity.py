"""Many repeating bandwidth traces as one set of arrays, integrated exactly.

The prefix sums of all traces lie behind each other in one rising array, each trace with an offset
of its own, so that one binary search answers for all sessions at once. See nearcast.trace for one
trace at a time; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from abr.view import Floats, Rungs
from nearcast.trace import Trace
from nearcast.units import BITS_PER_KBIT


class Links(NamedTuple):
    """A Capacity's arrays: the first three one entry a span, the others one a session."""

    times_s: Floats
    bits: Floats
    rates_bps: Floats
    first: Rungs
    last: Rungs
    time_offset_s: Floats
    bit_offset: Floats
    period_s: Floats
    total_bits: Floats


class Capacity:
    """What the link of session `i` carries: trace `i`, repeated for ever.

    `rows` (n,) say which sessions are meant; the other arguments are (n,) as well.
    """

    def __init__(self, traces: Sequence[Trace]) -> None:
        times, bits, rates = [], [], []
        time_s, sent_bits, first = 0.0, 0.0, 0
        firsts, time_offsets, bit_offsets = [], [], []
        for trace in traces:
            times_s = np.array(trace.times_s)
            rates_bps = np.array(trace.rates_kbps) * BITS_PER_KBIT
            sums = np.concatenate([[0.0], np.cumsum(np.diff(times_s) * rates_bps)])
            times.append(times_s + time_s)
            bits.append(sums + sent_bits)
            rates.append(np.append(rates_bps, 0.0))
            firsts.append(first)
            time_offsets.append(time_s)
            bit_offsets.append(sent_bits)
            time_s, sent_bits = times[-1][-1] + 1.0, bits[-1][-1] + 1.0
            first += times_s.size
        self._times_s = np.concatenate(times)
        self._bits = np.concatenate(bits)
        self._rates_bps = np.concatenate(rates)
        self._first = np.array(firsts)
        self._last = np.append(self._first[1:], first) - 2  # of its spans
        self._time_offset_s = np.array(time_offsets)
        self._bit_offset = np.array(bit_offsets)
        self._period_s = np.array([trace.period_s for trace in traces])
        self._total_bits = self._bits[self._last + 1] - self._bit_offset

    @property
    def session_count(self) -> int:
        return int(self._period_s.shape[0])

    @property
    def links(self) -> Links:
        """For compiled sessions; not to be written to."""
        return Links(
            times_s=self._times_s,
            bits=self._bits,
            rates_bps=self._rates_bps,
            first=self._first,
            last=self._last,
            time_offset_s=self._time_offset_s,
            bit_offset=self._bit_offset,
            period_s=self._period_s,
            total_bits=self._total_bits,
        )

    def position_bits(self, rows: Rungs, time_s: Floats) -> Floats:
        """Carried from time 0 to `time_s`."""
        period_s = self._period_s[rows]
        turns = np.floor(time_s / period_s)
        at_s = time_s - turns * period_s + self._time_offset_s[rows]
        span = np.searchsorted(self._times_s, at_s, side="right") - 1
        span = np.minimum(np.maximum(span, self._first[rows]), self._last[rows])
        inside = (at_s - self._times_s[span]) * self._rates_bps[span]
        whole_turns_bits = turns * self._total_bits[rows]
        sent: Floats = self._bits[span] - self._bit_offset[rows] + inside + whole_turns_bits
        return sent

    def sent_bits(self, rows: Rungs, start_s: Floats, end_s: Floats) -> Floats:
        """Carried from `start_s` to `end_s`."""
        sent: Floats = self.position_bits(rows, end_s) - self.position_bits(rows, start_s)
        return sent

    def finish_s(self, rows: Rungs, start_s: Floats, size_bits: Floats) -> Floats:
        """When `size_bits` (> 0) that start at `start_s` are through."""
        target = self.position_bits(rows, start_s) + size_bits
        return np.maximum(self.reaches_s(rows, target), start_s)

    def reaches_s(self, rows: Rungs, target: Floats) -> Floats:
        """When `target` bits (> 0) have been carried since time 0."""
        total = self._total_bits[rows]
        turns = np.ceil(target / total) - 1.0
        rest = np.minimum(target - turns * total, total) + self._bit_offset[rows]
        span = np.searchsorted(self._bits, rest, side="left") - 1
        span = np.minimum(np.maximum(span, self._first[rows]), self._last[rows])
        rate = self._rates_bps[span]
        left = np.maximum(rest - self._bits[span], 0.0)
        inside_s = np.divide(left, rate, out=np.zeros_like(left), where=rate > 0)
        at_s = self._times_s[span] - self._time_offset_s[rows] + inside_s
        reached_s: Floats = turns * self._period_s[rows] + at_s
        return reached_s
