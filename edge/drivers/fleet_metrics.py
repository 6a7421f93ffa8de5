"""The figures of an edge in a fleet in the words of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from edge.drivers.fleet.figures import MembershipFigures
from edge.status import EdgeStatus


def fleet_metrics(status: EdgeStatus, figures: MembershipFigures | None) -> Iterator[Metric]:
    """What was placed, from wherever; and, of a member, how that goes."""
    placement = status.placement
    for name, text, value in (
        ("planned_bytes", "Body bytes received for a placement plan", status.planned_bytes),
        ("peer_bytes", "Body bytes received from other edges", status.peer_bytes),
        ("peer_sent_bytes", "Body bytes sent to other edges", status.peer_sent_bytes),
        ("peer_refusals", "Copies of other edges that were not taken", placement.peer_refusals),
    ):
        yield CounterMetricFamily(f"nearcast_edge_{name}", text, value=value)
    yield GaugeMetricFamily(
        "nearcast_edge_pinned_bytes", "Bytes that stay by plan", value=status.pinned_bytes
    )
    files = GaugeMetricFamily(
        "nearcast_edge_plan_files", "Files of the plan, by how far they are", labels=["state"]
    )
    files.add_metric(["held"], placement.files_held)
    files.add_metric(["given_up"], placement.files_given_up)
    left_count = placement.file_count - placement.files_held - placement.files_given_up
    files.add_metric(["missing"], left_count)
    yield files
    if figures is None:
        return
    yield GaugeMetricFamily(
        "nearcast_edge_fleet_joined",
        "1 while an origin takes this edge's heartbeats, else 0",
        value=float(figures.state == "joined"),
    )
    beats = CounterMetricFamily(
        "nearcast_edge_heartbeats", "Heartbeats, by what became of them", labels=["outcome"]
    )
    beats.add_metric(["taken"], figures.heartbeat_count)
    beats.add_metric(["failed"], figures.heartbeat_failures)
    yield beats
    yield CounterMetricFamily(
        "nearcast_edge_observation_failures",
        "Messages about other edges that no origin took",
        value=figures.observation_failures,
    )
    yield CounterMetricFamily(
        "nearcast_edge_plan_refusals",
        "Plans that were not followed: forged, expired, of another edge",
        value=figures.plan_refusals,
    )
    yield GaugeMetricFamily(
        "nearcast_edge_peers_down", "Other edges seen failing", value=len(figures.down)
    )
