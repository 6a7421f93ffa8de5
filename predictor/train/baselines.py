"""What a model must beat, measured on the same rows: three that learn and one rule.

All are fitted to the same plays as the model and answer all horizons.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from predictor.columns import Floats
from predictor.features import FEATURE_NAMES
from predictor.train.network import Array, FitSettings, Network, fit

_PROGRESS = FEATURE_NAMES.index("progress")
_HAS_ENDED = FEATURE_NAMES.index("has_ended")
_BUCKET_EDGES = np.array([0.1, 0.25, 0.5, 0.75, 0.9, 1.0])


class Answers(Protocol):
    def probabilities(self, rows: Array) -> Array:
        """(batch, features) -> (batch, horizons)."""
        ...


class Constant:
    """The base rates."""

    def __init__(self, labels: Array) -> None:
        self._rates = labels.mean(axis=0, dtype=np.float64).astype(np.float32)

    def probabilities(self, rows: Array) -> Array:
        return np.broadcast_to(self._rates, (len(rows), len(self._rates)))


class CompletionTable:
    """The rate per bucket of progress, for plays that run and plays that have ended."""

    def __init__(self, rows: Array, labels: Array) -> None:
        bucket = _bucket(rows)
        rates = [labels.mean(axis=0, dtype=np.float64)] * (2 * (len(_BUCKET_EDGES) + 1))
        for at in range(len(rates)):
            inside = bucket == at
            if inside.any():
                rates[at] = labels[inside].mean(axis=0, dtype=np.float64)
        self._rates = np.array(rates, dtype=np.float32)

    def probabilities(self, rows: Array) -> Array:
        return np.asarray(self._rates[_bucket(rows)])


class HalfWatched:
    """The rule an edge falls back to: yes if half the episode was watched, else no.

    Sure answers have no finite log-loss, so the two are given the rates seen after each.
    """

    def __init__(self, rows: Array, labels: Array) -> None:
        is_yes = rows[:, _PROGRESS] >= 0.5
        self._rates = np.stack(
            [
                labels[chosen].mean(axis=0, dtype=np.float64) if chosen.any() else np.full(3, 0.5)
                for chosen in (~is_yes, is_yes)
            ]
        ).astype(np.float32)

    def probabilities(self, rows: Array) -> Array:
        return np.asarray(self._rates[(rows[:, _PROGRESS] >= 0.5).astype(np.int64)])


def fit_baselines(
    rows: Array,
    labels: Array,
    held_out: tuple[Array, Array],
    rng: np.random.Generator,
    *,
    chance: Array | None = None,
) -> Mapping[str, Answers]:
    """By name, in the order of a report."""
    logistic: Network = fit(
        rows,
        labels,
        held_out,
        settings=FitSettings(
            hidden=(), quantile_count=1, epochs=6, learning_rate=2e-2, weight_decay=0.0, dropout=0.0
        ),
        rng=rng,
        chance=chance,
    )
    return {
        "constant": Constant(labels),
        "rule_half_watched": HalfWatched(rows, labels),
        "completion_table": CompletionTable(rows, labels),
        "logistic_regression": logistic,
    }


def _bucket(rows: Array) -> np.ndarray:
    progress: Floats = rows[:, _PROGRESS].astype(np.float64) + 1e-6
    ended = (rows[:, _HAS_ENDED] > 0.5) * (len(_BUCKET_EDGES) + 1)
    return np.asarray(np.searchsorted(_BUCKET_EDGES, progress, side="right") + ended)
