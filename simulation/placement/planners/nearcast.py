"""Ours: the origin's forecast and the origin's solver, fed with what the log's edges would report.

Files are placed by twentieths, each of which has a value of its own. Within a window the solver
says what to fetch beside what is held, within the bytes that may be fetched. Then it shares out the
room between what is held, what is being fetched and what is only reserved: that stays when a viewer
pulls it (`origin.placement.forecast_reserve`).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from origin.placement.demand import WATCHED_BINS, Floats, Ints
from origin.placement.forecast import Forecast, Forecaster, part_densities
from origin.placement.forecast_reserve import reserved_density
from origin.placement.problem import WHOLE, EdgePlacement, EdgeProblem, Items, Limits
from origin.placement.solver import solve
from simulation.placement.options import Options
from simulation.placement.replay import Wanted
from simulation.placement.trace import DAY_HOURS, Trace

SLACK: Final = 3.0
"""Files wanted less than those that fill the store so many times are not looked at: a file's last
part is worth more than half of its first, so none of them could find a place."""


class NearcastPlanner:
    is_published = False

    def __init__(self, trace: Trace, capacity_bytes: float, options: Options) -> None:
        self._trace = trace
        self._storage_bytes = int(options.pinned_share * capacity_bytes)
        self._forecaster = Forecaster(trace.titles, len(trace.edges), parts=options.parts)
        self._forecast: Forecast | None = None
        first = DAY_HOURS + options.limits.from_hour
        self.hours = tuple(range(first, trace.hours, options.every_hours))
        copy = trace.chunks.copy_of.astype(np.int64)
        self._count = np.bincount(copy, minlength=len(trace.copy_bytes))
        self._first = np.cumsum(self._count) - self._count
        position = np.arange(len(copy)) - self._first[copy]
        self._part = position * WATCHED_BINS // self._count[copy]  # (chunk,)

    def begin(self, hour: int) -> None:
        while self._forecaster.hour < hour:
            self._forecaster.take(self._trace.hour_demand(self._forecaster.hour))
        self._forecast = self._forecaster.forecast()

    def wanted(self, edge: int, held: NDArray[np.int64], fill_bytes: float) -> Wanted:
        assert self._forecast is not None
        found = part_densities(self._forecast, self._trace.titles, edge)
        density: Floats = found.reshape(-1, WATCHED_BINS).astype(np.float64)
        copies = self._worth_a_look(density[:, 0])
        chunks = _ranges(self._first[copies], self._count[copies])
        row = np.repeat(np.arange(len(copies)), self._count[copies]) * WATCHED_BINS
        row += self._part[chunks]
        row_count = len(copies) * WATCHED_BINS
        sizes: Floats = np.bincount(row, self._trace.chunk_bytes[chunks], row_count).astype(float)
        held_bytes = held[chunks] * self._trace.segment_bytes[chunks]
        held_share = np.bincount(row, held_bytes, row_count) / np.maximum(sizes, 1.0)
        worth = density[copies].reshape(-1)
        fills = self._fills(worth, sizes, held_share, fill_bytes)
        held_share[fills] = 1.0
        shared = worth * held_share + reserved_density(worth) * (1.0 - held_share)
        is_chosen = np.zeros(row_count, dtype=np.bool_)
        is_chosen[self._solve(shared, sizes, np.ones(row_count), 0.0).chosen] = True
        rank = np.full(row_count, -1, dtype=np.int64)
        rank[fills[is_chosen[fills]]] = np.arange(int(is_chosen[fills].sum()))
        is_wanted = np.zeros(len(held), dtype=np.bool_)
        is_wanted[chunks] = is_chosen[row]
        missing = (rank[row] >= 0) & (held[chunks] < self._trace.chunk_segments[chunks])
        order = np.argsort(rank[row][missing], kind="stable")
        return Wanted(is_wanted, chunks[missing][order].astype(np.int32))

    def _worth_a_look(self, density: Floats) -> Ints:
        order = np.argsort(-density, kind="stable")
        order = order[density[order] > 0]
        enough = np.cumsum(self._trace.copy_bytes[order]) <= SLACK * self._storage_bytes
        return np.sort(order[enough])

    def _fills(self, worth: Floats, sizes: Floats, held: Floats, fill_bytes: float) -> Ints:
        """Rows to fetch, in order."""
        if fill_bytes <= 0.0:
            return np.zeros(0, dtype=np.int64)
        placed = self._solve(worth, sizes, held, fill_bytes)
        return placed.chosen[placed.kept_count :]

    def _solve(
        self, worth: Floats, sizes: Floats, held: Floats, fill_bytes: float
    ) -> EdgePlacement:
        size_bytes = np.maximum(1, sizes).astype(np.int64)
        items = Items(
            file_index=np.arange(len(sizes)),
            part=np.full(len(sizes), WHOLE, dtype=np.int8),
            size_bytes=size_bytes,
            value_bytes=worth * sizes,
            held_bytes=(held * size_bytes).astype(np.int64),
        )
        problem = EdgeProblem(
            edge="edge",
            items=items,
            storage_bytes=self._storage_bytes,
            fill_bytes=int(fill_bytes),
        )
        return solve((problem,), Limits()).edges[0]


def nearcast(trace: Trace, capacity_bytes: float, options: Options) -> NearcastPlanner:
    return NearcastPlanner(trace, capacity_bytes, options)


def _ranges(first: Ints, count: Ints) -> Ints:
    """first[0], first[0] + 1 ... of each, `count` of them."""
    before = np.cumsum(count) - count
    return np.repeat(first - before, count) + np.arange(int(count.sum()))
