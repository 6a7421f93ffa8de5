"""The figures of foreseen titles in the words of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from edge.status import EdgeStatus


def title_metrics(status: EdgeStatus) -> Iterator[Metric]:
    """With the trust of every source of prefetches, since titles are one of them."""
    titles = status.titles
    yield GaugeMetricFamily(
        "nearcast_edge_titles_model_active",
        "1 while a model of titles answers, else 0",
        value=float(titles.model_id is not None),
    )
    questions = CounterMetricFamily(
        "nearcast_edge_titles_questions",
        "Questions to the model of titles, by what became of them",
        labels=["outcome"],
    )
    questions.add_metric(["asked"], titles.asked_count)
    questions.add_metric(["failed"], titles.failed_count)
    yield questions
    yield GaugeMetricFamily(
        "nearcast_edge_titles_belief",
        "How often what viewers took up had been named, over how often it should have been",
        value=titles.belief,
    )
    trust = GaugeMetricFamily(
        "nearcast_edge_prefetch_trust",
        "What the probabilities of a source of prefetches are multiplied with",
        labels=["source"],
    )
    for source in status.prefetch_sources:
        trust.add_metric([source.source], source.trust)
    yield trust
