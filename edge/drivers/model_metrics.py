"""The figures of models in the words of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from edge.drivers.models import RegistryFigures
from edge.models.figures import ModelsFigures
from edge.models.run import State

_ROLES: Mapping[State, str] = {
    "starting": "starting",
    "shadow": "shadow",
    "active": "active",
    "probation": "active",
    "previous": "previous",
}


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
        name: GaugeMetricFamily(f"nearcast_edge_model_{name}", text, labels=["role"])
        for name, text in (
            ("outcomes", "Outcomes that the figures of a model are made of"),
            ("log_loss", "Log-loss of a model within half an hour, over these"),
            ("calibration_error", "Expected calibration error, over these"),
            ("calibration_gap", "What a model says on average, less what came true"),
            ("tail_seconds", "The slowest answer in a hundred"),
            ("drift_index", "Of the feature that is furthest from the training rows"),
        )
    }
    for one in models.models:
        role = [_ROLES[one.state]]
        scores = one.within_30min
        families["outcomes"].add_metric(role, scores.outcome_count if scores else 0)
        if scores is not None:
            families["log_loss"].add_metric(role, scores.log_loss)
            families["calibration_error"].add_metric(role, scores.ece)
            families["calibration_gap"].add_metric(role, scores.mean_probability - scores.share)
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
