"""Boosted trees that teach the network: they learn rows better, and the network runs anywhere.

On real rows of other seasons trees were .004 of AUC ahead of the network trained on the same rows;
the network trained on their answers, half of them on rows that nobody lived, is .001 behind them
(docs/results/next-episode.md). Such a row takes each of its values from another row with a small
chance, so the student is told what the teacher thinks between the rows too.
Sources: Ke et al., "LightGBM", NIPS 2017; Hinton et al., "Distilling the knowledge in a neural
network", 2015.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from predictor.train.network import Array

_SWAP_CHANCE = 0.15  # of each value
_DRAWN_ROWS = 1  # rows nobody lived, per one that somebody did


class BoostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many trees, and how gently they learn."""

    trees: int = 250
    leaves: int = 31
    leaf_rows_min: int = 150
    learning_rate: float = 0.06
    feature_share: float = 0.6  # of the features, drawn for each tree
    leaf_penalty: float = 10.0


class Teacher:
    """One ensemble per horizon."""

    def __init__(self, rows: Array, labels: Array, settings: BoostSettings, seed: int) -> None:
        import lightgbm

        parameters = {
            "objective": "binary",
            "num_leaves": settings.leaves,
            "min_child_samples": settings.leaf_rows_min,
            "learning_rate": settings.learning_rate,
            "feature_fraction": settings.feature_share,
            "lambda_l2": settings.leaf_penalty,
            "seed": seed,
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }
        bins = lightgbm.Dataset(rows, free_raw_data=False)
        self._boosters: list[Any] = []
        for at in range(labels.shape[1]):
            bins.set_label(np.ascontiguousarray(labels[:, at]))
            self._boosters.append(lightgbm.train(parameters, bins, settings.trees))

    def probabilities(self, rows: Array) -> Array:
        """(batch, features) -> (batch, horizons)."""
        answers = [booster.predict(rows, num_threads=1) for booster in self._boosters]
        return np.stack(answers, axis=1).astype(np.float32)


def lesson(
    rows: Array,
    labels: Array,
    teacher: Teacher,
    *,
    whole: tuple[int, ...],
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """The rows with the mean of what happened and what the teacher says, and rows between them with
    the teacher's answers alone. The columns `whole` stay as they are: they tell a play's stage."""
    parts: list[Array] = []
    for _ in range(_DRAWN_ROWS):
        drawn = rows.copy()
        for column in range(rows.shape[1]):
            if column not in whole:
                swapped = rng.random(len(rows)) < _SWAP_CHANCE
                drawn[swapped, column] = rows[rng.permutation(len(rows))[swapped], column]
        parts.append(drawn)
    between = np.concatenate(parts)
    lived = (labels + teacher.probabilities(rows)) / np.float32(2.0)
    return np.concatenate([rows, between]), np.concatenate([lived, teacher.probabilities(between)])
