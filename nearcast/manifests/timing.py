"""When the segments of a representation play, in as little memory as the manifest says it with."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterable
from fractions import Fraction
from typing import Protocol


class Timing(Protocol):
    """When segments play."""

    def __len__(self) -> int: ...
    def times_s(self, index: int) -> tuple[float, float]:
        """Start and duration."""
        ...

    @property
    def size_bytes(self) -> int: ...


class Runs:
    """Whole ticks: segments of equal duration without gaps between them are one run.

    `last_ticks`: the duration of the last segment, where the Period cuts it; this one may be a part
    of a tick. What begins before `offset` is cut there.
    """

    __slots__ = (
        "_count",
        "_durations",
        "_firsts",
        "_offset",
        "_starts",
        "_timescale",
        "last_ticks",
    )

    def __init__(self, timescale: int, offset: int) -> None:
        self._timescale = timescale
        self._offset = offset
        self._count = 0
        self._firsts = array("I")
        self._starts = array("Q")
        self._durations = array("Q")
        self.last_ticks: int | Fraction | None = None

    def __len__(self) -> int:
        return self._count

    def add(self, start: int, duration: int, count: int) -> None:
        """`count` more, from `start` on."""
        self._firsts.append(self._count)
        self._starts.append(start)
        self._durations.append(duration)
        self._count += count

    def cut(self, count: int) -> None:
        """Keep the first `count`."""
        if count < self._count:
            self._count = count
            self.last_ticks = None

    def start(self, index: int) -> int:
        """In ticks, of the timeline that the offset is on."""
        run = bisect_right(self._firsts, index) - 1
        return self._starts[run] + (index - self._firsts[run]) * self._durations[run]

    def index_of(self, start: int) -> int | None:
        """The segment that starts at this tick."""
        run = bisect_right(self._starts, start) - 1
        if run < 0:
            return None
        steps, rest = divmod(start - self._starts[run], self._durations[run])
        index = self._firsts[run] + steps
        return index if rest == 0 and index < self._end_of(run) else None

    def early_count(self) -> int:
        """How many segments, from the first on, are over when the Period starts."""
        for run in reversed(range(len(self._firsts))):
            over = (self._offset - self._starts[run]) // self._durations[run]
            if over > 0 and self._firsts[run] < self._count:
                return min(self._firsts[run] + over, self._end_of(run))
        return 0

    def times_s(self, index: int) -> tuple[float, float]:
        run = bisect_right(self._firsts, index) - 1
        length: int | Fraction = self._durations[run]
        start = self._starts[run] + (index - self._firsts[run]) * length - self._offset
        if index + 1 == self._count and self.last_ticks is not None:
            length = self.last_ticks
        end = start + length
        start = max(start, 0)
        return float(start / self._timescale), float((end - start) / self._timescale)

    @property
    def size_bytes(self) -> int:
        return sum(map(sys.getsizeof, (self._firsts, self._starts, self._durations)))

    def _end_of(self, run: int) -> int:
        following = run + 1
        end = self._firsts[following] if following < len(self._firsts) else self._count
        return min(end, self._count)


class Times:
    """Start and duration of each segment, in seconds."""

    __slots__ = ("_durations_s", "_starts_s")

    def __init__(self, starts_s: Iterable[float], durations_s: Iterable[float]) -> None:
        self._starts_s = array("d", starts_s)
        self._durations_s = array("d", durations_s)

    def __len__(self) -> int:
        return len(self._starts_s)

    def times_s(self, index: int) -> tuple[float, float]:
        return self._starts_s[index], self._durations_s[index]

    @property
    def size_bytes(self) -> int:
        return sys.getsizeof(self._starts_s) + sys.getsizeof(self._durations_s)
