"""How much each signal counts: fitted to what came true, again and again.

A title's viewings at an edge over the next day are taken to be Poisson, of a rate that is a
weighted sum of the signals, no weight below 0. Such weights are found by expectation-maximisation,
each step of which makes the past likelier (Richardson, Lucy); it needs only the rows in which
something was viewed, and the sum of each signal over all rows. So old snapshots take little memory.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec
import numpy as np

from origin.placement.demand import Floats
from origin.placement.forecast_fading import Singles

HORIZON_HOURS: Final = 24
EVERY_HOURS: Final = 12
"""Between two snapshots."""
SNAPSHOTS_MAX: Final = 12
"""Six days are remembered."""
STEPS: Final = 40
"""Of each fit, which goes on from the one before; the first takes `FIRST_STEPS`."""
FIRST_STEPS: Final = 120
ROWS_MAX: Final = 50_000
"""Of a snapshot; of more, evenly chosen ones speak for all."""
DOUBT: Final = 20.0
"""Viewings that would have to speak against a signal before it counts for half of an equal weight:
a few edges' first day must not silence a signal for good."""


class Snapshot(msgspec.Struct, frozen=True, eq=False):
    """What the signals said, where something came true, and their sums everywhere."""

    signals: Singles  # (row, signal)
    sessions: Singles  # (row,)
    sums: Floats  # (signal,)


class Weights:
    """Fits the weights to the last days; equal ones until a day has passed."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Singles, Singles]] = deque()
        self._past: deque[Snapshot] = deque(maxlen=SNAPSHOTS_MAX)
        self._weights: Floats | None = None
        self._is_stale = False

    def remember(self, signals: Singles, hour: int) -> None:
        """What the signals say at the start of this hour: to be held against the next day."""
        if hour % EVERY_HOURS == 0:
            self._waiting.append((hour, signals, np.zeros(signals.shape[:2], dtype=np.float32)))

    def take(self, sessions: Singles, hour: int) -> None:
        """What was viewed in this hour, (edge, title)."""
        for _, _, seen in self._waiting:
            seen += sessions
        while self._waiting and hour + 1 - self._waiting[0][0] >= HORIZON_HOURS:
            _, signals, seen = self._waiting.popleft()
            self._past.append(_snapshot(signals, seen))
            self._is_stale = True

    def of(self, signal_count: int) -> Floats:
        """(signal,), fitted when it is asked for."""
        if self._is_stale:
            self._fit()
            self._is_stale = False
        if self._weights is None:
            return np.full(signal_count, 1.0 / signal_count)
        return self._weights

    def _fit(self) -> None:
        # In doubles from here on: a product of both kinds is not left to the fast library.
        signals = np.concatenate([each.signals for each in self._past]).astype(np.float64)
        sessions = np.concatenate([each.sessions for each in self._past]).astype(np.float64)
        if not len(sessions):
            return  # nobody viewed anything: that says nothing of the signals
        sums = np.sum([each.sums for each in self._past], axis=0)
        equal = np.full(signals.shape[1], 1.0 / signals.shape[1])
        is_first = self._weights is None
        weights = np.maximum(equal if self._weights is None else self._weights, 1e-4)
        for _ in range(FIRST_STEPS if is_first else STEPS):
            rate = np.maximum(signals @ weights, 1e-9)
            came = weights * (signals.T @ (sessions / rate))
            weights = (came + DOUBT / len(weights)) / (sums + DOUBT)
        self._weights = weights


def _snapshot(signals: Singles, seen: Singles) -> Snapshot:
    rows = np.flatnonzero(seen.reshape(-1) > 0)
    step = max(1, -(-len(rows) // ROWS_MAX))
    flat = signals.reshape(-1, signals.shape[2])
    # Of fewer rows: the sums are scaled with them, so that each row still weighs against its share.
    chosen = rows[::step]
    sessions = seen.reshape(-1)[chosen]
    share = float(sessions.sum() / max(float(seen.sum()), 1e-9))
    return Snapshot(flat[chosen], sessions, flat.sum(axis=0, dtype=np.float64) * share)
