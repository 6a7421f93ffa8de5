import numpy as np
import pytest

from predictor.calibrate import auc, ece, fit_platt, log_odds, reliability, scores


def test_auc_counts_pairs() -> None:
    rng = np.random.default_rng(3)
    p = np.round(rng.random(60), 1)  # with ties
    y = (rng.random(60) < p).astype(float)
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in p[y > 0] for b in p[y == 0]]
    assert auc(p, y) == pytest.approx(np.mean(pairs))


def test_auc_of_one_class_is_undecided() -> None:
    assert auc(np.array([0.2, 0.7]), np.ones(2)) == 0.5


def test_ece_is_the_distance_of_a_constant_answer() -> None:
    y = np.array([1.0, 0.0, 0.0, 0.0])
    assert ece(np.full(4, 0.75), y) == pytest.approx(0.5)
    assert ece(np.full(4, 0.25), y) == pytest.approx(0.0)


def test_reliability_bins_hold_every_row() -> None:
    p = np.linspace(0.0, 1.0, 101)
    bins = reliability(p, (p > 0.5).astype(float))
    assert sum(b.rows for b in bins) == 101
    assert [b.foretold for b in bins] == sorted(b.foretold for b in bins)


def test_platt_repairs_overconfidence_and_keeps_the_order() -> None:
    rng = np.random.default_rng(5)
    truth = rng.normal(size=20_000)
    y = (rng.random(20_000) < 1.0 / (1.0 + np.exp(-truth))).astype(float)
    overconfident = 3.0 * truth + 1.0
    scale, shift = fit_platt(overconfident, y)
    assert scale == pytest.approx(1 / 3, abs=0.02)
    assert shift == pytest.approx(-1 / 3, abs=0.05)
    before = 1.0 / (1.0 + np.exp(-overconfident))
    after = 1.0 / (1.0 + np.exp(-(scale * overconfident + shift)))
    assert scores(after, y).ece < 0.02 < scores(before, y).ece
    assert scores(after, y).auc == pytest.approx(scores(before, y).auc, abs=1e-4)


def test_platt_of_one_class_stays_finite() -> None:
    scale, shift = fit_platt(np.array([0.1, 0.4, 0.2]), np.ones(3))
    assert np.isfinite([scale, shift]).all()


def test_log_odds_of_certainty_are_finite() -> None:
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()
