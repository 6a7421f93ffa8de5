"""Histories of even windows without pauses, as estimators are commonly compared on."""

from __future__ import annotations

import numpy as np

from predictor.bandwidth.history import Floats, History
from predictor.train.bandwidth_rows import Rows, RowsWriter, windows_kbps
from predictor.train.bandwidth_sessions import SAMPLES
from predictor.train.bandwidth_traces import Indices, Links


def histories(kbps: Floats, window_s: Floats | float) -> History:
    """Samples (n, k) of `window_s` each, NaN on the left; what follows is asked without a size."""
    n = len(kbps)
    duration_s = np.broadcast_to(np.asarray(window_s, dtype=np.float64), (n,))[:, None]
    duration_s = np.where(np.isnan(kbps), np.nan, duration_s)
    nothing = np.where(np.isnan(kbps), np.nan, 0.0)
    return History(
        samples_kbps=kbps,
        samples_bytes=kbps * duration_s * 125.0,
        samples_duration_s=duration_s,
        samples_ttfb_s=nothing,
        samples_gap_s=nothing.copy(),
        samples_hit=np.zeros(kbps.shape, dtype=bool),
        gap_s=np.zeros(n),
        size_bytes=np.full(n, np.nan),
    )


def draw_windows(
    links: Links,
    trace: Indices,
    family: Indices,
    rng: np.random.Generator,
    *,
    is_varied: bool,
    count_max: int = SAMPLES,
) -> Rows:
    """Rows at random places; windows that would begin before the trace are not known."""
    n = len(trace)
    window_s, scale, stretch = np.full(n, 4.0), np.ones(n), np.ones(n)
    if is_varied:
        window_s = rng.choice([1.0, 2.0, 4.0, 8.0], n, p=[0.1, 0.15, 0.65, 0.1])
        scale = np.where(rng.random(n) < 0.5, 2.0 ** rng.uniform(-2.0, 2.0, n), 1.0)
        stretch = np.where(rng.random(n) < 0.2, 2.0 ** rng.uniform(-0.7, 1.0, n), 1.0)
    length_s = links.duration_s[trace] * stretch
    now_s = rng.uniform(window_s, np.maximum(length_s - 4.0, window_s))
    # Most comparisons take windows from the trace's start on: the same phase for its steps.
    even = rng.random(n) < 0.5
    now_s = np.where(even, np.maximum(np.floor(now_s / window_s), 1.0) * window_s, now_s)
    count = np.where(rng.random(n) < 0.5, 8, rng.integers(1, SAMPLES + 1, n))
    count = np.minimum(np.minimum(count, count_max), np.floor(now_s / window_s + 1e-9))
    back = np.arange(SAMPLES, -1, -1)
    marks = now_s[:, None] - back * window_s[:, None]
    every = np.repeat(trace, SAMPLES + 1)
    kbit = links.kbit_until(every, (np.maximum(marks, 0.0) / stretch[:, None]).ravel())
    kbit = kbit.reshape(n, SAMPLES + 1) * (scale * stretch)[:, None]
    kbps = np.diff(kbit, axis=1) / window_s[:, None]
    kbps = np.where(np.arange(SAMPLES, 0, -1) <= count[:, None], kbps, np.nan)
    outcomes = windows_kbps(links, trace, now_s, scale, stretch)
    writer = RowsWriter()
    writer.add(histories(kbps, window_s), outcomes, family)
    return writer.rows()
