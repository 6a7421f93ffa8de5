"""The figures of a title model, and how they are gathered and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from predictor.bench import Latency
from predictor.bench import measure as measure_latency
from predictor.calibrate import ece
from predictor.recommend.blend import BlendSettings
from predictor.recommend.history import Ints, Scorer
from predictor.recommend.rows import best
from predictor.recommend.served import as_input
from predictor.runtime import Graph
from predictor.train.recommend_fit import Tried
from predictor.train.recommend_measuring import (
    Difference,
    Quality,
    difference,
    quality,
    ranks,
    top_agreement,
)
from predictor.train.recommend_queries import Query, thinned

_QUERIES_MAX: Final = 20_000
_AGREEMENT_QUERIES: Final = 2_000
_LATENCY_ROWS: Final = 256
_PRICED_TITLES: Final = 10
BASELINES: Final = ("popularity", "markov")


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What the int8 graph foretold of its first titles, and what happened."""

    first_foretold: float
    first_happened: float
    ten_foretold: float
    ten_happened: float
    ece: float
    """Over the first ten titles of every query, as rows."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """All scorers on the same queries."""

    quality: dict[str, Quality]
    """Of popularity, markov, float and int8."""
    above: dict[str, dict[str, Difference]]
    """Of the float and the int8 graph: above each baseline."""
    top_10_agreement: float
    calibration: Calibration


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` writes. `test` is by kind of question: `all` next titles after the training
    events or the `last` one of each viewer; without --test their names say what was kept apart."""

    model_id: str
    seed: int
    titles: int
    plays: int
    viewers: int
    test: dict[str, dict[str, Quality]]
    baselines: dict[str, dict[str, Quality]]
    above: dict[str, dict[str, dict[str, Difference]]]
    """By kind of question: of the float and the int8 graph, above each baseline."""
    best_baseline: dict[str, str]
    """By kind of question: whose NDCG@10 has to be beaten."""
    top_10_agreement: dict[str, float]
    calibration: dict[str, Calibration]
    size_bytes: int
    size_bytes_float: int
    """Of the same graph with numbers of titles and weights of 32 bits."""
    latency_s: dict[str, tuple[Latency, ...]]
    settings: BlendSettings
    tried: tuple[Tried, ...]


def measure(
    scorers: Mapping[str, Scorer], asked: Sequence[Query], plays: Ints, seed: int
) -> Measured:
    """`scorers`: popularity, markov, float and int8; `plays` (titles,) in training."""
    asked = thinned(asked, _QUERIES_MAX)
    rank = {name: ranks(scorer, asked) for name, scorer in scorers.items()}
    some = thinned(asked, _AGREEMENT_QUERIES)
    return Measured(
        quality={name: quality(rank[name], asked, plays) for name in scorers},
        above={
            name: {other: difference(rank[name], rank[other], asked, seed) for other in BASELINES}
            for name in ("float", "int8")
        },
        top_10_agreement=top_agreement(scorers["float"], scorers["int8"], some),
        calibration=_calibration(scorers["int8"], some),
    )


def latency(
    graphs: Mapping[str, Graph], histories: Sequence[Ints], calls: int
) -> dict[str, tuple[Latency, ...]]:
    """CPU time of one answer, asked one by one with real histories."""
    rows = as_input(sorted(histories, key=len, reverse=True)[:_LATENCY_ROWS])
    return measure_latency(graphs, rows=rows, calls=calls, batches=(1, 32))


def _calibration(scorer: Scorer, asked: Sequence[Query]) -> Calibration:
    foretold = np.zeros((len(asked), _PRICED_TITLES))
    happened = np.zeros((len(asked), _PRICED_TITLES))
    for at, query in enumerate(asked):
        chances = scorer.scores(query.history).copy()
        total = chances.sum()
        chances[query.history] = 0.0
        chances *= total / max(chances.sum(), 1e-12)
        first = best(chances, _PRICED_TITLES)
        foretold[at, : len(first)] = chances[first]
        happened[at, : len(first)] = first == query.answer
    return Calibration(
        first_foretold=float(foretold[:, 0].mean()),
        first_happened=float(happened[:, 0].mean()),
        ten_foretold=float(foretold.sum(axis=1).mean()),
        ten_happened=float(happened.sum(axis=1).mean()),
        ece=ece(foretold.ravel(), happened.ravel()),
    )


def lines(report: Report) -> list[str]:
    """The report as a person reads it."""
    share = report.size_bytes / max(1, report.size_bytes_float)
    found = [
        f"{report.titles} titles, {report.plays} first plays of {report.viewers} viewers; "
        f"{report.size_bytes} bytes int8, {share:.2f} of the float graph's"
    ]
    for name, rows in report.test.items():
        one = rows["int8"]
        found += [
            f"{name}: {one.queries} questions of {one.viewers} viewers",
            f"  {'':<12}{'NDCG@10':>9}{'R@10':>8}{'R@20':>8}{'of known':>10}{'cold':>8}{'warm':>8}",
        ]
        both = {kind: report.baselines[kind][name] for kind in BASELINES}
        for who, row in {**both, **rows}.items():
            found.append(
                f"  {who:<12}{row.ndcg_10:>9.4f}{row.recall_10:>8.4f}{row.recall_20:>8.4f}"
                f"{row.ndcg_10_known:>10.4f}{row.ndcg_10_cold:>8.4f}{row.ndcg_10_warm:>8.4f}"
            )
        for other, above in report.above[name]["int8"].items():
            is_best = " (the best baseline)" if other == report.best_baseline[name] else ""
            found.append(
                f"  int8 above {other} {above.mean:+.4f} "
                f"(95 % {above.low:+.4f} to {above.high:+.4f}){is_best}"
            )
        priced = report.calibration[name]
        found += [
            f"  top-10 agreement of int8 with float {report.top_10_agreement[name]:.3f}",
            f"  of the first ten titles foretold {priced.ten_foretold:.3f}, happened "
            f"{priced.ten_happened:.3f}; of the first {priced.first_foretold:.3f}, "
            f"{priced.first_happened:.3f}; ECE {priced.ece:.4f}",
        ]
    times = {name: rows[0] for name, rows in report.latency_s.items()}
    found.append(
        "One viewer, CPU time: "
        + "; ".join(
            f"{name} p50 {one.p50 * 1e3:.2f} ms, p99 {one.p99 * 1e3:.2f} ms"
            for name, one in times.items()
        )
    )
    return found
