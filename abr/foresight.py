"""What a controller expects of the link, for whoever draws it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from abr.timeline import LOW_SHARE, ForecastMark
from abr.view import Controller
from predictor.bandwidth import Forecast

RATE_KBPS_MIN = 1e-3
SESSION = 0
"""A player asks of others besides: what would be, were all in an edge's store."""


@runtime_checkable
class Foreseeing(Protocol):
    """What a controller that plans with a forecast has besides."""

    def foreseen(self, session: int) -> Forecast | None:
        """Of its last decision for this session, one row; None before the first."""


def foreseen(controller: Controller, at_s: float) -> ForecastMark | None:
    """What it expects of the transfer that it decided on at `at_s`, in the first of its sessions;
    None if it does not say."""
    forecast = controller.foreseen(SESSION) if isinstance(controller, Foreseeing) else None
    if forecast is None:
        return None
    rates = np.log(np.maximum(forecast.kbps[0, 0], RATE_KBPS_MIN))
    wanted = np.array([LOW_SHARE, 0.5, 1.0 - LOW_SHARE])
    low, median, high = np.exp(np.interp(wanted, forecast.levels, rates)).tolist()
    return ForecastMark(at_s=at_s, low_kbps=low, median_kbps=median, high_kbps=high)
