"""Corrections learnt within a session."""

import numpy as np

from predictor.bandwidth.calibrator import SHIFT_MAX, Calibrator
from predictor.bandwidth.model import LEVELS, Forecast

LEVEL = np.array(LEVELS)
SCORES = np.array([-2.054, -1.282, -0.674, -0.253, 0.0, 0.253, 0.674, 1.282, 2.054])


def forecast(rows: int = 1) -> Forecast:
    """Of a log-normal rate about 1024 kbit/s with a spread of one octave."""
    kbps = np.broadcast_to(2.0 ** (10.0 + SCORES), (rows, 2, len(SCORES)))
    return Forecast(levels=LEVEL, kbps=kbps.copy())


def shares_below(shift: float, spread: float, *, is_corrected: bool) -> np.ndarray:
    """Of outcomes that are not what the forecast says, once 100 sessions have had 60 transfers."""
    rng = np.random.default_rng(7)
    sessions, steps, first = 100, 140, 60
    calibrator = Calibrator(LEVEL, sessions, rate=0.1, shift_max=2.0)
    below = np.zeros(len(LEVEL))
    rows = np.arange(sessions)
    for step in range(steps):
        given = calibrator.apply(forecast(sessions)) if is_corrected else forecast(sessions)
        kbps = 2.0 ** (10.0 + shift + spread * rng.normal(size=sessions))
        if step >= first:
            below += (kbps[:, None] < given.kbps[:, 0]).sum(axis=0)
        calibrator.observe(rows, given.rank(kbps))
    return below / ((steps - first) * sessions)


def test_coverage_is_kept_when_the_network_is_slower_than_foreseen() -> None:
    raw = shares_below(-0.6, 1.0, is_corrected=False)
    corrected = shares_below(-0.6, 1.0, is_corrected=True)
    assert raw[2] > 0.4
    assert 0.2 < corrected[2] < 0.28
    assert abs(corrected[4] - 0.5) < 0.04


def test_coverage_is_kept_when_the_network_is_steadier_than_foreseen() -> None:
    raw = shares_below(0.0, 0.4, is_corrected=False)
    corrected = shares_below(0.0, 0.4, is_corrected=True)
    assert raw[2] < 0.1
    assert 0.2 < corrected[2] < 0.28


def test_nothing_observed_leaves_the_forecast_as_it_is() -> None:
    given = forecast()
    assert Calibrator(LEVEL, 1).apply(given) is given


def test_corrections_are_bounded_and_quantiles_stay_in_order() -> None:
    rng = np.random.default_rng(1)
    calibrator = Calibrator(LEVEL, 3, rate=0.5)
    for rank in rng.choice([0.001, 0.3, 0.999], (200, 3)):
        calibrator.observe(np.arange(3), rank)
        assert np.abs(calibrator.shifts).max() <= SHIFT_MAX
        assert (np.diff(calibrator.apply(forecast(3)).kbps, axis=2) >= 0.0).all()


def test_sessions_learn_apart_and_nan_teaches_nothing() -> None:
    calibrator = Calibrator(LEVEL, 3)
    calibrator.observe(np.array([1, 2]), np.array([0.01, np.nan]))
    assert calibrator.shifts[0].tolist() == calibrator.shifts[2].tolist() == [0.0] * 9
    assert (calibrator.shifts[1, 1:] < 0.0).all()
    alone = calibrator.apply(forecast(), np.array([1]))
    assert alone.kbps[0, 0, 4] < 1024.0
    np.testing.assert_array_equal(calibrator.apply(forecast(3)).kbps[1], alone.kbps[0])
