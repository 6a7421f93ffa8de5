"""The figures of models in the words of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from edge.drivers.models import RegistryFigures
from edge.models.figures import ModelsFigures
from edge.models.run import State
from nearcast.horizons import HORIZONS

_ROLES: Mapping[State, str] = {
    "starting": "starting",
    "shadow": "shadow",
    "active": "active",
    "probation": "active",
    "previous": "previous",
}
_BY_HORIZON = ["role", "horizon"]


def model_metrics(models: ModelsFigures, registry: RegistryFigures) -> Iterator[Metric]:
    """By role, since there are few; which model has it says the status."""
    for name, text, counts in (
        ("refusals", "Models that came no further, by reason", models.refusals),
        ("rollbacks", "Active models that were given up, by reason", models.rollbacks),
    ):
        counter = CounterMetricFamily(f"nearcast_edge_model_{name}", text, labels=["reason"])
        for reason, count in counts.items():
            counter.add_metric([reason], count)
        yield counter
    yield CounterMetricFamily(
        "nearcast_edge_model_switches",
        "Times another model became active",
        value=models.switch_count,
    )
    families = {
        name: GaugeMetricFamily(f"nearcast_edge_model_{name}", text, labels=labels)
        for name, text, labels in (
            ("outcomes", "Outcomes that the figures of a model are made of", _BY_HORIZON),
            ("log_loss", "Log-loss of a model, over these", _BY_HORIZON),
            ("calibration_error", "Expected calibration error, over these", _BY_HORIZON),
            ("calibration_gap", "What it says on average, less what came true", _BY_HORIZON),
            ("tail_seconds", "The slowest answer in a hundred", ["role"]),
            ("drift_index", "Of the feature furthest from the training rows", ["role"]),
        )
    }
    for one in models.models:
        role = [_ROLES[one.state]]
        by_horizon = (one.within_30min, one.within_24h, one.within_7d)
        for horizon, scores in zip(HORIZONS, by_horizon, strict=True):
            labels = [*role, horizon]
            families["outcomes"].add_metric(labels, scores.outcome_count if scores else 0)
            if scores is not None:
                gap = scores.mean_probability - scores.share
                families["log_loss"].add_metric(labels, scores.log_loss)
                families["calibration_error"].add_metric(labels, scores.ece)
                families["calibration_gap"].add_metric(labels, gap)
        if one.p99_s is not None:
            families["tail_seconds"].add_metric(role, one.p99_s)
        if one.drift:
            families["drift_index"].add_metric(role, one.drift[0].psi)
    yield from families.values()
    yield GaugeMetricFamily(
        "nearcast_edge_model_registry_up",
        "1 while the registry gives its list, 0 while it fails or is not asked",
        value=float(registry.state == "ok"),
    )
    yield CounterMetricFamily(
        "nearcast_edge_model_registry_failures",
        "Times the registry gave no list",
        value=registry.failure_count,
    )
