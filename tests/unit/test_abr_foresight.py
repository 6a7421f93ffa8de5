"""What a controller is heard to expect."""

from __future__ import annotations

import numpy as np
import pytest

from abr.controllers import build_controller
from abr.foresight import Foreseeing, foreseen
from abr.view import GO_ON, Attempt, Rungs, View
from predictor.bandwidth import Forecast


class Prophet:
    def __init__(self, forecast: Forecast | None) -> None:
        self._forecast = forecast

    def foreseen(self, session: int) -> Forecast | None:
        return None if session else self._forecast

    def choose(self, view: View) -> Rungs:
        return np.zeros(view.row_count, dtype=np.int64)

    def abandon(self, attempt: Attempt) -> Rungs:
        return np.full(attempt.session.size, GO_ON)


def test_quantiles_are_read_off_between_levels() -> None:
    levels = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    rates = 2.0 ** np.array([6.0, 10.0, 11.0, 12.0, 16.0])
    kbps = np.stack([[rates, rates * 9.0]])  # (rows, windows, levels)
    found = foreseen(Prophet(Forecast(levels=levels, kbps=kbps)), 3.0)
    assert found is not None
    assert found.at_s == 3.0
    assert found.low_kbps == pytest.approx(2**7)
    assert found.median_kbps == pytest.approx(2**11)
    assert found.high_kbps == pytest.approx(2**15)


def test_who_foresees_nothing_says_nothing() -> None:
    assert foreseen(Prophet(None), 3.0) is None
    assert foreseen(build_controller("bola"), 3.0) is None


def test_ours_speaks_once_it_has_decided() -> None:
    ours = build_controller("nearcast")
    assert isinstance(ours, Foreseeing)
    assert foreseen(ours, 3.0) is None
