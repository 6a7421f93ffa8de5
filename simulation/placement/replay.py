"""Replays one planner over a trace: all edges, plan after plan.

At its hours a planner says what each edge should hold and fetch, when, how fast and how much.
*Published* planners are those of the plain comparison: whole files, there at once, any amount.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulation.placement.residency import (
    COLUMNS,
    FILL,
    HOUR_S,
    WANTED_BYTES,
    Floats,
    Store,
    serve,
    want,
)
from simulation.placement.trace import Trace

_NO_FILLS: Final = np.zeros(0, dtype=np.int32)


class Wanted(msgspec.Struct, frozen=True, eq=False):
    """What one edge should hold from now on, and how it may fetch."""

    is_wanted: NDArray[np.bool_]  # (chunk,)
    fills: NDArray[np.int32]  # chunks to fetch, in this order
    windows_s: Floats  # (window, 2) from and until, in order
    fill_bytes_per_s: float
    fill_bytes_max: float
    """Until the next plan."""
    wanted_bytes_max: float
    """Of what is wanted no more is kept; the rest is pulled like anything else."""


class Planner(Protocol):
    """Plans for all edges of a trace. Only oracles look at what follows `hour`."""

    @property
    def hours(self) -> tuple[int, ...]:
        """At which it plans, ascending."""

    @property
    def is_published(self) -> bool:
        """Whole files, fetched at once and without limit."""

    def plan(self, hour: int, stores: Sequence[Store]) -> Sequence[Wanted]:
        """For each edge, by position, as of the start of this hour."""


def replay(
    trace: Trace,
    planner: Planner,
    *,
    capacity_bytes: float,
    on_plan: Callable[[], None] | None = None,
) -> Floats:
    """(edge, `trace.flow_hours`, COLUMNS): bytes asked for, hit and fetched."""
    edges = [EdgeReplay(trace, edge, capacity_bytes) for edge in range(len(trace.edges))]
    plan_hours = {hour for hour in planner.hours if 0 <= hour < trace.hours}
    for hour, until in pairwise([*sorted({0, *plan_hours}), None]):
        assert hour is not None
        wanted: Sequence[Wanted | None] = [None] * len(edges)
        if hour in plan_hours:
            wanted = planner.plan(hour, [edge.store for edge in edges])
        for edge, each in zip(edges, wanted, strict=True):
            if each is not None and planner.is_published:
                edge.adopt_at_once(each, hour)
                edge.run(hour, until, None)
            else:
                edge.run(hour, until, each)
        if on_plan is not None:
            on_plan()
    return np.stack([edge.store.hourly for edge in edges])


class EdgeReplay:
    """One edge: its store and its requests."""

    def __init__(self, trace: Trace, edge: int, capacity_bytes: float) -> None:
        self.store = Store(trace.chunk_segments, trace.segment_bytes, trace.flow_hours)
        self._hours = trace.hours
        self._requests = trace.requests[edge]
        self._chunk_bytes = trace.chunk_bytes
        self._capacity_bytes = capacity_bytes

    def adopt_at_once(self, wanted: Wanted, hour: int) -> None:
        """As the published figures have it: a file newly pinned counts as fetched, held or not."""
        new = wanted.is_wanted & ~self.store.is_wanted
        store = self.store
        store.hourly[hour, FILL] += float(self._chunk_bytes[new].sum())
        # And one that is pinned no more is gone.
        gone = store.is_wanted & ~wanted.is_wanted & (store.held > 0)
        store.used[WANTED_BYTES] -= float((store.held * store.segment_bytes)[gone].sum())
        store.held[gone] = 0
        self._adopt(wanted)
        self._serve(slice(0, 0), wanted, wanted.windows_s, np.zeros((1, COLUMNS)))

    def run(self, hour: int, until: int | None, wanted: Wanted | None) -> None:
        """Serve until the next plan (None: to the end), filling what is wanted now."""
        at_s = self._requests.at_s
        first = int(np.searchsorted(at_s, hour * HOUR_S))
        last = len(at_s) if until is None else int(np.searchsorted(at_s, until * HOUR_S))
        windows = np.zeros((0, 2))
        if wanted is not None:
            self._adopt(wanted)
            # What a plan would fetch after the log's end is in none of its hours.
            end_hour = self._hours if until is None else until
            windows = np.minimum(wanted.windows_s, end_hour * HOUR_S)
            windows = windows[windows[:, 0] < windows[:, 1]]
        self._serve(slice(first, last), wanted, windows, self.store.hourly)

    def _adopt(self, wanted: Wanted) -> None:
        store = self.store
        want(
            wanted.is_wanted,
            store.is_wanted,
            store.held,
            store.segment_bytes,
            store.links,
            store.used,
        )

    def _serve(self, part: slice, wanted: Wanted | None, windows_s: Floats, hourly: Floats) -> None:
        store, requests = self.store, self._requests
        serve(
            requests.at_s[part],
            requests.chunk[part],
            requests.segments[part],
            _NO_FILLS if wanted is None else wanted.fills,
            windows_s,
            1.0 if wanted is None else wanted.fill_bytes_per_s,
            0.0 if wanted is None else wanted.fill_bytes_max,
            self._capacity_bytes,
            self._capacity_bytes if wanted is None else wanted.wanted_bytes_max,
            store.segments,
            store.held,
            store.is_wanted,
            store.segment_bytes,
            store.links,
            store.used,
            hourly,
        )
