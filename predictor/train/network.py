"""A small dense network in numpy: what the next-episode model needs, and no more.

Every feature enters as ramps: one over its whole range and one between each two neighbours of its
quantiles, each clipped to 0..1. So a first layer can bend wherever there are rows, as trees can,
where a network on the bare numbers was .010 of AUC behind them (docs/results/next-episode.md).
And what is quantised lies in 0..1 whatever the batch holds.
Then ReLU layers with dropout, independent sigmoid outputs, mean log-loss, Adam with decoupled
weight decay and a rate that rises and falls once. The epoch with the least loss on rows of viewers
the training has not seen is kept. Without hidden layers and quantiles it is logistic regression.
One thread and one seed give the same weights, byte for byte, on one kind of processor.
Sources: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019; Gorishniy et
al., "On embeddings for numerical features in tabular deep learning", NeurIPS 2022.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8
_RISING_SHARE = 0.1  # of the steps, while the learning rate rises


@dataclass(frozen=True, kw_only=True)
class Ramps:
    """Input i is `(rows[:, feature[i]] - low[i]) * slope[i]`, clipped to 0..1."""

    feature: NDArray[np.int64]
    low: Array
    slope: Array

    @classmethod
    def of(cls, rows: Array, quantile_count: int) -> Ramps:
        """As many pieces per feature, of equal shares of rows; fewer where values repeat."""
        found: list[tuple[int, float, float]] = []
        for feature in range(rows.shape[1]):
            column = rows[:, feature]
            found.append((feature, float(column.min()), float(column.max())))
            if quantile_count > 1:
                edges = np.unique(np.quantile(column, np.linspace(0.0, 1.0, quantile_count + 1)))
                pieces = itertools.pairwise(edges.tolist()) if len(edges) > 2 else ()
                found += [(feature, low, high) for low, high in pieces]
        lows = np.array([low for _, low, _ in found])
        widths = np.array([high for _, _, high in found]) - lows
        # A column that never changes in training must not matter when it does in service.
        slopes = np.where(widths > 1e-6, 1.0 / np.maximum(widths, 1e-6), 0.0)
        return cls(
            feature=np.array([feature for feature, _, _ in found]),
            low=lows.astype(np.float32),
            slope=slopes.astype(np.float32),
        )

    def __call__(self, rows: Array) -> Array:
        """(batch, features) -> (batch, inputs)."""
        raised = (rows[:, self.feature] - self.low) * self.slope
        return np.asarray(np.clip(raised, np.float32(0.0), np.float32(1.0)))


@dataclass(frozen=True, kw_only=True)
class Network:
    """Weights (inputs, outputs) and biases per layer."""

    ramps: Ramps
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]

    def log_odds(self, rows: Array) -> Array:
        """(batch, features) -> (batch, outputs)."""
        return _forward(self.ramps(rows), self.weights, self.biases)[-1]

    def probabilities(self, rows: Array) -> Array:
        """(batch, features) -> (batch, outputs), each in (0, 1)."""
        return np.asarray(_sigmoid(self.log_odds(rows)))


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How long and how gently to train."""

    hidden: tuple[int, ...] = (128, 64)
    quantile_count: int = 16
    epochs: int = 6
    batch: int = 512
    learning_rate: float = 3e-3  # its highest
    weight_decay: float = 1e-3  # of the learning rate, per step
    dropout: float = 0.0  # a taught network needs none


def fit(
    rows: Array,
    labels: Array,
    held_out: tuple[Array, Array],
    *,
    settings: FitSettings,
    rng: np.random.Generator,
    chance: Array | None = None,
    ramps: Ramps | None = None,
    on_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
) -> Network:
    """The network of the epoch with the least log-loss on `held_out`. `chance` is how likely each
    row takes part in an epoch, 1 unless given."""
    ramps = ramps or Ramps.of(rows, settings.quantile_count)
    chance = np.ones(len(rows), dtype=np.float32) if chance is None else chance
    parameters = _initial(len(ramps.feature), labels, settings.hidden, rng)
    layers = len(settings.hidden) + 1
    adam = _Adam(parameters)
    best, best_loss = [p.copy() for p in parameters], float("inf")
    for epoch in range(settings.epochs):
        order = rng.permutation(np.flatnonzero(rng.random(len(rows)) < chance))
        starts = range(0, len(order), settings.batch)
        for step, start in enumerate(starts):
            chosen = order[start : start + settings.batch]
            masks = _masks(len(chosen), settings, rng)
            gradients = _gradients(ramps(rows[chosen]), labels[chosen], parameters, layers, masks)
            rate = settings.learning_rate * _share_of_rate(
                (epoch + step / len(starts)) / settings.epochs
            )
            decay = np.float32(1.0 - rate * settings.weight_decay)
            for weight in parameters[:layers]:
                weight *= decay
            adam.step(parameters, gradients, rate)
        network = _network(ramps, parameters, layers)
        loss = log_loss(network.log_odds(held_out[0]), held_out[1])
        on_epoch(epoch + 1, loss)
        if loss < best_loss - 1e-5:
            best, best_loss = [p.copy() for p in parameters], loss
    return _network(ramps, best, layers)


