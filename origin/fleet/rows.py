"""How one edge is shown."""

from __future__ import annotations

from nearcast.fleet import Load, Qoe, Traffic
from nearcast.units import MS_PER_S
from origin.fleet.events import FleetEdge
from origin.fleet.watched_edge import WatchedEdge


def row_of(
    edge: WatchedEdge,
    now_s: float,
    *,
    observers: tuple[str, ...],
    sees_most_down: bool,
    plan_id: str,
) -> FleetEdge:
    """`plan_id`: the plan in force for it."""
    last = edge.heartbeat
    down = [name for name in observers if name in edge.claims and edge.claims[name].is_down]
    rtt_s = edge.probe_rtt_s
    return FleetEdge(
        edge=edge.edge,
        profile=edge.record.profile,
        state=edge.state,
        state_age_s=now_s - edge.changed_s,
        reason=edge.reason,
        duty=edge.record.duty,
        is_draining=edge.is_draining,
        is_revoked=edge.record.revoked,
        heartbeat_age_s=None if edge.heartbeat_s is None else now_s - edge.heartbeat_s,
        probe_rtt_ms=None if rtt_s is None else rtt_s * MS_PER_S,
        observer_count=len(observers),
        observers_down=tuple(sorted(down)),
        sees_most_down=sees_most_down,
        software=last.software if last else "",
        uptime_s=last.uptime_s if last else 0.0,
        clock_offset_s=edge.clock_offset_s,
        load=last.load if last else Load(),
        load_share=edge.load_share,
        storage=last.storage if last else None,
        traffic=last.traffic if last else Traffic(),
        qoe=last.qoe if last else Qoe(),
        plan_id=last.plan_id if last else "",
        is_plan_current=last is not None and last.plan_id == plan_id,
        plan_files_held=last.plan_files_held if last else 0,
        plan_files=last.plan_files if last else 0,
        held_titles=len(edge.held),
        telemetry_waiting_bytes=last.telemetry_waiting_bytes if last else 0,
        telemetry_dropped_events=last.telemetry_dropped_events if last else 0,
        refused={str(reason): count for reason, count in sorted(edge.refused.items())},
    )
