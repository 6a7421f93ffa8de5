"""The bandwidth model's inputs, computed by this module alone: in training and in service.

All levels are log2 ratios to the row's own reference (a recency-weighted mean of its log rates),
so a link of 1 Mbit/s and one of 1 Gbit/s that move alike look alike. Only one input knows the
level, and weakly. Time enters as the age of each sample: a rate of half a minute ago is worth
less, whether idle time or slow transfers lie between.

Weighted sums over four memories (a few seconds to all) come from one small matrix product per
row, as single rows must be as quick as numpy allows.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from predictor.bandwidth.history import Floats, History

FEATURE_VERSION: Final = 1
RATE_KBPS_MIN: Final = 10.0
"""What an outage counts as: below this no video plays, and a logarithm needs an end."""
RECENT_COUNT: Final = 8
TIMED_COUNT: Final = 4
MEMORIES_S: Final = (3.0, 10.0, 40.0, 200.0)
_REFERENCE_MEMORY: Final = 1
_SAMPLE_S_MAX: Final = 8.0
_AGE_S_MAX: Final = 600.0
_SIZE_S_UNKNOWN: Final = 4.0
_LEVEL_MIDDLE: Final = 13.0  # log2 kbit/s, about 8 Mbit/s
_VOLATILITY_MIN: Final = 0.02

FEATURE_NAMES: Final = (
    *(f"ratio_{k}" for k in range(RECENT_COUNT, 0, -1)),
    *(f"log_duration_{k}" for k in range(TIMED_COUNT, 0, -1)),
    *(f"log_age_{k}" for k in range(TIMED_COUNT, 0, -1)),
    *(f"mean_{tau:g}s" for tau in MEMORIES_S),
    *(f"log_volatility_{tau:g}s" for tau in MEMORIES_S),
    *(f"log_rate_{tau:g}s" for tau in MEMORIES_S),
    "minimum",
    "maximum",
    "mean_abs_step",
    "step_product",
    "recent_abs_step",
    "log_count",
    "log_seen_s",
    "log_size_s",
    "is_size_known",
    "log_ttfb",
    "level",
)
FEATURE_COUNT: Final = len(FEATURE_NAMES)


def compute(history: History) -> tuple[NDArray[np.float32], Floats]:
    """(n, FEATURE_COUNT), and (n,) the reference in log2 kbit/s. Rows need a sample each."""
    kbps = history.samples_kbps
    n, width = kbps.shape
    is_known = kbps == kbps
    known = is_known.astype(np.float64)
    level = np.log2(np.maximum(np.where(is_known, kbps, RATE_KBPS_MIN), RATE_KBPS_MIN))
    duration_s = np.where(is_known, history.samples_duration_s, 0.0)
    span_s = duration_s + np.where(is_known, history.samples_ttfb_s + history.samples_gap_s, 0.0)
    since_s = span_s.cumsum(axis=1)
    age_s = np.minimum(since_s[:, -1:] - since_s + history.gap_s[:, None], _AGE_S_MAX)

    weight = np.minimum(duration_s, _SAMPLE_S_MAX) + 0.2 * known
    columns = np.empty((n, width, 4))
    columns[:, :, 0] = weight
    np.multiply(weight, level, out=columns[:, :, 1])
    np.multiply(columns[:, :, 1], level, out=columns[:, :, 2])
    np.multiply(weight, np.exp2(level), out=columns[:, :, 3])
    # Relative to the newest sample, or a long pause would leave nothing to divide by.
    fading = np.exp((age_s - age_s[:, -1:])[:, None, :] * _RATES)
    sums = fading @ columns
    means = sums[:, :, 1:] / sums[:, :, :1]
    mean = means[:, :, 0]
    reference = mean[:, _REFERENCE_MEMORY]
    variance = np.maximum(means[:, :, 1] - mean * mean, 0.0)

    ratio = (level - reference[:, None]) * known
    step = (level[:, 1:] - level[:, :-1]) * known[:, :-1]
    size = np.abs(step)
    count = known.sum(axis=1)
    pairs = np.maximum(count - 1.0, 1.0)

    out = np.empty((n, FEATURE_COUNT))
    out[:, 0:8] = ratio[:, -8:]
    out[:, 8:12] = np.log2(duration_s[:, -4:] + 0.05)
    out[:, 12:16] = np.log2(age_s[:, -4:] + 1.0)
    out[:, 16:20] = mean - reference[:, None]
    out[:, 20:24] = 0.5 * np.log2(variance + _VOLATILITY_MIN**2)
    out[:, 24:28] = np.log2(means[:, :, 2]) - reference[:, None]
    out[:, 28] = ratio.min(axis=1)
    out[:, 29] = ratio.max(axis=1)
    out[:, 30] = size.sum(axis=1) / pairs
    out[:, 31] = (step[:, 1:] * step[:, :-1]).sum(axis=1) / pairs / (1.0 + out[:, 30])
    out[:, 32] = size[:, -3:].sum(axis=1)
    out[:, 33] = np.log2(count)
    out[:, 34] = np.log2(since_s[:, -1] + 1.0)
    size_s = history.size_bytes * 0.008 / np.exp2(reference)  # bytes to kbit
    is_sized = size_s == size_s
    out[:, 35] = np.log2(np.where(is_sized, size_s, _SIZE_S_UNKNOWN) + 0.01)
    out[:, 36] = is_sized
    ttfb_s = history.samples_ttfb_s[:, -1]
    out[:, 37] = np.log2(np.where(ttfb_s == ttfb_s, ttfb_s, 0.0) + 0.01)
    out[:, 38] = (reference - _LEVEL_MIDDLE) * 0.25
    return out.astype(np.float32), reference


_RATES: Final = -1.0 / np.array(MEMORIES_S)[None, :, None]
