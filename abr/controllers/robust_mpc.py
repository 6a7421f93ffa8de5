"""Model predictive control with a throughput discounted by its own past errors."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from abr.qoe import stall_penalty_of
from abr.view import HORIZON, Floats, Rungs, View
from nearcast.config import Section
from nearcast.units import BITS_PER_KBIT

PLAN_ELEMENTS_MAX = 1 << 20
"""Rows are planned in groups of at most this many (row, plan) pairs: 8 MiB an array."""
KBPS_PER_MBPS = 1000.0


class RobustMpcParams(Section, frozen=True, kw_only=True):
    """`window`: samples in the harmonic mean, and errors looked back at. `horizon`: segments
    planned. `stall_penalty`: Mbit/s a second of stall costs, 0 for what qoe_linear takes with this
    ladder. `switch_penalty`: per Mbit/s of change."""

    window: Annotated[int, msgspec.Meta(ge=1, le=5)] = 5
    horizon: Annotated[int, msgspec.Meta(ge=1, le=HORIZON)] = 5
    stall_penalty: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    switch_penalty: Annotated[float, msgspec.Meta(ge=0)] = 1.0


class RobustMpc:
    """Try every plan of the next segments against a cautious throughput; take the best one's first.

    Throughput is the harmonic mean of the last samples divided by 1 + the worst relative error that
    mean made over as many samples. A plan earns its rates, less stalls and changes, over the
    horizon, which shrinks at the end of the title.
    Source: Yin, Jindal, Sekar, Sinopoli, "A Control-Theoretic Approach for Dynamic Adaptive Video
    Streaming over HTTP", SIGCOMM 2015 (RobustMPC). Differs in that each request is charged the time
    to its first byte, and that where recent samples came from an edge's store the prediction is no
    higher than the session's estimate, because such samples say nothing about the backhaul.
    Time and memory grow with rungs ** horizon.
    """

    def __init__(self, params: RobustMpcParams | None = None) -> None:
        self._params = params or RobustMpcParams()

    def choose(self, view: View) -> Rungs:
        throughput_kbps = self._predict_kbps(view)
        horizon = min(self._params.horizon, view.durations_s.shape[1])
        rows_max = max(1, PLAN_ELEMENTS_MAX // view.rung_count**horizon)
        rung = np.zeros(view.row_count, dtype=np.int64)
        known = np.flatnonzero(np.isfinite(throughput_kbps))
        for first in range(0, known.size, rows_max):
            rows = known[first : first + rows_max]
            rung[rows] = self._plan(view.take(rows), throughput_kbps[rows], horizon)
        return rung

    def _predict_kbps(self, view: View) -> Floats:
        """(n,): NaN where there is neither a sample nor an estimate."""
        window = self._params.window
        samples = view.samples_kbps
        count = samples.shape[1]
        worst = np.zeros(view.row_count)
        for newest in range(max(1, count - window), count):
            mean = _harmonic_mean(samples[:, max(0, newest - window) : newest])
            error = np.abs(mean - samples[:, newest]) / samples[:, newest]
            worst = np.fmax(worst, error)  # fmax: no mean or no sample, no error
        predicted = _harmonic_mean(samples[:, -window:]) / (1.0 + worst)
        has_hits = view.samples_hit.any(axis=1) | np.isnan(predicted)
        return np.where(has_hits, np.fmin(predicted, view.estimate_kbps), predicted)

    def _plan(self, view: View, throughput_kbps: Floats, horizon: int) -> Rungs:
        """(n,): grows the tree of plans step by step; axis 1 enumerates the plans so far."""
        params = self._params
        rows, rungs = view.row_count, view.rung_count
        rates = view.ladder_kbps / KBPS_PER_MBPS  # (rungs,)
        penalty = params.stall_penalty or stall_penalty_of(view.ladder_kbps)
        first_rates = np.where(view.last_rung >= 0, rates[view.last_rung], np.nan)
        before = first_rates[:, None]  # (n, plans): the rate of each plan's last segment
        buffer_s = view.buffer_s[:, None]
        earned = np.zeros((rows, 1))
        for step in range(horizon):
            transfer_s = view.sizes_bits[:, step, :] / (throughput_kbps[:, None] * BITS_PER_KBIT)
            transfer_s = transfer_s + view.ttfb_s[:, None]  # (n, rungs)
            duration_s = view.durations_s[:, step]
            is_over = np.isnan(duration_s)[:, None, None]
            late_s = transfer_s[:, None, :] - buffer_s[:, :, None]  # (n, plans, rungs)
            change = np.abs(rates[None, None, :] - before[:, :, None])
            gain = rates - penalty * np.maximum(late_s, 0.0)
            gain = gain - params.switch_penalty * np.where(np.isnan(change), 0.0, change)
            earned = earned[:, :, None] + np.where(is_over, 0.0, gain)
            after_s = np.maximum(-late_s, 0.0) + duration_s[:, None, None]
            after_s = np.minimum(after_s, view.buffer_limit_s[:, None, None])
            plans = earned.shape[1] * rungs
            earned = earned.reshape(rows, plans)
            buffer_s = after_s.reshape(rows, plans)
            before = np.broadcast_to(rates, (rows, plans // rungs, rungs)).reshape(rows, plans)
        best = np.argmax(earned, axis=1)  # the first of equals: the lower rung
        rung: Rungs = (best // rungs ** (horizon - 1)).astype(np.int64)
        return rung


def _harmonic_mean(samples_kbps: Floats) -> Floats:
    """(n,) of (n, k), leaving out NaN; NaN where there is nothing else."""
    count = np.isfinite(samples_kbps).sum(axis=1)
    inverse = np.nansum(1.0 / samples_kbps, axis=1)
    mean: Floats = np.divide(count, inverse, out=np.full(count.shape, np.nan), where=count > 0)
    return mean
