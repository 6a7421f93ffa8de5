"""The estimators that players use, to be beaten: arrays, one row a history."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from predictor.bandwidth.features import RATE_KBPS_MIN
from predictor.bandwidth.history import Floats, History

_MEAN_OF = 5
HALF_LIVES_S = (3.0, 8.0)
"""The players' own (abr.throughput), which nothing here may import: a test compares them."""


def last(history: History) -> Floats:
    return _floored(history.samples_kbps[:, -1])


def mean_of_five(history: History) -> Floats:
    return np.asarray(np.nanmean(_floored(history.samples_kbps[:, -_MEAN_OF:]), axis=1))


def harmonic_of_five(history: History) -> Floats:
    return np.asarray(1.0 / np.nanmean(1.0 / _floored(history.samples_kbps[:, -_MEAN_OF:]), axis=1))


def cautious_average(history: History) -> Floats:
    """The lesser of two moving averages with half-lives of 3 s and 8 s of transfer time."""
    kbps = _floored(history.samples_kbps)
    found = []
    for half_life_s in HALF_LIVES_S:
        value, total = np.zeros(len(kbps)), np.zeros(len(kbps))
        for at in range(kbps.shape[1]):
            known = ~np.isnan(kbps[:, at])
            keep = 0.5 ** (np.where(known, history.samples_duration_s[:, at], 0.0) / half_life_s)
            value = keep * value + (1.0 - keep) * np.where(known, kbps[:, at], 0.0)
            total = keep * total + (1.0 - keep)
        found.append(value / np.maximum(total, 1e-12))
    return np.minimum(*found)


RULES: dict[str, Callable[[History], Floats]] = {
    "last": last,
    "mean of 5": mean_of_five,
    "harmonic of 5": harmonic_of_five,
    "average 3 s, 8 s": cautious_average,
}


def _floored(kbps: Floats) -> Floats:
    return np.maximum(kbps, RATE_KBPS_MIN)
