"""Fits the bandwidth model's network: pinball loss over all windows, averaged weights.

The only module that imports torch, as an optional extra brings it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from predictor.bandwidth.features import RATE_KBPS_MIN
from predictor.bandwidth.model import LEVELS, STANDARDISED_MAX, WINDOWS_S, steps_matrix
from predictor.train.bandwidth_rows import Rows, Singles

_WINDOW_WEIGHTS = (2.0, 1.0, 1.0, 1.0, 0.7, 0.7)  # the transfer asked for matters most
# Lower quantiles aim a little lower than they are called: links nobody has seen fall below them
# more often than those learnt from, by 1 to 7 points of a nominal 25 %. Outages cost most.
_AIMS = (0.019, 0.09, 0.235, 0.39, 0.5, 0.6, 0.75, 0.9, 0.98)
# The median serves as the best guess too, and is what plans are made of.
_MEDIAN_WEIGHT = 3.0
_WARM_STEPS = 200
_AVERAGE_KEEP = 0.999
_NOISE_MIN = 0.05  # log2; a family that never moves must not own the loss
_SD_MIN = 1e-3
_BELOW_FLOOR = 0.02


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    hidden: tuple[int, ...] = (100, 100, 100)
    steps: int = 16_000
    batch: int = 1024
    rate: float = 2e-3
    decay: float = 1e-4


@dataclass(frozen=True, kw_only=True)
class Dense:
    """A fitted network in plain arrays; weights are (inputs, outputs)."""

    mean: Singles
    inverse_sd: Singles
    weights: tuple[Singles, ...]
    biases: tuple[Singles, ...]


class _Network(torch.nn.Module):
    def __init__(self, inputs: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(
            torch.nn.Linear(low, high) for low, high in pairwise([inputs, *hidden])
        )
        self.layers.append(torch.nn.Linear(hidden[-1] + inputs, len(WINDOWS_S) * len(LEVELS)))
        self.ladder = torch.from_numpy(steps_matrix(len(WINDOWS_S), len(LEVELS)))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        inputs = rows
        for layer in self.layers[:-1]:
            rows = torch.relu(layer(rows))
        rows = self.layers[-1](torch.cat([rows, inputs], 1))
        middle, steps = rows[:, : len(WINDOWS_S)], rows[:, len(WINDOWS_S) :]
        ratios = torch.cat([middle, torch.nn.functional.softplus(steps)], 1) @ self.ladder
        return ratios.view(-1, len(WINDOWS_S), len(LEVELS))


def fit(
    rows: Rows,
    *,
    shares: NDArray[np.float64],
    settings: FitSettings,
    seed: int,
    on_step: Callable[[int], None] = lambda step: None,
) -> Dense:
    """The network with the least loss; `shares` says how much each family counts."""
    # Threads sum in another order each, and wait for one another on a machine that is shared.
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    draws = torch.Generator().manual_seed(seed)
    mean = rows.features.mean(axis=0)
    inverse_sd = 1.0 / (rows.features.std(axis=0) + _SD_MIN)
    inputs = torch.from_numpy(
        ((rows.features - mean) * inverse_sd).clip(-STANDARDISED_MAX, STANDARDISED_MAX)
    )
    targets = torch.from_numpy(rows.targets)
    weights = torch.from_numpy(_weights(rows, shares))
    floors = torch.from_numpy(np.log2(RATE_KBPS_MIN) - rows.reference).float()
    levels, windows = torch.tensor(_AIMS), torch.tensor(_WINDOW_WEIGHTS)
    importance = torch.tensor([_MEDIAN_WEIGHT if each == 0.5 else 1.0 for each in LEVELS])
    importance /= importance.sum()
    network = _Network(rows.features.shape[1], settings.hidden)
    parameters = list(network.parameters())
    averages = [each.detach().clone() for each in parameters]
    optimiser = torch.optim.AdamW(parameters, lr=settings.rate, weight_decay=settings.decay)
    for step in range(settings.steps):
        falling = 0.5 * (1.0 + np.cos(np.pi * step / settings.steps)) + 0.005
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * min(1.0, (step + 1) / _WARM_STEPS) * falling
        batch = torch.randint(0, len(inputs), (settings.batch,), generator=draws)
        truth = targets[batch]
        known = ~torch.isnan(truth)
        # A forecast below an outage's rate is served as an outage: it costs next to nothing.
        floor = floors[batch][:, None, None]
        answer = network(inputs[batch])
        answer = torch.maximum(answer, floor + _BELOW_FLOOR * (answer - floor))
        beside = torch.nan_to_num(truth)[:, :, None] - answer
        pinball = torch.maximum(levels * beside, (levels - 1.0) * beside) @ importance
        loss = (pinball * known * windows * weights[batch][:, None]).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        keep = min(_AVERAGE_KEEP, (1.0 + step) / (10.0 + step))
        torch._foreach_lerp_(averages, [each.detach() for each in parameters], 1.0 - keep)
        on_step(step)
    arrays = [each.numpy().astype(np.float32) for each in averages]
    return Dense(
        mean=mean.astype(np.float32),
        inverse_sd=inverse_sd.astype(np.float32),
        weights=tuple(np.ascontiguousarray(each.T) for each in arrays[0::2]),
        biases=tuple(arrays[1::2]),
    )


def _weights(rows: Rows, shares: NDArray[np.float64]) -> Singles:
    """Families count by their share and not by their noise or number of rows."""
    weights = np.zeros(len(shares))
    for family in range(len(shares)):
        of_family = rows.family == family
        if of_family.any():
            noise = np.nanmean(np.abs(rows.targets[of_family]))
            weights[family] = shares[family] / of_family.sum() / max(noise, _NOISE_MIN)
    each = weights[rows.family]
    return np.asarray(each / each.mean(), dtype=np.float32)
