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

FEATURE_VERSION: Final = 2
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

_SORTED: Final = (2, 3, 4, 5, 6, 7)
"""Order statistics of the last eight ratios that are inputs; the outermost are close to the
extremes."""

FEATURE_NAMES: Final = (
    *(f"ratio_{k}" for k in range(RECENT_COUNT, 0, -1)),
    *(f"mean_{tau:g}s" for tau in MEMORIES_S),
    "minimum",
    "maximum",
    "mean_abs_step",
    "step_product",
    "recent_abs_step",
    "dead_share",
    "dead_run",
    "is_dead",
    *(f"sorted_{k}" for k in _SORTED),
    "is_size_known",
    "level",
    # From here on logarithms, taken of all at once.
    *(f"log_duration_{k}" for k in range(TIMED_COUNT, 0, -1)),
    *(f"log_age_{k}" for k in range(TIMED_COUNT, 0, -1)),
    *(f"log_variance_{tau:g}s" for tau in MEMORIES_S),
    *(f"log_rate_{tau:g}s" for tau in MEMORIES_S),
    "log_count",
    "log_seen_s",
    "log_size_s",
    "log_ttfb_s",
)
FEATURE_COUNT: Final = len(FEATURE_NAMES)


def compute(history: History) -> tuple[NDArray[np.float32], Floats]:
    """(n, FEATURE_COUNT), and (n,) the reference in log2 kbit/s. Rows need a sample each."""
    kbps = history.samples_kbps
    n, width = kbps.shape
    known = (kbps == kbps).astype(np.float64)
    rate = np.fmax(kbps, RATE_KBPS_MIN)  # of NaN too; those have no weight
    level = np.log2(rate)
    duration_s = np.fmax(history.samples_duration_s, 0.0)
    span_s = duration_s + np.fmax(history.samples_ttfb_s + history.samples_gap_s, 0.0)
    since_s = np.add.accumulate(span_s, axis=1)
    age_s = np.minimum(since_s[:, -1:] - since_s + history.gap_s[:, None], _AGE_S_MAX)

    columns = np.empty((n, width, 4))
    weight = columns[:, :, 0]
    np.add(np.minimum(duration_s, _SAMPLE_S_MAX), 0.2, out=weight)
    weight *= known
    np.multiply(weight, level, out=columns[:, :, 1])
    np.multiply(columns[:, :, 1], level, out=columns[:, :, 2])
    np.multiply(weight, rate, out=columns[:, :, 3])
    # Relative to the newest sample, or a long pause would leave nothing to divide by.
    sums = np.exp((age_s - age_s[:, -1:])[:, None, :] * _RATES) @ columns
    sums /= sums[:, :, :1].copy()
    mean = sums[:, :, 1]
    reference = mean[:, _REFERENCE_MEMORY].copy()
    beside = reference[:, None]

    out = np.empty((n, FEATURE_COUNT))
    ratio = (level - beside) * known
    out[:, 0:8] = ratio[:, -8:]
    np.subtract(mean, beside, out=out[:, 8:12])
    np.minimum.reduce(ratio, axis=1, out=out[:, 12])
    np.maximum.reduce(ratio, axis=1, out=out[:, 13])
    step = (level[:, 1:] - level[:, :-1]) * known[:, :-1]
    size = np.abs(step)
    count = np.add.reduce(known, axis=1)
    scale = 1.0 / np.maximum(count - 1.0, 1.0)
    mean_step = np.add.reduce(size, axis=1) * scale
    out[:, 14] = mean_step
    product = np.add.reduce(step[:, 1:] * step[:, :-1], axis=1)
    out[:, 15] = product * scale / (1.0 + mean_step)
    np.add.reduce(size[:, -3:], axis=1, out=out[:, 16])
    size_s = history.size_bytes * 0.008 / np.exp2(reference)  # bytes to kbit
    # Outages stand out of any level: whether the link is dead, for how long, and how often.
    dead = (rate <= RATE_KBPS_MIN) * known
    np.divide(np.add.reduce(dead, axis=1), count, out=out[:, 17])
    np.add.reduce(np.multiply.accumulate(dead[:, ::-1], axis=1), axis=1, out=out[:, 18])
    out[:, 19] = dead[:, -1]
    out[:, 20:26] = np.sort(ratio[:, -8:], axis=1)[:, 1:7]
    out[:, 26] = size_s == size_s
    out[:, 27] = (reference - _LEVEL_MIDDLE) * 0.25

    logs = out[:, 28:]
    np.add(duration_s[:, -4:], 0.05, out=logs[:, 0:4])
    np.add(age_s[:, -4:], 1.0, out=logs[:, 4:8])
    variance = np.maximum(sums[:, :, 2] - mean * mean, 0.0)
    np.add(variance, _VOLATILITY_MIN**2, out=logs[:, 8:12])
    logs[:, 12:16] = sums[:, :, 3]
    logs[:, 16] = count
    np.add(since_s[:, -1], 1.0, out=logs[:, 17])
    logs[:, 18] = np.where(out[:, 26], size_s, _SIZE_S_UNKNOWN) + 0.01
    np.add(np.fmax(history.samples_ttfb_s[:, -1], 0.0), 0.01, out=logs[:, 19])
    np.log2(logs, out=logs)
    logs[:, 12:16] -= beside
    return out.astype(np.float32), reference


_RATES: Final = -1.0 / np.array(MEMORIES_S)[None, :, None]
