"""Are probabilities worth their name? Measures, and the two-parameter correction of them.

A price decides each prefetch, so a probability must mean what it says. `ece` (expected calibration
error) is the mean distance between what was foretold and what happened, over ten equal bins of
probability, weighted by rows. Source of the correction: Platt, "Probabilistic outputs for support
vector machines", 1999. It keeps the order of rows, so the AUC is unchanged, and in the graph it is
one multiplication and one addition.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BIN_COUNT = 10
_NEWTON_STEPS = 25
_STEP_MIN = 1e-9
_RIDGE = 1e-6  # keeps the correction finite where labels are all alike
_P_MIN = 1e-7


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """How good probabilities are on labelled rows."""

    auc: float
    log_loss: float
    ece: float
    rows: int
    base_rate: float


def scores(probabilities: NDArray[np.floating], labels: NDArray[np.floating]) -> Scores:
    """Scores of one horizon: both (rows,)."""
    p = np.clip(probabilities.astype(np.float64), _P_MIN, 1.0 - _P_MIN)
    y = labels.astype(np.float64)
    loss = -np.mean(y * np.log(p) + (1.0 - y) * np.log(1.0 - p))
    return Scores(
        auc=auc(p, y), log_loss=float(loss), ece=ece(p, y), rows=len(y), base_rate=float(y.mean())
    )


def mean_scores(parts: list[Scores]) -> Scores:
    """The plain mean over horizons."""
    return Scores(
        auc=float(np.mean([part.auc for part in parts])),
        log_loss=float(np.mean([part.log_loss for part in parts])),
        ece=float(np.mean([part.ece for part in parts])),
        rows=parts[0].rows,
        base_rate=float(np.mean([part.base_rate for part in parts])),
    )


def auc(probabilities: Floats, labels: Floats) -> float:
    """Chance that a positive row scores above a negative one; ties count half."""
    _, position, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[position]
    positives = float(labels.sum())
    negatives = len(labels) - positives
    if positives == 0 or negatives == 0:
        return 0.5
    above = float(ranks[labels > 0].sum()) - positives * (positives + 1) / 2.0
    return above / (positives * negatives)


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """One bin of a reliability diagram."""

    foretold: float
    happened: float
    rows: int


def reliability(probabilities: Floats, labels: Floats) -> tuple[Bin, ...]:
    """The bins that hold rows, by rising probability."""
    position = np.minimum((probabilities * BIN_COUNT).astype(np.int64), BIN_COUNT - 1)
    bins = []
    for at in range(BIN_COUNT):
        inside = position == at
        if inside.any():
            foretold, happened = probabilities[inside].mean(), labels[inside].mean()
            bins.append(
                Bin(
                    foretold=float(foretold),
                    happened=float(happened),
                    rows=int(np.count_nonzero(inside)),
                )
            )
    return tuple(bins)


def ece(probabilities: Floats, labels: Floats) -> float:
    """Expected calibration error over BIN_COUNT bins of equal width."""
    if not len(labels):
        return 0.0
    distances = [b.rows * abs(b.foretold - b.happened) for b in reliability(probabilities, labels)]
    return float(sum(distances) / len(labels))


def fit_platt(
    log_odds: Floats, labels: Floats, weights: Floats | None = None
) -> tuple[float, float]:
    """Scale and shift of the log-odds with the least log-loss (Newton's method, step halved
    while it overshoots). Rows count alike unless `weights` says otherwise."""
    inputs = np.stack([log_odds, np.ones_like(log_odds)], axis=1)
    share = np.full(len(labels), 1.0 / len(labels)) if weights is None else weights / weights.sum()

    def loss(at: Floats) -> float:
        z = inputs @ at
        return float(share @ (np.logaddexp(0.0, z) - labels * z) + _RIDGE * (at @ at) / 2.0)

    found = np.array([1.0, 0.0])
    for _ in range(_NEWTON_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(inputs @ found, -40.0, 40.0)))
        gradient = inputs.T @ (share * (p - labels)) + _RIDGE * found
        hessian = (inputs.T * (share * p * (1.0 - p))) @ inputs + _RIDGE * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        before = loss(found)
        while loss(found - step) > before and float(np.abs(step).max()) > _STEP_MIN:
            step = step / 2.0
        found = found - step
        if float(np.abs(step).max()) < _STEP_MIN:
            break
    return float(found[0]), float(found[1])


def log_odds(probabilities: NDArray[np.floating]) -> Floats:
    """The log-odds of probabilities, kept finite."""
    p = np.clip(probabilities.astype(np.float64), _P_MIN, 1.0 - _P_MIN)
    return np.asarray(np.log(p / (1.0 - p)))
