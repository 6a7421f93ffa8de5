import numpy as np
import pytest

from predictor.features import FEATURE_COUNT
from predictor.train.network import FitSettings, Network, Ramps, fit, log_loss

SETTINGS = FitSettings(hidden=(8,), quantile_count=4, epochs=10, batch=64, learning_rate=2e-2)


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
    rows = rng.random(size=(16, 3)).astype(np.float32)
    labels = (rng.random((16, 2)) < 0.5).astype(np.float32)
    parameters = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 4), (4, 2), 4, 2)]
    found = _gradients(rows, labels, parameters, 2)
    ramps = Ramps(feature=np.arange(3), low=np.zeros(3, np.float32), slope=np.ones(3, np.float32))

    def loss(changed: list[np.ndarray]) -> float:
        network = Network(ramps=ramps, weights=tuple(changed[:2]), biases=tuple(changed[2:]))
        return log_loss(network.log_odds(rows), labels) * 2  # the loss sums over outputs

    for at, parameter in enumerate(parameters):
        step = np.zeros_like(parameter)
        step.flat[0] = 1e-2
        up = loss([p + step if i == at else p for i, p in enumerate(parameters)])
        down = loss([p - step if i == at else p for i, p in enumerate(parameters)])
        assert found[at].flat[0] == pytest.approx((up - down) / 2e-2, abs=2e-3)


def test_ramps_rise_over_the_range_and_over_equal_shares_of_rows() -> None:
    rows = np.stack([np.arange(101.0), np.repeat([0.0, 1.0], [50, 51])], axis=1).astype(np.float32)
    ramps = Ramps.of(rows, 4)
    # Two values have one step between them, which the whole range is already.
    assert ramps.feature.tolist() == [0, 0, 0, 0, 0, 1]
    asked = np.array([[62.5, 1.0], [-9.0, 0.5], [1000.0, 7.0]], dtype=np.float32)
    expected = np.array([[0.625, 1, 1, 0.5, 0, 1], [0, 0, 0, 0, 0, 0.5], [1, 1, 1, 1, 1, 1]])
    np.testing.assert_allclose(ramps(asked), expected.astype(np.float32))


def test_rows_without_a_chance_are_not_learnt_from() -> None:
    rows, labels = rows_and_labels(1)
    wrong = np.concatenate([labels, 1.0 - labels])
    chance = np.repeat([1.0, 0.0], len(rows)).astype(np.float32)
    both = np.concatenate([rows, rows])
    network = fit(
        both,
        wrong,
        rows_and_labels(2),
        settings=SETTINGS,
        rng=np.random.default_rng(3),
        chance=chance,
    )
    assert ((network.probabilities(rows)[:, 0] > 0.5) == (labels[:, 0] > 0)).mean() > 0.9


@pytest.mark.parametrize("hidden", [(8, 4), (8,), ()])
def test_graph_answers_the_mean_log_odds_of_its_members(hidden: tuple[int, ...]) -> None:
    pytest.importorskip("onnx")
    from predictor.export import to_onnx, with_platt
    from predictor.runtime import Graph

    rows, labels = rows_and_labels(1)
    ramps = Ramps.of(rows, 3)
    settings = FitSettings(hidden=hidden, epochs=1, learning_rate=2e-2)
    members = [
        fit(
            rows,
            labels,
            (rows, labels),
            settings=settings,
            rng=np.random.default_rng(seed),
            ramps=ramps,
        )
        for seed in range(3)
    ]
    for count in (1, 3):
        odds = np.mean([member.log_odds(rows) for member in members[:count]], axis=0)
        graph = Graph(with_platt(to_onnx(members[:count]), [(2.0, 0.5)] * 3), source="a test")
        expected = 1.0 / (1.0 + np.exp(-(2.0 * odds + 0.5)))
        np.testing.assert_allclose(graph.run(rows), expected, atol=2e-6)
