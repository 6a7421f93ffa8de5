"""Ours: the origin's own forecast and its own planner, fed with what the log's edges would report.

`origin.placement.planner.make_plan` makes the plan of a live origin from the same inputs; what
differs is where they come from. Here an edge's reports are those of the log, and what it holds is
looked up instead of told. The edge then follows its plan as a live one does: it fetches in the
plan's order, within its windows, rate and bytes, and keeps what viewers pull of what it names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from nearcast.fleet import EdgeProfile
from nearcast.placement import EdgePlan
from nearcast.units import bytes_per_s_from_kbps
from origin.placement.files import Files
from origin.placement.forecast import Forecast, Forecaster, file_values
from origin.placement.inputs import EdgeInput, PlanInputs
from origin.placement.planner import make_plan
from origin.placement.summary import Plan
from simulation.placement.options import Options
from simulation.placement.replay import Wanted
from simulation.placement.residency import DEMAND, FILL, HOUR_S, Store
from simulation.placement.trace import DAY_HOURS, Trace

HISTORY_HOURS: Final = 14 * DAY_HOURS
"""Over which the account of fetched bytes is kept (`control.plan.history_days`)."""
DAY_S: Final = 86_400.0


class NearcastPlanner:
    is_published = False

    def __init__(self, trace: Trace, capacity_bytes: float, options: Options) -> None:
        self._trace = trace
        self._capacity_bytes = int(capacity_bytes)
        self._settings = options.settings
        self._forecaster = Forecaster(trace.titles, len(trace.edges), parts=options.parts)
        self.hours = tuple(range(DAY_HOURS, trace.hours, options.every_hours))
        self.files = files_of_trace(trace)
        copy = trace.chunks.copy_of.astype(np.int64)
        self._copy_of = copy
        self._count = np.bincount(copy, minlength=len(trace.copy_bytes))
        self._first = np.cumsum(self._count) - self._count
        self._chunk_s = trace.chunks.segments * trace.log.segment_s
        self._head_share = (self.files.head_bytes / self.files.size_bytes).reshape(
            trace.titles.size_bytes.shape
        )

    def plan(self, hour: int, stores: Sequence[Store]) -> list[Wanted]:
        made = self.make(hour, stores)
        return [self._wanted(each, store) for each, store in zip(made.edges, stores, strict=True)]

    def make(self, hour: int, stores: Sequence[Store]) -> Plan:
        """The plan itself; hours are only ever gone through forwards."""
        while self._forecaster.hour < hour:
            self._forecaster.take(self._trace.hour_demand(self._forecaster.hour))
        # Of a copy: weights are fitted from nothing for each plan, as a live origin fits them, so
        # that a plan does not depend on which were made before.
        forecast = self._forecaster.copy().forecast()
        edges = [self._edge(edge, hour, store, forecast) for edge, store in enumerate(stores)]
        return make_plan(
            PlanInputs(
                files=self.files,
                edges=tuple(edges),
                wall_s=hour * HOUR_S,
                settings=self._settings,
            )
        )

    def _edge(self, edge: int, hour: int, store: Store, forecast: Forecast) -> EdgeInput:
        whole, head = file_values(forecast, self._trace.titles, edge, self._head_share)
        days = self._settings.valid_s / DAY_S
        held = np.bincount(self._copy_of, store.held * store.segment_bytes, len(self.files))
        past = store.hourly[max(0, hour - HISTORY_HOURS) : hour]
        return EdgeInput(
            edge=edge_name(edge),
            profile=EdgeProfile(url="http://edge", capacity_bytes=self._capacity_bytes),
            value_bytes=whole.ravel() * days,
            head_value_bytes=head.ravel() * days,
            held_bytes=np.minimum(np.rint(held).astype(np.int64), self.files.size_bytes),
            served_bytes=float(whole.sum() * days),
            past_served_bytes=float(past[:, DEMAND].sum()),
            past_filled_bytes=float(past[:, FILL].sum()),
        )

    def _wanted(self, plan: EdgePlan, store: Store) -> Wanted:
        """What a plan says, in chunks."""
        is_wanted = np.zeros(len(store.held), dtype=np.bool_)
        fills: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
        renditions = self._trace.titles.size_bytes.shape[1]
        for file in plan.files:
            copy = int(file.title) * renditions + int(file.rendition)
            first, end = int(self._first[copy]), int(self._first[copy] + self._count[copy])
            end = min(end, first + self._chunks(file.until_s))
            is_wanted[first:end] = True
            fetched_end = min(end, first + self._chunks(file.fetch_until_s))
            missing = store.held[first:fetched_end] < self._trace.chunk_segments[first:fetched_end]
            fills.append(first + np.flatnonzero(missing))
        windows = [[one.from_wall_s, one.until_wall_s] for one in plan.windows]
        return Wanted(
            is_wanted,
            np.concatenate([np.zeros(0, dtype=np.int64), *fills]).astype(np.int32),
            np.array(windows, dtype=np.float64).reshape(-1, 2),
            bytes_per_s_from_kbps(plan.fill_kbps_max),
            float(plan.fill_bytes_max),
            float(plan.pinned_bytes_max),
        )

    def _chunks(self, until_s: float | None) -> int:
        """That begin before a media time; None: all."""
        return 2**31 if until_s is None else -int(-until_s // self._chunk_s)


def files_of_trace(trace: Trace) -> Files:
    """All items at all renditions, with heads of one chunk: a minute."""
    count, renditions = trace.titles.size_bytes.shape
    size = np.rint(trace.copy_bytes).astype(np.int64)
    chunk = trace.chunks.segments
    segments = trace.log.item_segments.astype(np.int64).repeat(renditions)
    has_head = segments >= 2 * chunk
    return Files(
        titles=tuple(f"{item:06d}" for item in range(count) for _ in range(renditions)),
        renditions=tuple(str(each) for _ in range(count) for each in range(renditions)),
        manifests=("/",) * (count * renditions),
        size_bytes=size,
        head_bytes=np.where(has_head, size * chunk // segments, 0),
        head_s=np.where(has_head, chunk * trace.log.segment_s, 0.0),
    )


def edge_name(edge: int) -> str:
    """In the order of its positions."""
    return f"edge-{edge:05d}"


def nearcast(trace: Trace, capacity_bytes: float, options: Options) -> NearcastPlanner:
    return NearcastPlanner(trace, capacity_bytes, options)
