"""How far a mean of paired differences can be trusted."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from abr.view import Floats

RESAMPLES = 4000
COVERED = 0.95
SESSIONS_MIN = 5
"""Of fewer the bootstrap tells too little: of two it covers the mean half of the time."""
DRAWS_MAX = 1 << 21
"""Indices drawn at a time: 16 MiB."""


class Interval(msgspec.Struct, frozen=True):
    """A mean and what it lies between; no bounds where a group is too small to say of spread."""

    mean: float
    low: float | None
    high: float | None


def mean_interval(
    groups: Sequence[Floats], draw: np.random.Generator, resamples: int = RESAMPLES
) -> Interval:
    """The mean over groups of each group's mean, with its percentile bootstrap interval.

    Values are redrawn within their group, so that large groups weigh no more than small ones.
    Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3. With heavy
    tails (one session that hits an outage owns the mean) it is a little too narrow.
    """
    mean = float(np.mean([group.mean() for group in groups]))
    if any(group.size < SESSIONS_MIN for group in groups):
        return Interval(mean, None, None)
    sums = np.zeros(resamples)
    for group in groups:
        at_once = max(1, DRAWS_MAX // group.size)
        for first in range(0, resamples, at_once):
            count = min(at_once, resamples - first)
            picked = draw.integers(0, group.size, (count, group.size))
            sums[first : first + count] += group[picked].mean(axis=1)
    tail = (1.0 - COVERED) / 2.0
    low, high = np.quantile(sums / len(groups), (tail, 1.0 - tail))
    return Interval(mean, float(low), float(high))
