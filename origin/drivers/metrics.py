"""What the origin counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest


class OriginMetrics:
    """Counters of one origin, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "nearcast_origin_requests",
            "Requests answered, by class of status",
            ["status"],
            registry=self.registry,
        )
        self.sent_bytes = Counter(
            "nearcast_origin_sent_bytes", "Body bytes sent to clients", registry=self.registry
        )
        self.broken = Counter(
            "nearcast_origin_broken_answers",
            "Answers that ended before their last byte: the client left, or a file was damaged",
            registry=self.registry,
        )
        self.object_reads = Counter(
            "nearcast_origin_object_reads",
            "Requests to the object store for media, by what came of them",
            ["outcome"],
            registry=self.registry,
        )
        self.open = Gauge(
            "nearcast_origin_open_requests", "Requests being answered now", registry=self.registry
        )
        self.titles = Gauge(
            "nearcast_origin_titles", "Titles in the catalogue", registry=self.registry
        )
        self.models = Gauge(
            "nearcast_origin_models", "Models on offer to edges", registry=self.registry
        )

    def answered(self, status: int) -> None:
        self.requests.labels(status=f"{status // 100}xx").inc()

    def totals(self) -> dict[str, float]:
        """Every figure by its name and labels, for a report at the end."""
        return {
            "/".join((sample.name, *sample.labels.values())): sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if not sample.name.endswith("_created")
        }

    def text(self) -> bytes:
        return generate_latest(self.registry)
