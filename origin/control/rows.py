"""The fleet as the admin API shows it: rows and totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from origin.control.api import EdgeRow, FleetTotals
from origin.control.recent import Recent, Sums
from origin.fleet.events import FleetEdge


def edge_row(edge: FleetEdge, sums: Sums) -> EdgeRow:
    storage = edge.storage
    return EdgeRow(
        edge=edge.edge,
        url=edge.profile.url,
        cluster=edge.profile.cluster,
        region=edge.profile.region,
        state=edge.state,
        state_age_s=edge.state_age_s,
        reason=edge.reason,
        duty=edge.duty,
        is_draining=edge.is_draining,
        is_revoked=edge.is_revoked,
        heartbeat_age_s=edge.heartbeat_age_s,
        connection_count=edge.load.connection_count,
        load_share=edge.load_share,
        link_kbps=edge.profile.link_kbps,
        capacity_bytes=edge.profile.capacity_bytes if storage is None else storage.capacity_bytes,
        used_bytes=0 if storage is None else storage.used_bytes,
        pinned_bytes=0 if storage is None else storage.pinned_bytes,
        is_failing=storage is not None and storage.is_failing,
        plan_id=edge.plan_id,
        is_plan_current=edge.is_plan_current,
        plan_files=edge.plan_files,
        plan_files_held=edge.plan_files_held,
        telemetry_waiting_bytes=edge.telemetry_waiting_bytes,
        refused_count=sum(edge.refused.values()),
        time_zone=edge.profile.time_zone,
        utc_offset_h=edge.profile.utc_offset_h,
        recent=sums.figures(),
    )


def group(edge: FleetEdge | EdgeRow) -> str:
    """What an edge is counted as: how it is, unless the operator wants something of it."""
    if edge.is_revoked:
        return "revoked"
    if edge.duty != "active":
        return edge.duty
    return "draining" if edge.is_draining and edge.state == "alive" else edge.state


def fleet_totals(
    edges: tuple[FleetEdge, ...],
    recent: Recent,
    *,
    wall_s: float,
    plan_id: str,
    database_trouble: str,
    origin_count: int,
    refused: Mapping[str, int],
) -> FleetTotals:
    total = Sums()
    for edge in edges:
        total.add(recent.sums(edge.edge, wall_s))
    return FleetTotals(
        wall_s=wall_s,
        edge_count=sum(not edge.is_revoked for edge in edges),
        by_state=dict(sorted(Counter(group(edge) for edge in edges).items())),
        recent=total.figures(),
        plan_id=plan_id,
        is_database_away=bool(database_trouble),
        database_trouble=database_trouble,
        origin_count=origin_count,
        refused={reason: count for reason, count in sorted(refused.items()) if count},
    )
