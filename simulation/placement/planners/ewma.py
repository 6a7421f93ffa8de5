"""Yesterday's bytes, or their fading mean, of each file at each edge."""

from __future__ import annotations

from typing import Final

import numpy as np

from simulation.placement.options import Options
from simulation.placement.planners.daily import DailyPlanner, bytes_by_day
from simulation.placement.residency import Floats
from simulation.placement.trace import Trace

NEWEST_WEIGHT: Final = 0.3
"""Of the day before: the published comparison does not name its own; this one has its figures."""
HYBRID_SHARE: Final = 0.6
GLOBAL_PRIOR: Final = 0.05
"""Of the mean of all edges, scaled to what this one views."""


class _Faded:
    def __init__(self, trace: Trace, newest_weight: float, prior: float = 0.0) -> None:
        by_day = bytes_by_day(trace)
        self._mean = np.zeros((*by_day.shape[:2], trace.days + 1))
        for day in range(1, trace.days + 1):
            before = self._mean[:, :, day - 1] * (1.0 - newest_weight)
            self._mean[:, :, day] = before + newest_weight * by_day[:, :, day - 1]
        self._prior = prior

    def of(self, edge: int, day: int) -> Floats:
        own: Floats = self._mean[edge, :, day]
        if not self._prior:
            return own
        everywhere = self._mean[:, :, day].sum(axis=0)
        scale = own.sum() / max(1.0, float(everywhere.sum()))
        leaning: Floats = own + self._prior * scale * everywhere
        return leaning


def yesterday(trace: Trace, capacity_bytes: float, options: Options) -> DailyPlanner:
    return DailyPlanner(trace, capacity_bytes, _Faded(trace, 1.0), pinned_share=1.0)


def ewma(trace: Trace, capacity_bytes: float, options: Options) -> DailyPlanner:
    return DailyPlanner(trace, capacity_bytes, _Faded(trace, NEWEST_WEIGHT), pinned_share=1.0)


def hybrid(trace: Trace, capacity_bytes: float, options: Options) -> DailyPlanner:
    scores = _Faded(trace, NEWEST_WEIGHT, GLOBAL_PRIOR)
    return DailyPlanner(trace, capacity_bytes, scores, pinned_share=HYBRID_SHARE)
