"""A forecast as a Markov chain: the rate is at one of a few levels in each step ahead.

Level i of a step is the middle of the i-th slice of that step's distribution, so all steps have the
same levels by rank and differ in rates. From step to step ranks follow a Gaussian copula: with the
correlation at 1 a good link stays good, at 0 every step is drawn afresh.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from abr.view import Floats

SLICES = (0.04, 0.11, 0.20, 0.30, 0.20, 0.11, 0.04)
"""Probability of each level: fine where the stalls are."""
_SUBDIVISION = 21
"""Points that stand for a slice when its transitions are integrated."""


class Levels:
    """The levels' ranks, and how rates are read off quantiles at those ranks."""

    def __init__(self, slices: Sequence[float] = SLICES) -> None:
        self.weights: Floats = np.array(slices)
        self.middles: Floats = np.cumsum(self.weights) - self.weights / 2.0

    @property
    def count(self) -> int:
        return int(self.weights.size)

    def rates(self, quantile_levels: Floats, quantiles_kbps: Floats) -> Floats:
        """(..., levels) kbit/s of quantiles (..., Q), interpolated between normal scores.

        Beyond the outermost quantiles the same line goes on for at most half its span.
        """
        scores = _scores(quantile_levels)
        wanted = _scores(self.middles)
        at = np.clip(np.searchsorted(scores, wanted) - 1, 0, scores.size - 2)
        share = np.clip((wanted - scores[at]) / (scores[at + 1] - scores[at]), -0.5, 1.5)
        logs = np.log2(np.maximum(quantiles_kbps, 1.0))
        rates: Floats = np.exp2(logs[..., at] * (1.0 - share) + logs[..., at + 1] * share)
        return rates


@lru_cache(maxsize=64)
def _transitions(slices: tuple[float, ...], correlation: float) -> tuple[tuple[float, ...], ...]:
    normal = NormalDist()
    edges = np.cumsum((0.0, *slices))
    edge_scores = [normal.inv_cdf(float(edge)) for edge in edges[1:-1]]
    spread = float(np.sqrt(max(1.0 - correlation**2, 1e-6)))
    rows = []
    for low, high in itertools.pairwise(edges):
        row = np.zeros(len(slices))
        for part in range(_SUBDIVISION):
            rank = low + (high - low) * (part + 0.5) / _SUBDIVISION
            score = normal.inv_cdf(float(min(max(rank, 1e-6), 1.0 - 1e-6)))
            below = [normal.cdf((edge - correlation * score) / spread) for edge in edge_scores]
            row += np.diff([0.0, *below, 1.0])
        rows.append(tuple(float(each) for each in row / row.sum()))
    return tuple(rows)


def transitions(levels: Levels, correlation: float) -> Floats:
    """(levels, levels): probability of each level (column) after each (row)."""
    slices = tuple(float(each) for each in levels.weights)
    return np.array(_transitions(slices, round(float(correlation), 3)))


def _scores(ranks: Floats) -> Floats:
    return np.array(_inverse(tuple(float(each) for each in ranks)))


@lru_cache(maxsize=64)
def _inverse(ranks: tuple[float, ...]) -> tuple[float, ...]:
    normal = NormalDist()
    return tuple(normal.inv_cdf(rank) for rank in ranks)
