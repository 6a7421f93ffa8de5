"""Ours: the origin's forecast and the origin's solver, fed with what the log's edges would report.

Files are placed by twentieths, each of which has a value of its own. A plan first keeps what is
held and fills what may be fetched (`origin.placement.solver`). Room of the plan's share that is
left then goes to what is worth holding but may not be fetched now: it stays when a viewer pulls it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from origin.placement.demand import WATCHED_BINS
from origin.placement.forecast import Forecast, Forecaster, part_values
from origin.placement.problem import WHOLE, EdgeProblem, Items, Limits
from origin.placement.solver import solve
from simulation.placement.options import Options
from simulation.placement.replay import Wanted
from simulation.placement.trace import DAY_HOURS, Trace

SLACK: Final = 1.5
"""Parts worth less than those that fill the store so many times are not looked at."""


class NearcastPlanner:
    is_published = False

    def __init__(self, trace: Trace, capacity_bytes: float, options: Options) -> None:
        self._trace = trace
        self._storage_bytes = options.pinned_share * capacity_bytes
        self._forecaster = Forecaster(trace.titles, len(trace.edges), parts=options.parts)
        self._forecast: Forecast | None = None
        first = DAY_HOURS + options.limits.from_hour
        self.hours = tuple(range(first, trace.hours, options.every_hours))
        chunks = trace.chunks
        copy = chunks.copy_of.astype(np.int64)
        count = np.repeat(chunks.count, trace.titles.size_bytes.shape[1])[copy]
        first_of = np.concatenate([[True], copy[1:] != copy[:-1]])
        position = np.arange(len(copy)) - np.flatnonzero(first_of)[np.cumsum(first_of) - 1]
        part = position * WATCHED_BINS // count
        self._part_of = copy * WATCHED_BINS + part  # (chunk,)
        self._parts = len(trace.copy_bytes) * WATCHED_BINS
        self._part_bytes = np.bincount(self._part_of, trace.chunk_bytes, self._parts)

    def begin(self, hour: int) -> None:
        while self._forecaster.hour < hour:
            self._forecaster.take(self._trace.hour_demand(self._forecaster.hour))
        self._forecast = self._forecaster.forecast()

    def wanted(self, edge: int, held: NDArray[np.int64], fill_bytes: float) -> Wanted:
        assert self._forecast is not None
        trace = self._trace
        values = part_values(self._forecast, trace.titles, edge).reshape(-1).astype(np.float64)
        rows = self._worth_a_look(values)
        held_bytes = np.bincount(self._part_of, held * trace.segment_bytes, self._parts)[rows]
        items = Items(
            file_index=rows,
            part=np.full(len(rows), WHOLE, dtype=np.int8),
            size_bytes=self._part_bytes[rows].astype(np.int64),
            value_bytes=values[rows],
            held_bytes=np.minimum(held_bytes, self._part_bytes[rows]).astype(np.int64),
        )
        problem = EdgeProblem(
            edge=str(edge),
            items=items,
            storage_bytes=int(self._storage_bytes),
            fill_bytes=int(fill_bytes),
        )
        placed = solve((problem,), Limits()).edges[0]
        is_chosen = np.zeros(len(rows), dtype=np.bool_)
        is_chosen[placed.chosen] = True
        fills = placed.chosen[placed.kept_count :]
        self._reserve(is_chosen, items, int(self._storage_bytes) - placed.stored_bytes)
        of_part = np.zeros(self._parts, dtype=np.bool_)
        of_part[rows[is_chosen]] = True
        rank = np.full(self._parts, -1, dtype=np.int64)
        rank[rows[fills]] = np.arange(len(fills))
        is_wanted = of_part[self._part_of]
        chunk_rank = rank[self._part_of]
        missing = np.flatnonzero((chunk_rank >= 0) & (held < trace.chunk_segments))
        order = missing[np.argsort(chunk_rank[missing], kind="stable")]
        return Wanted(is_wanted, order.astype(np.int32))

    def _worth_a_look(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        density = values / np.maximum(self._part_bytes, 1.0)
        rows = np.flatnonzero((density > 0) & (self._part_bytes >= 1.0))
        order = rows[np.argsort(-density[rows], kind="stable")]
        enough = np.cumsum(self._part_bytes[order]) <= SLACK * self._storage_bytes
        return np.sort(order[enough])

    def _reserve(self, is_chosen: NDArray[np.bool_], items: Items, room_bytes: int) -> None:
        rest = np.flatnonzero(~is_chosen)
        density = items.value_bytes[rest] / items.size_bytes[rest]
        order = rest[np.argsort(-density, kind="stable")]
        is_chosen[order[np.cumsum(items.size_bytes[order]) <= room_bytes]] = True


def nearcast(trace: Trace, capacity_bytes: float, options: Options) -> NearcastPlanner:
    return NearcastPlanner(trace, capacity_bytes, options)
