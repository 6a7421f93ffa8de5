import numpy as np
import pytest

from predictor.features import FEATURE_COUNT
from predictor.train.network import FitSettings, Network, fit, log_loss

SETTINGS = FitSettings(hidden=(8,), epochs_max=10, patience=10, batch=64, learning_rate=2e-2)


def rows_and_labels(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Label 0 follows column 0, label 1 the size of column 1, label 2 nothing."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(1200, FEATURE_COUNT)).astype(np.float32)
    labels = np.stack([rows[:, 0] > 0, np.abs(rows[:, 1]) > 0.7, rng.random(1200) < 0.3], axis=1)
    return rows, labels.astype(np.float32)


def fitted() -> Network:
    rows, labels = rows_and_labels(1)
    return fit(rows, labels, rows_and_labels(2), settings=SETTINGS, rng=np.random.default_rng(3))


def test_learns_what_can_be_learnt() -> None:
    rows, labels = rows_and_labels(4)
    p = fitted().probabilities(rows)
    assert ((p[:, 0] > 0.5) == (labels[:, 0] > 0)).mean() > 0.9
    assert ((p[:, 1] > 0.5) == (labels[:, 1] > 0)).mean() > 0.7
    assert p[:, 2].mean() == pytest.approx(0.3, abs=0.06)


def test_same_seed_gives_the_same_weights() -> None:
    one, two = fitted(), fitted()
    assert all((a == b).all() for a, b in zip(one.weights, two.weights, strict=True))


def test_column_that_never_changed_does_not_matter() -> None:
    rows, labels = rows_and_labels(1)
    rows[:, 5] = 2.0
    network = fit(rows, labels, (rows, labels), settings=SETTINGS, rng=np.random.default_rng(3))
    moved = rows.copy()
    moved[:, 5] = 1e6
    assert (network.log_odds(rows) == network.log_odds(moved)).all()


def test_log_loss_of_extreme_log_odds_is_finite() -> None:
    assert log_loss(np.array([[1e4]], np.float32), np.array([[0.0]], np.float32)) == 1e4


def test_gradient_agrees_with_finite_differences() -> None:
    from predictor.train.network import _gradients

    rng = np.random.default_rng(0)
    rows = rng.normal(size=(16, 3)).astype(np.float32)
    labels = (rng.random((16, 2)) < 0.5).astype(np.float32)
    parameters = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 4), (4, 2), 4, 2)]
    found = _gradients(rows, labels, parameters, 2, 0.0)

    def loss(changed: list[np.ndarray]) -> float:
        one = np.float32(1.0)
        network = Network(
            mean=np.zeros(3, np.float32),
            inverse_sd=np.full(3, one),
            weights=tuple(changed[:2]),
            biases=tuple(changed[2:]),
        )
        return log_loss(network.log_odds(rows), labels) * 2  # the loss sums over outputs

    for at, parameter in enumerate(parameters):
        step = np.zeros_like(parameter)
        step.flat[0] = 1e-2
        up = loss([p + step if i == at else p for i, p in enumerate(parameters)])
        down = loss([p - step if i == at else p for i, p in enumerate(parameters)])
        assert found[at].flat[0] == pytest.approx((up - down) / 2e-2, abs=2e-3)
