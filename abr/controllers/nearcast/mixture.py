"""What comes next where nobody has said whether the edge holds it: one of two distributions.

A session's own samples say how often the edge had what it asked for. The lower confidence bound of
that share weighs the forecast of a hit against that of a miss: the share itself makes plans that
stall more than without a cache, where a third of the segments are hits; counting all as misses
throws away half of the QoE where nine of ten are. The misses stay in the lower quantiles, so a run
of hits never makes the backhaul look fast. Measured in docs/results/abr.md.
"""

from __future__ import annotations

import numpy as np

from abr.view import Floats, History
from predictor.bandwidth import Forecast

HALF_LIFE_SAMPLES = 8.0
"""After so many samples a hit counts half."""
DOUBT_SAMPLES = 1.0
"""Misses that every session is taken to have had."""
DEVIATIONS = 2.5
"""The bound lies so many standard deviations below the share."""


def hit_share(history: History) -> Floats:
    """(n,): how likely the next segment is an edge hit at least, in [0, 1)."""
    age = np.arange(history.kbps.shape[1])[::-1]
    weight = np.where(np.isnan(history.kbps), 0.0, 0.5 ** (age / HALF_LIFE_SAMPLES))
    count = weight.sum(axis=1) + DOUBT_SAMPLES
    share = (weight * history.is_hit).sum(axis=1) / count
    bound: Floats = share - DEVIATIONS * np.sqrt(share * (1.0 - share) / count)
    return np.maximum(bound, 0.0)


def mixed(miss: Forecast, hit: Forecast, share: Floats) -> Forecast:
    """The forecast of a transfer that is a hit with probability `share` (n,)."""
    rows = np.flatnonzero(share > 0)
    if not rows.size:
        return miss
    levels = miss.levels
    edges = np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2.0, [1.0]])
    mass = np.diff(edges)  # of each quantile, as a point
    points = np.log2(np.concatenate([miss.kbps[rows], hit.kbps[rows]], axis=2))
    part = share[rows, None, None]
    weights = np.concatenate([(1.0 - part) * mass, part * mass], axis=2)
    weights = np.broadcast_to(weights, points.shape)
    order = points.argsort(axis=2, kind="stable")
    points = np.take_along_axis(points, order, axis=2)
    weights = np.take_along_axis(weights, order, axis=2)
    below = weights.cumsum(axis=2) - weights / 2.0  # rising: the rank of each point
    right = (below[..., None, :] < levels[:, None]).sum(axis=3)
    right = right.clip(1, points.shape[2] - 1)
    low, high = (np.take_along_axis(points, at, axis=2) for at in (right - 1, right))
    rank_low, rank_high = (np.take_along_axis(below, at, axis=2) for at in (right - 1, right))
    step = ((levels - rank_low) / np.maximum(rank_high - rank_low, 1e-9)).clip(0.0, 1.0)
    kbps = miss.kbps.copy()
    kbps[rows] = np.exp2(low + step * (high - low))
    return Forecast(levels=levels, kbps=kbps)
