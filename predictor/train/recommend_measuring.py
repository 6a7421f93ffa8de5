"""How well titles are ranked: NDCG and recall over the whole catalogue, with paired intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from predictor.recommend.history import Floats, Ints, Scorer
from predictor.recommend.rows import best
from predictor.train.recommend_queries import Query

_RESAMPLES = 4_000
_RESAMPLES_AT_ONCE = 100
_MISSED = 10**9  # the rank of what no model can know
COLD_PLAYS_MAX = 5


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """Means over queries; what no model can know counts as missed, but in `ndcg_10_known`."""

    ndcg_10: float
    recall_10: float
    recall_20: float
    ndcg_10_known: float
    ndcg_10_cold: float
    """Over answers with at most five plays in training."""
    ndcg_10_warm: float
    queries: int
    viewers: int


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """NDCG@10 of one scorer above another's on the same queries, by resampled viewers."""

    mean: float
    low: float
    high: float
    """Of the 95 % interval."""


def ranks(scorer: Scorer, asked: Sequence[Query]) -> Ints:
    """(queries,) place of each answer from 0, seen titles left out, over all known titles."""
    found = np.full(len(asked), _MISSED, dtype=np.int64)
    for at, query in enumerate(asked):
        if query.answer < 0:
            continue
        scores = scorer.scores(query.history).copy()
        scores[query.history] = -np.inf
        own = scores[query.answer]
        # Titles are numbered from the most watched: of equal ones that decides.
        found[at] = (scores > own).sum() + (scores[: query.answer] == own).sum()
    return found


def gains(rank: Ints) -> Floats:
    """(queries,) NDCG@10 of each, its one answer at `rank`."""
    return np.where(rank < 10, 1.0 / np.log2(np.minimum(rank, 10) + 2.0), 0.0)


def quality(rank: Ints, asked: Sequence[Query], plays: Ints) -> Quality:
    """`plays` (titles,) in training."""
    answers = np.array([query.answer for query in asked], dtype=np.int64)
    is_known = answers >= 0
    is_cold = is_known & (plays[np.maximum(answers, 0)] <= COLD_PLAYS_MAX)
    gain = gains(rank)
    return Quality(
        ndcg_10=_mean(gain),
        recall_10=_mean(rank < 10),
        recall_20=_mean(rank < 20),
        ndcg_10_known=_mean(gain[is_known]),
        ndcg_10_cold=_mean(gain[is_cold]),
        ndcg_10_warm=_mean(gain[is_known & ~is_cold]),
        queries=len(asked),
        viewers=len({query.viewer for query in asked}),
    )


def difference(rank: Ints, other: Ints, asked: Sequence[Query], seed: int) -> Difference:
    """Viewers are resampled with all their queries: what one viewer does hangs together."""
    _, who = np.unique([query.viewer for query in asked], return_inverse=True)
    count = int(who.max()) + 1
    apart = gains(rank) - gains(other)
    sums = np.bincount(who, weights=apart, minlength=count)
    sizes = np.bincount(who, minlength=count)
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(0, _RESAMPLES, _RESAMPLES_AT_ONCE):
        drawn = rng.integers(0, count, (_RESAMPLES_AT_ONCE, count))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    low, high = np.quantile(means, (0.025, 0.975))
    return Difference(mean=_mean(apart), low=float(low), high=float(high))


def top_agreement(one: Scorer, other: Scorer, asked: Sequence[Query], count: int = 10) -> float:
    """Share of the first ten titles of one scorer that are among the other's first ten."""
    shared = []
    for query in asked:
        tops = []
        for scorer in (one, other):
            scores = scorer.scores(query.history).copy()
            scores[query.history] = -np.inf
            tops.append(set(best(scores, count).tolist()))
        shared.append(len(tops[0] & tops[1]) / max(1, len(tops[0])))
    return _mean(np.array(shared))


def _mean(values: NDArray[Any]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
