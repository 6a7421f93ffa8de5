"""How much the rank of one window's outcome says of the next window's."""

from __future__ import annotations

from itertools import pairwise
from statistics import NormalDist

import numpy as np

from predictor.bandwidth.model import LEVELS
from predictor.train.bandwidth_rows import Rows, Singles


def rank_correlation(rows: Rows, quantiles: Singles) -> tuple[float, ...]:
    """Per pair of neighbouring windows; the correlation of normal scores (a Gaussian copula).

    Each family counts alike. `quantiles` is (n, windows, levels), in the rows' log2 ratios.
    """
    scores = np.stack(
        [normal_scores(rows.targets[:, at], quantiles[:, at]) for at in range(quantiles.shape[1])]
    )
    found = []
    for low, high in pairwise(scores):
        each = []
        for family in np.unique(rows.family):
            known = (rows.family == family) & ~np.isnan(low) & ~np.isnan(high)
            if known.sum() > 1:
                each.append(float(np.corrcoef(low[known], high[known])[0, 1]))
        found.append(round(float(np.clip(np.mean(each), -0.99, 0.99)), 4) if each else 0.0)
    return tuple(found)


def normal_scores(outcomes: Singles, quantiles: Singles) -> Singles:
    """(n,): where outcomes lie in their forecasts (n, levels), on the scale of a normal."""
    normal = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
    below = (quantiles < outcomes[:, None]).sum(axis=1)
    at = np.clip(below, 1, len(normal) - 1)
    rows = np.arange(len(outcomes))
    low, high = quantiles[rows, at - 1], quantiles[rows, at]
    share = np.clip((outcomes - low) / np.maximum(high - low, 1e-6), -0.5, 1.5)
    scores = normal[at - 1] + share * (normal[at] - normal[at - 1])
    return np.where(np.isnan(outcomes), np.nan, scores).astype(np.float32)
