"""A small dense network in numpy: what the next-episode model needs, and no more.

ReLU layers, independent sigmoid outputs, mean log-loss, Adam, early stopping on rows of viewers the
training has not seen. The same class without hidden layers is logistic regression. One thread and
one seed give the same weights, byte for byte, on one kind of processor.
Source of the optimiser: Kingma and Ba, "Adam", ICLR 2015.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True, kw_only=True)
class Network:
    """Weights (inputs, outputs) and biases per layer, on standardised inputs."""

    mean: Array
    inverse_sd: Array
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]

    def log_odds(self, rows: Array) -> Array:
        """(batch, features) -> (batch, outputs)."""
        return _forward((rows - self.mean) * self.inverse_sd, self.weights, self.biases)[-1]

    def probabilities(self, rows: Array) -> Array:
        """(batch, features) -> (batch, outputs), each in (0, 1)."""
        return np.asarray(_sigmoid(self.log_odds(rows)))


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How long and how gently to train."""

    hidden: tuple[int, ...] = (64, 64)
    epochs_max: int = 16
    patience: int = 3  # epochs without a better held-out loss
    batch: int = 1024
    learning_rate: float = 2e-3
    learning_rate_decay: float = 0.85  # per epoch
    weight_decay: float = 1e-4


def fit(
    rows: Array,
    labels: Array,
    held_out: tuple[Array, Array],
    *,
    settings: FitSettings,
    rng: np.random.Generator,
    on_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
) -> Network:
    """The network of the epoch with the least log-loss on `held_out`."""
    mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    sd = rows.std(axis=0, dtype=np.float64)
    # A column that never changes in training must not explode when it does in service.
    inverse_sd = np.where(sd > 1e-6, 1.0 / np.maximum(sd, 1e-6), 0.0).astype(np.float32)
    inputs = (rows - mean) * inverse_sd
    parameters = _initial(rows.shape[1], labels, settings.hidden, rng)
    layers = len(settings.hidden) + 1
    adam = _Adam(parameters)
    best, best_loss, waited = [p.copy() for p in parameters], float("inf"), 0
    rate = settings.learning_rate
    for epoch in range(settings.epochs_max):
        order = rng.permutation(len(inputs))
        for start in range(0, len(order), settings.batch):
            chosen = order[start : start + settings.batch]
            gradients = _gradients(
                inputs[chosen], labels[chosen], parameters, layers, settings.weight_decay
            )
            adam.step(parameters, gradients, rate)
        rate *= settings.learning_rate_decay
        network = _network(mean, inverse_sd, parameters, layers)
        loss = log_loss(network.log_odds(held_out[0]), held_out[1])
        on_epoch(epoch + 1, loss)
        if loss < best_loss - 1e-5:
            best, best_loss, waited = [p.copy() for p in parameters], loss, 0
        else:
            waited += 1
            if waited >= settings.patience:
                break
    return _network(mean, inverse_sd, best, layers)


def log_loss(log_odds: Array, labels: Array) -> float:
    """Mean over rows and outputs, in a form that does not overflow."""
    z = log_odds.astype(np.float64)
    return float(np.mean(np.logaddexp(0.0, z) - labels * z))


def _initial(
    inputs: int, labels: Array, hidden: Sequence[int], rng: np.random.Generator
) -> list[Array]:
    sizes = [inputs, *hidden, labels.shape[1]]
    weights = [
        (rng.normal(size=(low, high)) * np.sqrt(2.0 / low)).astype(np.float32)
        for low, high in itertools.pairwise(sizes)
    ]
    weights[-1] *= np.float32(0.1)  # start at the base rates
    biases = [np.zeros(size, dtype=np.float32) for size in sizes[1:]]
    rate = np.clip(labels.mean(axis=0, dtype=np.float64), 0.01, 0.99)
    biases[-1] = np.log(rate / (1.0 - rate)).astype(np.float32)
    return [*weights, *biases]


def _network(mean: Array, inverse_sd: Array, parameters: list[Array], layers: int) -> Network:
    return Network(
        mean=mean,
        inverse_sd=inverse_sd,
        weights=tuple(parameters[:layers]),
        biases=tuple(parameters[layers:]),
    )


def _forward(inputs: Array, weights: Sequence[Array], biases: Sequence[Array]) -> list[Array]:
    """The input and every layer's output; ReLU on all but the last."""
    values = [inputs]
    for at, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        value = values[-1] @ weight + bias
        values.append(value if at == len(weights) - 1 else np.maximum(value, np.float32(0.0)))
    return values


def _gradients(
    inputs: Array, labels: Array, parameters: list[Array], layers: int, weight_decay: float
) -> list[Array]:
    weights, biases = parameters[:layers], parameters[layers:]
    values = _forward(inputs, weights, biases)
    error = (_sigmoid(values[-1]) - labels) / np.float32(len(inputs))
    by_weight, by_bias = [], []
    for at in range(layers - 1, -1, -1):
        by_weight.append(values[at].T @ error + np.float32(weight_decay) * weights[at])
        by_bias.append(error.sum(axis=0))
        if at:
            error = (error @ weights[at].T) * (values[at] > 0)
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
