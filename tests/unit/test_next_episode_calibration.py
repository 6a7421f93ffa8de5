"""What the mean of several networks may foretell, told from networks that differ by noise."""

from __future__ import annotations

import numpy as np
import pytest

from predictor.train.network import Array
from predictor.train.next_episode import spread_lost
from predictor.train.next_episode_rows import Rows

ROWS = 20_000


class Noisy:
    """Answers the first column as log-odds, with noise of its own of a given variance."""

    def __init__(self, seed: int, variance: float) -> None:
        self._noise = np.random.default_rng(seed).normal(0.0, variance**0.5, ROWS)

    def probabilities(self, rows: Array) -> Array:
        odds = rows[:, 0] + self._noise[rows[:, 1].astype(np.int64)]
        return np.asarray(1.0 / (1.0 + np.exp(-odds)), np.float32)[:, None]


def rows_of(seed: int) -> Rows:
    odds = np.random.default_rng(seed).normal(0.0, 1.0, ROWS)
    return Rows(
        features=np.stack([odds, np.arange(ROWS)], axis=1).astype(np.float32),
        labels=np.zeros((ROWS, 1), np.float32),
        chance=np.ones(ROWS, np.float32),
    )


@pytest.mark.parametrize("variance", [0.0, 0.5])
def test_the_mean_of_networks_is_widened_by_the_noise_it_has_lost(variance: float) -> None:
    networks = [Noisy(seed, variance) for seed in range(4)]
    found = spread_lost(networks, [rows_of(9)])
    # Of one network 1 + variance, of the mean of four 1 + variance / 4.
    assert found == pytest.approx([(1.0 + variance) / (1.0 + variance / 4.0)], rel=0.04)
