"""Learns within a session how far a network's forecasts are off, and corrects them.

Adaptive conformal inference: each quantile keeps the share of outcomes below it by moving down a
little after an outcome below it and up after one above it, in proportion to what is left of its
level. It moves on the scale of a normal distribution and within bounds, so that one session's bad
luck cannot turn a lower quantile into a median.
Source: Gibbs and Candes, "Adaptive conformal inference under distribution shift", NeurIPS 2021.
Differs from it in that all levels of one forecast move at once and are kept in order, and that
what a correction does is read from the forecast's own quantiles, not from earlier residuals.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from predictor.bandwidth.features import RATE_KBPS_MIN
from predictor.bandwidth.history import Floats
from predictor.bandwidth.model import Forecast

RATE: Final = 0.05
SHIFT_MAX: Final = 0.6


class Calibrator:
    """Corrections of `session_count` sessions, one row each."""

    def __init__(
        self,
        levels: Floats,
        session_count: int,
        *,
        rate: float = RATE,
        shift_max: float = SHIFT_MAX,
    ) -> None:
        self._levels = np.asarray(levels, dtype=np.float64)
        self._normal: Floats = np.array([NormalDist().inv_cdf(level) for level in self._levels])
        self._rate, self._shift_max = rate, shift_max
        self.shifts: Floats = np.zeros((session_count, len(self._levels)))
        """(sessions, levels): normal scores to add to each level's."""

    def observe(self, rows: NDArray[np.int64], rank: Floats) -> None:
        """Take in where outcomes came in the forecasts given out, see `Forecast.rank`.

        `rows` are the sessions, (m,), each once; `rank` is (m,), NaN where nothing came true.
        """
        is_known = ~np.isnan(rank)
        rows, rank = rows[is_known], rank[is_known]
        is_below = rank[:, None] < self._levels
        moved = self.shifts[rows] + self._rate * (self._levels - is_below)
        self.shifts[rows] = np.clip(moved, -self._shift_max, self._shift_max)

    def apply(self, forecast: Forecast, rows: NDArray[np.int64] | None = None) -> Forecast:
        """The forecast of these sessions (all, in order, where `rows` is None), corrected."""
        shifts = self.shifts if rows is None else self.shifts[rows]
        if not shifts.any():
            return forecast
        normal = self._normal
        scores = normal + shifts  # (n, levels)
        right = np.clip(np.searchsorted(normal, scores), 1, len(normal) - 1)
        share = (scores - normal[right - 1]) / (normal[right] - normal[right - 1])
        logs = np.log2(forecast.kbps)
        low = np.take_along_axis(logs, (right - 1)[:, None, :], axis=2)
        high = np.take_along_axis(logs, right[:, None, :], axis=2)
        moved = low + share[:, None, :] * (high - low)
        ordered = np.maximum.accumulate(moved, axis=2)
        return Forecast(levels=forecast.levels, kbps=np.maximum(np.exp2(ordered), RATE_KBPS_MIN))