def log_loss(log_odds: Array, labels: Array) -> float:
    """Mean over rows and outputs, in a form that does not overflow."""
    z = log_odds.astype(np.float64)
    return float(np.mean(np.logaddexp(0.0, z) - labels * z))


def _share_of_rate(done: float) -> float:
    """Rises in a line, then falls as half a cosine."""
    if done < _RISING_SHARE:
        return done / _RISING_SHARE
    return 0.5 * (1.0 + float(np.cos(np.pi * (done - _RISING_SHARE) / (1.0 - _RISING_SHARE))))


def _masks(batch: int, settings: FitSettings, rng: np.random.Generator) -> list[Array] | None:
    """What each hidden layer's values are multiplied by: 0, or as much more as keeps their sum."""
    if settings.dropout <= 0.0:
        return None
    keep = np.float32(1.0 - settings.dropout)
    return [
        (rng.random((batch, width), dtype=np.float32) < keep).astype(np.float32) / keep
        for width in settings.hidden
    ]


def _initial(
    inputs: int, labels: Array, hidden: Sequence[int], rng: np.random.Generator
) -> list[Array]:
    sizes = [inputs, *hidden, labels.shape[1]]
    weights = [
        (rng.normal(size=(low, high)) * np.sqrt(1.0 / low)).astype(np.float32)
        for low, high in itertools.pairwise(sizes)
    ]
    weights[-1] *= np.float32(0.1)  # start at the base rates
    biases = [np.zeros(size, dtype=np.float32) for size in sizes[1:]]
    rate = np.clip(labels.mean(axis=0, dtype=np.float64), 0.01, 0.99)
    biases[-1] = np.log(rate / (1.0 - rate)).astype(np.float32)
    return [*weights, *biases]


def _network(ramps: Ramps, parameters: list[Array], layers: int) -> Network:
    return Network(
        ramps=ramps, weights=tuple(parameters[:layers]), biases=tuple(parameters[layers:])
    )


def _forward(
    inputs: Array,
    weights: Sequence[Array],
    biases: Sequence[Array],
    masks: list[Array] | None = None,
) -> list[Array]:
    """The input and every layer's output; ReLU on all but the last."""
    values = [inputs]
    for at, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        value = values[-1] @ weight + bias
        if at < len(weights) - 1:
            value = np.maximum(value, np.float32(0.0))
            if masks is not None:
                value *= masks[at]
        values.append(value)
    return values


def _gradients(
    inputs: Array,
    labels: Array,
    parameters: list[Array],
    layers: int,
    masks: list[Array] | None = None,
) -> list[Array]:
    weights, biases = parameters[:layers], parameters[layers:]
    values = _forward(inputs, weights, biases, masks)
    error = (_sigmoid(values[-1]) - labels) / np.float32(len(inputs))
    by_weight, by_bias = [], []
    for at in range(layers - 1, -1, -1):
        by_weight.append(values[at].T @ error)
        by_bias.append(error.sum(axis=0))
        if at:
            error = (error @ weights[at].T) * (values[at] > 0)
            if masks is not None:
                error *= masks[at - 1]
    return [*by_weight[::-1], *by_bias[::-1]]


class _Adam:
    def __init__(self, parameters: list[Array]) -> None:
        self._first = [np.zeros_like(p) for p in parameters]
        self._second = [np.zeros_like(p) for p in parameters]
        self._steps = 0

    def step(self, parameters: list[Array], gradients: list[Array], rate: float) -> None:
        self._steps += 1
        rate *= np.sqrt(1.0 - _BETA_2**self._steps) / (1.0 - _BETA_1**self._steps)
        for at, gradient in enumerate(gradients):
            self._first[at] += np.float32(1.0 - _BETA_1) * (gradient - self._first[at])
            self._second[at] += np.float32(1.0 - _BETA_2) * (gradient**2 - self._second[at])
            parameters[at] -= (
                np.float32(rate) * self._first[at] / (np.sqrt(self._second[at]) + _EPSILON)
            ).astype(np.float32)


def _sigmoid(log_odds: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -40.0, 40.0))), dtype=np.float32)
