"""The figures of a node in the words of Prometheus; docs/metrics.md says what each answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final, Protocol, get_args

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.drivers.fleet.figures import MembershipFigures
from edge.drivers.fleet_metrics import fleet_metrics
from edge.drivers.inference import InferenceFigures
from edge.drivers.model_metrics import model_metrics
from edge.drivers.models import RegistryFigures
from edge.drivers.telemetry.figures import TelemetryFigures, telemetry_metrics
from edge.drivers.title_metrics import title_metrics
from edge.drivers.titles import TitlesInferenceFigures
from edge.drivers.upstream.failures import UpstreamFailure
from edge.models.figures import ModelsFigures
from edge.prefetch.judge import Foreseer
from edge.status import EdgeStatus


class DriverFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the drivers know and the core does not."""

    connection_count: int
    refused_connection_count: int
    store_failure_count: int
    """Times the store did not take or give what it should; `store_failure_last` says how."""
    store_failure_last: str | None
    store_state: str = "none"
    """ok; full, read-only or failing: nothing is stored, and it is tried again; none: no store."""
    store_damaged_count: int = 0
    """Stored objects that turned out damaged or missing; they were dropped."""
    store_queued_bytes: int
    upstream_failures: tuple[UpstreamFailure, ...]
    """The last failure of each upstream that ever failed."""
    process_rss_bytes: int | None
    reload_count: int
    """Times new settings were taken over; `reload_failure_count`: and refused."""
    reload_failure_count: int
    inference: InferenceFigures
    registry: RegistryFigures
    titles_inference: TitlesInferenceFigures | None = None
    fleet: MembershipFigures | None = None
    """None: this edge takes part in no fleet."""
    telemetry: TelemetryFigures | None = None


class Figures(Protocol):
    """Where the figures are, up to this moment."""

    def status(self) -> EdgeStatus: ...

    def figures(self) -> DriverFigures: ...

    def models(self) -> ModelsFigures: ...


# name -> (what it counts, fields of EdgeStatus by label value, label)
_COUNTERS: Final = (
    (
        "nearcast_edge_answers",
        "Answers sent, by where they came from",
        "source",
        {
            "store": "answers_store",
            "fill": "answers_stream",
            "upstream": "answers_upstream",
            "own": "answers_own",
        },
    ),
    (
        "nearcast_edge_origin_bytes",
        "Body bytes received from upstream, by what they were fetched for",
        "reason",
        {"demand": "demand_fill_bytes", "pass": "pass_bytes", "prefetch": "prefetch_bytes"},
    ),
    (
        "nearcast_edge_fills",
        "Fetches from upstream that ended, by outcome",
        "outcome",
        {"stored": "fills_stored", "failed": "fills_failed", "cancelled": "fills_cancelled"},
    ),
    (
        "nearcast_edge_upstream_failures",
        "Fetches that upstream failed, by how",
        "cause",
        {
            "refused": "upstream_refused",
            "broken": "upstream_broken",
            "timeout": "upstream_timeouts",
            "cut": "upstream_cut",
        },
    ),
    (
        "nearcast_edge_predictions",
        "Questions to the model, by what became of them",
        "outcome",
        {"asked": "predictions_asked", "failed": "predictions_failed", "late": "predictions_late"},
    ),
    (
        "nearcast_edge_prefetch_decisions",
        "Whether a successor was worth its bytes, and who decided",
        "decision",
        {
            "unwanted": "prefetch_unwanted",
            "refused": "prefetch_refused",
        },
    ),
)
_PLAIN_COUNTERS: Final = (
    ("nearcast_edge_requests", "Requests received", "request_count"),
    ("nearcast_edge_client_bytes", "Body bytes sent to clients", "client_bytes"),
    ("nearcast_edge_resident_bytes", "Of these, sent from the store", "resident_bytes_sent"),
    ("nearcast_edge_collapsed_requests", "Requests that joined a fetch", "collapsed_count"),
    ("nearcast_edge_stale_answers", "Answers that were stale", "stale_served"),
    ("nearcast_edge_revalidations", "Objects that a 304 renewed", "revalidation_count"),
    ("nearcast_edge_upstream_retries", "Fetches tried once more", "upstream_retry_count"),
    (
        "nearcast_edge_upstream_spared_requests",
        "Misses answered at once while upstream was failing",
        "upstream_spared_count",
    ),
    (
        "nearcast_edge_upstream_breaker_openings",
        "Times that a failing upstream was left alone",
        "breaker_opening_count",
    ),
    ("nearcast_edge_evictions", "Objects that made room", "eviction_count"),
    ("nearcast_edge_purges", "Purges done", "purge_count"),
    ("nearcast_edge_purged_objects", "Objects that purges dropped or made stale", "purged_count"),
    ("nearcast_edge_sessions", "Viewing sessions begun", "sessions_started"),
    ("nearcast_edge_checkpoints", "Progress checkpoints reached", "checkpoint_count"),
    (
        "nearcast_edge_prefetch_used_bytes",
        "Prefetched bytes used before they left",
        "prefetch_used_bytes",
    ),
    (
        "nearcast_edge_prefetch_waste_bytes",
        "Prefetched bytes that nobody used",
        "prefetch_waste_bytes",
    ),
)
_GAUGES: Final = (
    ("nearcast_edge_uptime_seconds", "Since the node started", "uptime_s"),
    ("nearcast_edge_objects", "Objects in the store", "object_count"),
    ("nearcast_edge_object_bytes", "Bytes of the objects in the store", "object_bytes"),
    ("nearcast_edge_capacity_bytes", "What the store may hold", "capacity_bytes"),
    ("nearcast_edge_index_bytes", "RAM that knowing of the objects takes", "index_bytes"),
    ("nearcast_edge_memory_bytes", "Bytes of objects held in RAM", "memory_bytes"),
    ("nearcast_edge_open_fills", "Fetches under way", "fills_in_flight"),
    ("nearcast_edge_open_prefetches", "Of these, prefetches", "prefetches_in_flight"),
    ("nearcast_edge_open_passes", "Requests being passed through", "passes_in_flight"),
    (
        "nearcast_edge_upstreams_troubled",
        "Upstreams left alone for now, or being tried again",
        "upstreams_troubled",
    ),
    ("nearcast_edge_titles", "Titles known from manifests", "title_count"),
    ("nearcast_edge_titles_bytes", "RAM that knowing of the titles takes", "titles_bytes"),
    ("nearcast_edge_open_sessions", "Viewing sessions under way", "session_count"),
    (
        "nearcast_edge_prefetch_resident_bytes",
        "Prefetched bytes that wait to be used",
        "prefetch_resident_bytes",
    ),
)
_QUANTILES: Final = (("0.5", "p50"), ("0.99", "p99"))


