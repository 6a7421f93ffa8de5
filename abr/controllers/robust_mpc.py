"""Model predictive control with a throughput discounted by its own past errors."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from abr.qoe import stall_penalty_of
from abr.view import GO_ON, HORIZON, Attempt, Floats, Rungs, View
from nearcast.config import Section
from nearcast.units import BITS_PER_BYTE, BITS_PER_KBIT, KBPS_PER_MBPS

PLAN_ELEMENTS_MAX = 1 << 14
"""Rows are planned in groups of at most this many (row, plan) pairs: an array that a processor's
nearest caches hold."""


class RobustMpcParams(Section, frozen=True, kw_only=True):
    """`window`: samples in the harmonic mean, and errors looked back at. `horizon`: segments
    planned: 4 as in the public reference results; the paper has 5. `stall_penalty`: Mbit/s a second
    of stall costs, 0 for what qoe_linear takes with this ladder. `switch_penalty`: per Mbit/s of
    change."""

    window: Annotated[int, msgspec.Meta(ge=1, le=5)] = 5
    horizon: Annotated[int, msgspec.Meta(ge=1, le=HORIZON)] = 4
    stall_penalty: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    switch_penalty: Annotated[float, msgspec.Meta(ge=0)] = 1.0


class RobustMpc:
    """Try every plan of the next segments against a cautious throughput; take the best one's first.

    Throughput is the harmonic mean of the last samples divided by 1 + the worst relative error that
    mean made over as many samples. A plan earns its rates, less stalls and changes, over the
    horizon, which shrinks at the end of the title. A segment under way is never given up.
    Source: Yin, Jindal, Sekar, Sinopoli, "A Control-Theoretic Approach for Dynamic Adaptive Video
    Streaming over HTTP", SIGCOMM 2015 (RobustMPC). As there, the wait for the first byte counts as
    a part of a transfer's time. Differs in that where recent samples came from an edge's store the
    prediction is no higher than the session's estimate, because such samples say nothing about the
    backhaul.
    Time grows with rungs ** horizon.
    """

    def __init__(self, params: RobustMpcParams | None = None, session_count: int = 1) -> None:
        del session_count  # what it needs to know is in the view
        self._params = params or RobustMpcParams()

    def choose(self, view: View) -> Rungs:
        throughput_kbps = self._predict_kbps(view)
        horizon = min(self._params.horizon, view.durations_s.shape[1])
        rows_max = max(1, PLAN_ELEMENTS_MAX // view.rung_count ** (horizon - 1))
        rung = np.zeros(view.row_count, dtype=np.int64)
        known = np.flatnonzero(np.isfinite(throughput_kbps))
        for first in range(0, known.size, rows_max):
            rows = known[first : first + rows_max]
            rung[rows] = self._plan(view, rows, throughput_kbps[rows], horizon)
        return rung

    def abandon(self, attempt: Attempt) -> Rungs:
        return np.full(attempt.rung.shape, GO_ON)

    def patience_s(self, attempt: Attempt) -> Floats:
        return np.full(attempt.rung.shape, np.inf)

    def _predict_kbps(self, view: View) -> Floats:
        """(n,): NaN where there is neither a sample nor an estimate."""
        window = self._params.window
        history = view.history
        took_s = history.duration_s + history.ttfb_s
        samples = history.bytes * BITS_PER_BYTE / np.maximum(took_s, 1e-9) / BITS_PER_KBIT
        count = samples.shape[1]
        worst = np.zeros(view.row_count)
        for newest in range(max(1, count - window), count):
            mean = _harmonic_mean(samples[:, max(0, newest - window) : newest])
            error = np.abs(mean - samples[:, newest]) / samples[:, newest]
            worst = np.fmax(worst, error)  # fmax: no mean or no sample, no error
        predicted = _harmonic_mean(samples[:, -window:]) / (1.0 + worst)
        has_hits = view.history.is_hit[:, -2 * window :].any(axis=1) | np.isnan(predicted)
        link_kbps = np.where(has_hits, np.fmin(predicted, view.estimate_kbps), predicted)
        return view.own_kbps(link_kbps)

    def _plan(self, view: View, rows: Rungs, throughput_kbps: Floats, horizon: int) -> Rungs:
        """(rows,): grows the tree of plans step by step. Plans are (rows, plans so far but for
        their last rung, last rung)."""
        params = self._params
        count, rungs = rows.size, view.rung_count
        rates = view.ladder_kbps / KBPS_PER_MBPS  # (rungs,)
        penalty = params.stall_penalty or stall_penalty_of(view.ladder_kbps)
        cost = params.switch_penalty * np.abs(rates - rates[:, None])
        durations_s = view.durations_s[rows, :horizon]
        counts = ~np.isnan(durations_s)  # past the end nothing is earned or paid
        durations_s = np.nan_to_num(durations_s)
        sizes_bits = np.nan_to_num(view.sizes_bits[rows, :horizon])
        took_s = sizes_bits / (throughput_kbps[:, None, None] * BITS_PER_KBIT)
        # What is left of the buffer when the next request may be sent.
        room_s = np.maximum(view.buffer_limit_s[rows, None] - durations_s, durations_s)

        last_rung = view.last_rung[rows]
        first_cost = np.where(last_rung[:, None] >= 0, cost[last_rung], 0.0)
        late_s = took_s[:, 0] - view.buffer_s[rows, None]
        earned = (rates - first_cost - penalty * np.maximum(late_s, 0.0))[:, None, :]
        buffer_s = np.maximum(-late_s, 0.0) + durations_s[:, :1]
        buffer_s = np.minimum(buffer_s, room_s[:, :1])[:, None, :]
        for step in range(1, horizon):
            weight = counts[:, step, None, None].astype(np.float64)
            is_last = step == horizon - 1
            shape = (count, earned.shape[1], rungs)
            best = np.full(shape, -np.inf)
            grown = np.empty((*shape, rungs)) if not is_last else best
            left_s = np.empty((*shape, rungs)) if not is_last else best
            for rung in range(rungs):
                slack_s = buffer_s - took_s[:, step, None, None, rung]
                gain = np.minimum(slack_s, 0.0)
                gain *= weight * penalty
                gain += weight * (rates[rung] - cost[:, rung])
                gain += earned
                if is_last:
                    np.maximum(best, gain, out=best)
                    continue
                grown[..., rung] = gain
                np.maximum(slack_s, 0.0, out=slack_s)
                slack_s += durations_s[:, step, None, None]
                np.minimum(slack_s, room_s[:, step, None, None], out=left_s[..., rung])
            earned = grown.reshape(count, -1, rungs)
            buffer_s = left_s.reshape(count, -1, rungs)
        best_of_first = earned.reshape(count, rungs, -1).max(axis=2)
        rung_chosen: Rungs = np.argmax(best_of_first, axis=1).astype(np.int64)
        return rung_chosen  # of equals the lower rung


def _harmonic_mean(samples_kbps: Floats) -> Floats:
    """(n,) of (n, k), leaving out NaN; NaN where there is nothing else."""
    count = np.isfinite(samples_kbps).sum(axis=1)
    inverse = np.nansum(1.0 / samples_kbps, axis=1)
    mean: Floats = np.divide(count, inverse, out=np.full(count.shape, np.nan), where=count > 0)
    return mean
