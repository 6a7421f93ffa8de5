"""Bandwidth over time: piecewise constant, repeating, integrated exactly.

A trace says how fast a link is. Row `i` holds from `times_s[i]` to `times_s[i + 1]`; the last time
only marks the end, after which the trace starts again. What a link needs from it is the integral
(`sent_bytes`) and its inverse (`finish_s`): when would these bytes be through, if they started now?
Both look up a table of prefix sums, so no time step is ever involved and spans of zero rate cost
nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

from nearcast.errors import InputError
from nearcast.units import bytes_per_s_from_kbps, kbps_from_bytes_per_s


class Trace:
    """A repeating bandwidth trace; `times_s` has one entry more than `rates_kbps` (the end).

    Times start anywhere and are moved so that the trace begins at 0. Raises InputError when times
    do not increase, a rate is negative or not a number, or no byte would ever get through.
    """

    def __init__(self, times_s: Sequence[float], rates_kbps: Sequence[float]) -> None:
        if not rates_kbps or len(times_s) != len(rates_kbps) + 1:
            raise InputError(
                "a trace needs at least two rows: the last one only says when the trace ends"
            )
        if not all(map(math.isfinite, times_s)) or not all(map(math.isfinite, rates_kbps)):
            raise InputError("a trace is made of finite numbers")
        if any(one >= two for one, two in pairwise(times_s)):
            raise InputError("the times of a trace must increase")
        if min(rates_kbps) < 0:
            raise InputError("the rates of a trace must not be negative")
        if max(rates_kbps) == 0:
            raise InputError("all rates of the trace are zero: nothing would ever arrive")
        self.times_s = tuple(time_s - times_s[0] for time_s in times_s)
        self.rates_kbps = tuple(float(rate_kbps) for rate_kbps in rates_kbps)
        self._rates = tuple(map(bytes_per_s_from_kbps, self.rates_kbps))
        sums = [0.0]
        for (start_s, end_s), rate in zip(pairwise(self.times_s), self._rates, strict=True):
            sums.append(sums[-1] + (end_s - start_s) * rate)
        self._sums = tuple(sums)
        self._is_constant = len(set(self._rates)) == 1

    @classmethod
    def constant(cls, rate_kbps: float) -> Trace:
        """A link that never changes. Raises InputError unless the rate is positive."""
        if not rate_kbps > 0:
            raise InputError(f"a rate must be above zero, got {rate_kbps:g} kbit/s")
        return cls((0.0, 1.0), (rate_kbps,))

    @property
    def period_s(self) -> float:
        """After this long it starts again."""
        return self.times_s[-1]

    @property
    def mean_kbps(self) -> float:
        return kbps_from_bytes_per_s(self._sums[-1] / self.period_s)

    def rate_kbps_at(self, time_s: float) -> float:
        """The rate at `time_s` >= 0."""
        return self.rates_kbps[self._row(self._local_s(time_s))]

    def bytes_per_s_at(self, time_s: float) -> float:
        """The same in bytes a second."""
        return self._rates[0 if self._is_constant else self._row(self._local_s(time_s))]

    def sent_bytes(self, start_s: float, end_s: float) -> float:
        """What gets through from `start_s` to `end_s`, a fraction of a byte included."""
        if self._is_constant:
            return (end_s - start_s) * self._rates[0]
        return self._position(end_s) - self._position(start_s)

    def finish_s(self, start_s: float, size_bytes: float) -> float:
        """The earliest time at which `size_bytes` (> 0) that started at `start_s` are through."""
        if self._is_constant:
            return start_s + size_bytes / self._rates[0]
        local_s = self._local_s(start_s)
        row = self._row(local_s)
        rate = self._rates[row]
        if rate > 0 and local_s + size_bytes / rate <= self.times_s[row + 1]:
            return start_s + size_bytes / rate  # nearly always: within one span
        total = self._sums[-1]
        target = self._position(start_s) + size_bytes
        # The remainder lies in (0, total]: a target on the seam belongs to the earlier turn, whose
        # last span may have rate zero.
        turns = math.ceil(target / total) - 1
        rest = min(target - turns * total, total)
        row = max(bisect_left(self._sums, rest), 1) - 1
        rate = self._rates[row]
        in_span_s = (rest - self._sums[row]) / rate if rate > 0 else 0.0
        return max(turns * self.period_s + self.times_s[row] + in_span_s, start_s)

    def _local_s(self, time_s: float) -> float:
        return time_s - math.floor(time_s / self.period_s) * self.period_s

    def _row(self, local_s: float) -> int:
        """The span that holds `local_s`; a rounding error past either end is still inside."""
        row = bisect_right(self.times_s, local_s) - 1
        if row >= len(self._rates):
            return len(self._rates) - 1
        return row if row > 0 else 0

    def _position(self, time_s: float) -> float:
        """Bytes through since time 0."""
        turns = math.floor(time_s / self.period_s)
        local_s = time_s - turns * self.period_s
        row = self._row(local_s)
        inside = (local_s - self.times_s[row]) * self._rates[row]
        return turns * self._sums[-1] + self._sums[row] + inside
