"""Replays one planner over a trace: all edges, plan after plan.

At its hours a planner says what each edge should hold and fetch. *Published* planners are those of
the plain comparison: whole files, there at once, any amount. The others fetch within windows, at a
rate and within a share of what was served the day before.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulation.placement.residency import (
    COLUMNS,
    DEMAND,
    FILL,
    HOUR_S,
    WANTED_BYTES,
    Floats,
    Store,
    serve,
    want,
)
from simulation.placement.trace import DAY_HOURS, Trace

_AT_ONCE: Final = 1e30
_NO_FILLS: Final = np.zeros(0, dtype=np.int32)


class FillLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When, how fast and how much may be fetched for a plan, at each edge."""

    from_hour: int = 2
    until_hour: int = 8
    """Of the day; not above `from_hour`: on the next."""
    kbps: float = 400_000.0
    share: float = 0.10
    """Of the bytes served in the 24 hours before the window."""

    @property
    def hours(self) -> int:
        return (self.until_hour - self.from_hour) % DAY_HOURS or DAY_HOURS

    def left_hours(self, hour: int) -> int:
        """Of the window that this hour lies in; 0: it lies in none."""
        since = (hour - self.from_hour) % DAY_HOURS
        return self.hours - since if since < self.hours else 0


class Wanted(msgspec.Struct, frozen=True, eq=False):
    """What one edge should hold from now on."""

    is_wanted: NDArray[np.bool_]  # (chunk,)
    fills: NDArray[np.int32]  # chunks to fetch, in this order


class Planner(Protocol):
    """Plans for all edges of a trace. Only oracles look at what follows `hour`."""

    @property
    def hours(self) -> tuple[int, ...]:
        """At which it plans, ascending."""

    @property
    def is_published(self) -> bool:
        """Whole files, fetched at once and without limit."""

    def begin(self, hour: int) -> None:
        """Plans for this hour follow, of one edge after the other."""

    def wanted(self, edge: int, held: NDArray[np.int64], fill_bytes: float) -> Wanted:
        """For the edge at this position. `held`: segments of each chunk that are there;
        `fill_bytes`: what it may fetch before it plans again."""


def replay(
    trace: Trace,
    planner: Planner,
    *,
    capacity_bytes: float,
    limits: FillLimits,
    on_plan: Callable[[], None] | None = None,
) -> Floats:
    """(edge, hour, COLUMNS): bytes asked for, hit and fetched."""
    edges = [EdgeReplay(trace, edge, capacity_bytes, limits) for edge in range(len(trace.edges))]
    plan_hours = {hour for hour in planner.hours if 0 <= hour < trace.hours}
    for hour, until in pairwise([*sorted({0, *plan_hours}), None]):
        assert hour is not None
        if hour in plan_hours:
            planner.begin(hour)
        for edge in edges:
            wanted = None
            if hour in plan_hours:
                fill_bytes = edge.may_fill_bytes(hour)
                wanted = planner.wanted(edge.edge, edge.store.held, fill_bytes)
            if wanted is not None and planner.is_published:
                edge.adopt_at_once(wanted, hour)
                wanted = None
            edge.run(hour, until, wanted)
        if on_plan is not None:
            on_plan()
    return np.stack([edge.store.hourly for edge in edges])


class EdgeReplay:
    """One edge: its store, its requests and what is left of the day's fill bytes."""

    def __init__(self, trace: Trace, edge: int, capacity_bytes: float, limits: FillLimits) -> None:
        self.edge = edge
        self.store = Store(trace.chunk_segments, trace.segment_bytes, trace.hours)
        self._requests = trace.requests[edge]
        self._chunk_bytes = trace.chunk_bytes
        self._capacity_bytes = capacity_bytes
        self._limits = limits
        self._left_bytes = 0.0
        self._budget_of = -1  # the hour at which the window began that the bytes are of

    def may_fill_bytes(self, hour: int) -> float:
        """What may be fetched within the window that this hour lies in."""
        left_hours = self._limits.left_hours(hour)
        if left_hours == 0:
            return 0.0
        began = hour - (self._limits.hours - left_hours)
        if began != self._budget_of:
            self._budget_of = began
            served = self.store.hourly[max(0, began - DAY_HOURS) : max(0, began), DEMAND].sum()
            self._left_bytes = self._limits.share * float(served)
        return max(0.0, self._left_bytes)

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
        window = np.array([[0.0, 1.0]])
        self._serve(slice(0, 0), wanted.fills, window, _AT_ONCE, _AT_ONCE, np.zeros((1, COLUMNS)))

    def run(self, hour: int, until: int | None, wanted: Wanted | None) -> None:
        """Serve until the next plan (None: to the end), filling what is wanted now."""
        at_s = self._requests.at_s
        first = int(np.searchsorted(at_s, hour * HOUR_S))
        last = len(at_s) if until is None else int(np.searchsorted(at_s, until * HOUR_S))
        windows, bytes_per_s, fill_bytes = np.zeros((0, 2)), _AT_ONCE, 0.0
        if wanted is not None:
            self._adopt(wanted)
            fill_bytes = self.may_fill_bytes(hour)
            left_hours = self._limits.left_hours(hour)
            if left_hours and fill_bytes > 0.0:
                ends_hour = hour + left_hours if until is None else min(hour + left_hours, until)
                windows = np.array([[hour * HOUR_S, ends_hour * HOUR_S]])
                # As even over the window as the bytes allow: a burst would be a peak of its own.
                even = fill_bytes / (left_hours * HOUR_S)
                bytes_per_s = min(self._limits.kbps * 125.0, even)
        self._left_bytes -= self._serve(
            slice(first, last),
            _NO_FILLS if wanted is None else wanted.fills,
            windows,
            bytes_per_s,
            fill_bytes,
            self.store.hourly,
        )

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

    def _serve(
        self,
        part: slice,
        fills: NDArray[np.int32],
        windows_s: Floats,
        bytes_per_s: float,
        bytes_max: float,
        hourly: Floats,
    ) -> float:
        store, requests = self.store, self._requests
        return float(
            serve(
                requests.at_s[part],
                requests.chunk[part],
                requests.segments[part],
                requests.began_hour[part],
                fills,
                windows_s,
                bytes_per_s,
                bytes_max,
                self._capacity_bytes,
                store.segments,
                store.held,
                store.is_wanted,
                store.segment_bytes,
                store.links,
                store.used,
                hourly,
            )
        )
