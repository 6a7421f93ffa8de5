"""Planners compared on one log: hits, fills and the worst hour, after a warm-up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from simulation.placement.options import Options
from simulation.placement.planners import PLANNERS
from simulation.placement.replay import replay
from simulation.placement.residency import DEMAND, FILL, HIT, Floats
from simulation.placement.trace import DAY_HOURS, Trace


class PlacementRow(msgspec.Struct, frozen=True, kw_only=True):
    """Over all edges together, after the warm-up."""

    planner: str
    byte_hit_ratio: float
    """Bytes served from what was held when they were asked for, over bytes served."""
    fill_ratio: float
    """Bytes fetched for a plan, over bytes served; what viewers pull is none of them."""
    worst_hour_ratio: float
    """The most that viewers missed in one hour, over the most that was sent to them in one; bytes
    count in the hour in which they flow."""
    worst_flow_ratio: float
    """The same with what was filled in that hour."""
    edge_hit_ratios: tuple[float, ...]
    day_hit_ratios: tuple[float, ...]


class PlacementStudy(msgspec.Struct, frozen=True, kw_only=True):
    sessions: int
    edges: int
    days: int
    warmup_days: int
    catalogue_bytes: int
    storage_share: float
    storage_bytes: int
    """Of each edge."""
    served_bytes: int
    rows: tuple[PlacementRow, ...]

    def row(self, planner: str) -> PlacementRow:
        return next(row for row in self.rows if row.planner == planner)


def study(
    trace: Trace,
    *,
    planners: Sequence[str],
    storage_share: float,
    warmup_days: int,
    options: Options,
    on_planner: Callable[[str], None] | None = None,
) -> PlacementStudy:
    capacity_bytes = storage_share * trace.log.catalogue_bytes
    rows = []
    served_bytes = 0.0
    for name in planners:
        planner = PLANNERS.get(name)(trace, capacity_bytes, options)
        hourly = replay(trace, planner, capacity_bytes=capacity_bytes)
        counted = hourly[:, warmup_days * DAY_HOURS :]
        served_bytes = float(counted[:, :, DEMAND].sum())
        rows.append(row_of(name, counted, trace.days - warmup_days))
        if on_planner is not None:
            on_planner(name)
    return PlacementStudy(
        sessions=len(trace.log.item),
        edges=len(trace.edges),
        days=trace.days,
        warmup_days=warmup_days,
        catalogue_bytes=trace.log.catalogue_bytes,
        storage_share=storage_share,
        storage_bytes=int(capacity_bytes),
        served_bytes=int(served_bytes),
        rows=tuple(rows),
    )


def row_of(planner: str, counted: Floats, days_count: int) -> PlacementRow:
    """Of what each edge counted, (edge, hour, column); what flows after the last day is its."""
    whole = counted.sum(axis=0)
    sums = whole.sum(axis=0)
    missed = whole[:, DEMAND] - whole[:, HIT]
    from_origin = missed + whole[:, FILL]
    busiest_bytes = whole[:, DEMAND].max()
    days = np.split(whole, [day * DAY_HOURS for day in range(1, days_count)])
    return PlacementRow(
        planner=planner,
        byte_hit_ratio=_ratio(sums[HIT], sums[DEMAND]),
        fill_ratio=_ratio(sums[FILL], sums[DEMAND]),
        worst_hour_ratio=_ratio(missed.max(), busiest_bytes),
        worst_flow_ratio=_ratio(from_origin.max(), busiest_bytes),
        edge_hit_ratios=tuple(_ratio(e[:, HIT].sum(), e[:, DEMAND].sum()) for e in counted),
        day_hit_ratios=tuple(_ratio(d[:, HIT].sum(), d[:, DEMAND].sum()) for d in days),
    )


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else 0.0
