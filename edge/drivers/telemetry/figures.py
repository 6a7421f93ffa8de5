"""How telling the origin goes, for the status and for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily


class TelemetryFigures(msgspec.Struct, frozen=True, kw_only=True):
    waiting_bytes: int
    """On the disk, and not taken by the origin yet."""
    dropped_events: int
    """Lost since the node started: no disk for them, no room, or nobody who takes them."""
    failure: str
    """Why nothing is written, or sent; empty: all is well."""


def telemetry_metrics(figures: TelemetryFigures) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "nearcast_edge_telemetry_waiting_bytes",
        "Telemetry that the origin has not taken yet",
        value=figures.waiting_bytes,
    )
    yield CounterMetricFamily(
        "nearcast_edge_telemetry_dropped_events",
        "Events that were lost: no disk, no room, or refused",
        value=figures.dropped_events,
    )