class EdgeCollector(Collector):
    """Reads the figures when somebody asks, and keeps none of its own."""

    def __init__(self, source: Figures) -> None:
        self._source = source

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        status, figures = self._source.status(), self._source.figures()
        for name, text, label, fields in _COUNTERS:
            counter = CounterMetricFamily(name, text, labels=[label])
            for value, field in fields.items():
                counter.add_metric([value], getattr(status, field))
            if name == "nearcast_edge_prefetch_decisions":
                for source in get_args(Foreseer):
                    counter.add_metric([source], status.prefetch_wanted.get(source, 0))
            yield counter
        for name, text, field in _PLAIN_COUNTERS:
            yield CounterMetricFamily(name, text, value=getattr(status, field))
        for name, text, field in _GAUGES:
            yield GaugeMetricFamily(name, text, value=getattr(status, field))
        yield GaugeMetricFamily(
            "nearcast_edge_model_active",
            "1 while a model decides, 0 while the rule does",
            value=float(status.model_id is not None),
        )
        yield from _of_drivers(figures)
        if figures.telemetry is not None:
            yield from telemetry_metrics(figures.telemetry)
        yield from title_metrics(status)
        yield from fleet_metrics(status, figures.fleet)
        yield from model_metrics(self._source.models(), figures.registry)


def _of_drivers(figures: DriverFigures) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "nearcast_edge_connections", "Client connections", value=figures.connection_count
    )
    yield CounterMetricFamily(
        "nearcast_edge_refused_connections",
        "Connections closed because there were too many",
        value=figures.refused_connection_count,
    )
    yield CounterMetricFamily(
        "nearcast_edge_store_failures",
        "Times the store did not take or give what it should",
        value=figures.store_failure_count,
    )
    yield GaugeMetricFamily(
        "nearcast_edge_store_refuses",
        "1 while the store takes nothing new, else 0",
        value=float(figures.store_state not in ("ok", "none")),
    )
    yield CounterMetricFamily(
        "nearcast_edge_store_damaged_objects",
        "Stored objects that turned out damaged or missing",
        value=figures.store_damaged_count,
    )
    if figures.process_rss_bytes is not None:
        yield GaugeMetricFamily(
            "nearcast_edge_process_memory_bytes",
            "Resident memory of the node's main process",
            value=figures.process_rss_bytes,
        )
    for name, prefix, text in (
        ("inference", "", "What the model takes for a batch, over the last answers"),
        (
            "round_trip",
            "round_trip_",
            "From the question to the model's answer, over the last answers",
        ),
    ):
        gauge = GaugeMetricFamily(f"nearcast_edge_{name}_seconds", text, labels=["quantile"])
        for label, field in _QUANTILES:
            value = getattr(figures.inference, f"{prefix}{field}_s")
            if value is not None:
                gauge.add_metric([label], value)
        yield gauge
    reloads = CounterMetricFamily(
        "nearcast_edge_reloads", "Times new settings were read, by outcome", labels=["outcome"]
    )
    reloads.add_metric(["applied"], figures.reload_count)
    reloads.add_metric(["refused"], figures.reload_failure_count)
    yield reloads
    yield CounterMetricFamily(
        "nearcast_edge_inference_restarts",
        "Times the inference process was started anew",
        value=figures.inference.restart_count,
    )


def rss_bytes() -> int | None:
    """Resident memory of this process; None where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
