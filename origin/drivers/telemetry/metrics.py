"""What came in, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from origin.drivers.telemetry.service import TelemetryService


def telemetry_metrics(service: TelemetryService) -> Iterator[Metric]:
    intake, nats = service.figures, service.nats_figures
    yield CounterMetricFamily(
        "nearcast_origin_telemetry_events", "Events taken", value=intake.event_count
    )
    pieces = CounterMetricFamily(
        "nearcast_origin_telemetry_pieces", "Pieces of segments, by outcome", labels=["outcome"]
    )
    for outcome, count in (
        ("taken", intake.taken_count),
        ("repeated", intake.repeated_count),
        ("early", intake.early_count),
        ("refused", intake.refused_count),
        ("busy", intake.busy_count),
    ):
        pieces.add_metric([outcome], count)
    yield pieces
    odd = CounterMetricFamily(
        "nearcast_origin_telemetry_odd_lines", "Lines with something wrong", labels=["reason"]
    )
    for reason, count in sorted(intake.odd.items()):
        odd.add_metric([reason], count)
    yield odd
    if nats is None:
        return
    yield GaugeMetricFamily(
        "nearcast_origin_nats_up", "1 while NATS answers", value=float(nats.is_connected)
    )
    messages = CounterMetricFamily(
        "nearcast_origin_nats_messages", "Messages from NATS, by outcome", labels=["outcome"]
    )
    for outcome, count in (
        ("read", nats.message_count),
        ("again", nats.again_count),
        ("refused", nats.refused_count),
        ("lost", nats.lost_count),
    ):
        messages.add_metric([outcome], count)
    yield messages
