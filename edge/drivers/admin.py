"""What operators and dashboards ask: `/metrics`, `/.nearcast/status`, `/.nearcast/health`.

On the main port they are answered to clients on this machine alone, everybody else's request for
such a path goes its ordinary way; with an admin address they are answered there and nowhere else.
A request that a proxy on this machine passes on (a TLS terminator, say) is not from this machine.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, Protocol

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.drivers.inference import InferenceFigures
from edge.drivers.sockets import is_loopback, listening_socket, shown
from edge.status import EdgeStatus

METRICS_PATH: Final = "/metrics"
STATUS_PATH: Final = "/.nearcast/status"
HEALTH_PATH: Final = "/.nearcast/health"
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_PROXIED: Final = frozenset({"forwarded", "via", "x-forwarded-for", "x-real-ip"})

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class DriverFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the drivers know and the core does not."""

    connection_count: int
    refused_connection_count: int
    store_failure_count: int
    """Times the store did not take or give what it should; `store_failure_last` says how."""
    store_failure_last: str | None
    store_queued_bytes: int
    process_rss_bytes: int | None
    inference: InferenceFigures


class Sight(Protocol):
    """Everything there is to see, up to this moment."""

    def status(self) -> EdgeStatus: ...

    def figures(self) -> DriverFigures: ...


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
            "model": "prefetch_wanted_by_model",
            "rule": "prefetch_wanted_by_rule",
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
    ("nearcast_edge_memory_bytes", "Bytes of objects held in RAM", "memory_bytes"),
    ("nearcast_edge_open_fills", "Fetches under way", "fills_in_flight"),
    ("nearcast_edge_open_prefetches", "Of these, prefetches", "prefetches_in_flight"),
    ("nearcast_edge_open_passes", "Requests being passed through", "passes_in_flight"),
    (
        "nearcast_edge_upstreams_troubled",
        "Upstreams left alone for now, or being tried again",
        "upstreams_troubled",
    ),
    ("nearcast_edge_open_sessions", "Viewing sessions under way", "session_count"),
    (
        "nearcast_edge_prefetch_resident_bytes",
        "Prefetched bytes that wait to be used",
        "prefetch_resident_bytes",
    ),
)
_QUANTILES: Final = (("0.5", "p50"), ("0.99", "p99"))


class _Metrics(Collector):
    """Reads the figures when somebody asks, and keeps none of its own."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        status, figures = self._sight.status(), self._sight.figures()
        for name, text, label, fields in _COUNTERS:
            counter = CounterMetricFamily(name, text, labels=[label])
            for value, field in fields.items():
                counter.add_metric([value], getattr(status, field))
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
    yield CounterMetricFamily(
        "nearcast_edge_inference_restarts",
        "Times the inference process was started anew",
        value=figures.inference.restart_count,
    )


class Admin:
    """Answers the three paths, on the main port or on one of its own."""

    def __init__(self, sight: Sight, admin_listen: str | None) -> None:
        self._sight = sight
        self._listen = admin_listen
        self._registry = CollectorRegistry()
        self._registry.register(_Metrics(sight))
        self._runner: web.ServerRunner | None = None
        self._handlers: dict[str, Handler] = {
            METRICS_PATH: self._metrics,
            STATUS_PATH: self._status,
            HEALTH_PATH: self._health,
        }

    async def start(self) -> str | None:
        """Listen on the admin address, if there is one. Raises ConfigError."""
        if self._listen is None:
            return None
        end = listening_socket(self._listen, "--admin")
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None, keepalive_timeout=30.0), shutdown_timeout=1.0
        )
        await self._runner.setup()
        await web.SockSite(self._runner, end).start()
        return shown(end)

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def special(self, request: web.BaseRequest) -> Handler | None:
        """Who answers this request on the main port instead of the core; None for the core."""
        handler = self._handlers.get(request.raw_path.partition("?")[0])
        if handler is None or self._listen is not None or not is_loopback(request.remote):
            return None
        return handler if _PROXIED.isdisjoint(name.lower() for name in request.headers) else None

    def report(self) -> dict[str, Any]:
        """The status as one JSON object: the core's figures, and the drivers' beside them."""
        status = msgspec.to_builtins(self._sight.status())
        figures = msgspec.to_builtins(self._sight.figures())
        assert isinstance(status, dict)
        assert isinstance(figures, dict)
        return {**status, **figures}

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        handler = self._handlers.get(request.raw_path.partition("?")[0])
        if handler is None:
            return web.Response(status=404, text=f"try {', '.join(self._handlers)}\n")
        return await handler(request)

    async def _metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        return _answer(request, generate_latest(self._registry), METRICS_TYPE)

    async def _status(self, request: web.BaseRequest) -> web.StreamResponse:
        return _answer(request, msgspec.json.encode(self.report()) + b"\n", "application/json")

    async def _health(self, request: web.BaseRequest) -> web.StreamResponse:
        """200 while the node takes requests, 503 from the moment it is told to stop."""
        is_draining = self._sight.status().is_draining
        text = b'{"status": "draining"}\n' if is_draining else b'{"status": "ok"}\n'
        return _answer(request, text, "application/json", status=503 if is_draining else 200)


def _answer(
    request: web.BaseRequest, text: bytes, content_type: str, *, status: int = 200
) -> web.Response:
    headers = {"content-type": content_type, "cache-control": "no-store", "server": "nearcast"}
    if request.method not in ("GET", "HEAD"):
        return web.Response(status=405, headers={"allow": "GET, HEAD"})
    if request.method == "HEAD":
        return web.Response(status=status, headers={**headers, "content-length": str(len(text))})
    return web.Response(status=status, headers=headers, body=text)


def rss_bytes() -> int | None:
    """Resident memory of this process; None where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
