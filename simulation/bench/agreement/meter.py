"""The estimate of a live player, for simulated sessions.

The session simulator measures as the public reference does: the estimate weighs each transfer by
how long it took, and one that was given up is not in it. A live player (abr.throughput) weighs a
transfer also by its bytes, so that it climbs sooner after a slow time, and learns from those given
up. The difference is known, so it is taken out: the estimates are worked out anew, by the player's
rule, from the transfers that a view shows. Those that it no longer shows hardly count.
"""

from __future__ import annotations

import msgspec
import numpy as np

from abr.throughput import (
    BYTES_PER_WEIGHT_S,
    HALF_LIFE_FAST_S,
    HALF_LIFE_SLOW_S,
    SAMPLE_BYTES_MIN,
    WEIGHT_S_MAX,
)
from abr.view import Attempt, Controller, Floats, History, Rungs, View
from simulation.sessions.watch import Patient


class PlayersMeter:
    """A controller that is told what a live player would tell it."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        if isinstance(controller, Patient):
            self.patience_s = controller.patience_s

    def choose(self, view: View) -> Rungs:
        history = view.history
        told = msgspec.structs.replace(
            view,
            estimate_kbps=players_kbps(history),
            ttfb_s=np.nan_to_num(_forgetting(history.ttfb_s, np.ones(1), HALF_LIFE_FAST_S)),
        )
        return self._controller.choose(told)

    def abandon(self, attempt: Attempt) -> Rungs:
        return self._controller.abandon(attempt)


def players_kbps(history: History) -> Floats:
    """(n,): NaN before the first sample. A transfer too small to time counts for nothing, where a
    player pools it with the next."""
    by_bytes_s = np.minimum(history.bytes / BYTES_PER_WEIGHT_S, WEIGHT_S_MAX)
    weights_s = np.maximum(history.duration_s, by_bytes_s)
    weights_s = np.where(history.bytes >= SAMPLE_BYTES_MIN, weights_s, 0.0)
    fast = _forgetting(history.kbps, weights_s, HALF_LIFE_FAST_S)
    return np.minimum(fast, _forgetting(history.kbps, weights_s, HALF_LIFE_SLOW_S))


def _forgetting(values: Floats, weights_s: Floats, half_life_s: float) -> Floats:
    """(n,): the mean of `values` (n, history; oldest first, NaN for none), half of it forgotten in
    `half_life_s` of weight; NaN where nothing has weight."""
    weights_s = np.where(np.isnan(values), 0.0, weights_s)
    later_s = np.cumsum(weights_s[:, ::-1], axis=1)[:, ::-1] - weights_s
    shares = (1.0 - np.exp2(-weights_s / half_life_s)) * np.exp2(-later_s / half_life_s)
    known = shares.sum(axis=1)
    total = (shares * np.nan_to_num(values)).sum(axis=1)
    mean: Floats = np.divide(total, known, out=np.full(known.size, np.nan), where=known > 0)
    return mean
