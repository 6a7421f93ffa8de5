"""Traces by family: one file a family, or the traces that come with Nearcast."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import msgspec
import numpy as np

from nearcast.trace import Trace
from nearcast.trace_files import family_name, read_traces
from simulation.trace import SHIPPED_NAMES, shipped_trace

SHIPPED_STARTS = 12
"""Sessions on each shipped trace, begun at times spread evenly over it."""


class Family(msgspec.Struct, frozen=True):
    """Traces of one kind of network; a session is played on each."""

    name: str
    trace_ids: tuple[str, ...]
    traces: tuple[Trace, ...]

    def first(self, count: int | None) -> Family:
        """Its first `count` traces; all for None."""
        return Family(self.name, self.trace_ids[:count], self.traces[:count])


def read_family(path: Path, count_max: int | None = None) -> Family:
    """The first `count_max` traces of a file. Raises InputError that names file and line."""
    found = dict(islice(read_traces(path), count_max))
    return Family(family_name(path), tuple(found), tuple(found.values()))


def shipped_families(count_max: int | None = None) -> tuple[Family, ...]:
    """Each shipped trace as a family of its own."""
    return tuple(_starts(name, shipped_trace(name)).first(count_max) for name in SHIPPED_NAMES)


def _starts(name: str, trace: Trace) -> Family:
    starts_s = [index * trace.period_s / SHIPPED_STARTS for index in range(SHIPPED_STARTS)]
    ids = tuple(f"{name}+{start_s:.0f}s" for start_s in starts_s)
    return Family(name, ids, tuple(begun_at(trace, start_s) for start_s in starts_s))


def begun_at(trace: Trace, start_s: float) -> Trace:
    """The same trace from `start_s` on, its beginning put behind its end."""
    times_s = np.array(trace.times_s)
    split = int(np.searchsorted(times_s, start_s, side="right")) - 1
    later_s = [start_s, *times_s[split + 1 : -1]]
    again_s = [*(times_s[: split + 1] + trace.period_s), start_s + trace.period_s]
    if again_s[-1] <= again_s[-2]:  # it begins where a row does
        del again_s[-1]
    rates = trace.rates_kbps
    kept = len(again_s) - 1
    return Trace([float(time_s) for time_s in (*later_s, *again_s)], rates[split:] + rates[:kept])
