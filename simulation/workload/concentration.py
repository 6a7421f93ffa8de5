"""How a service's hours fall on its titles: few hold most, and no single Zipf law fits both ends.

The four shares are what a large service published for a whole catalogue (half a year): the top
1, 5, 10 and 20 % of titles hold 27, 55, 71 and 86 % of the hours. Between them the curve is a
power law, so that weights fall from title to title without steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHARES = ((0.01, 0.27), (0.05, 0.55), (0.10, 0.71), (0.20, 0.86), (1.0, 1.0))
_HEAD_POWER = 0.5  # of the curve within the first hundredth; steeper would be a step at its end


def hours_held(share_of_titles: Floats) -> Floats:
    """The share of all hours that this top share of the titles holds."""
    knots = np.log([at for at, _ in SHARES])
    held = np.log([hours for _, hours in SHARES])
    log_at = np.log(np.maximum(share_of_titles, 1e-12))
    head = held[0] + _HEAD_POWER * (log_at - knots[0])
    found = np.where(log_at < knots[0], head, np.interp(log_at, knots, held))
    return np.where(share_of_titles <= 0, 0.0, np.exp(found))


def title_weights(count: int, *, power: float = 1.0, level_share: float = 0.0) -> Floats:
    """(count,) Shares of the hours, falling; a `power` below 1 flattens all of them, a
    `level_share` the top ones."""
    weights = np.diff(hours_held(np.arange(count + 1) / count)) ** power
    weights = np.minimum(weights, weights[int(level_share * (count - 1))])
    return np.asarray(weights / weights.sum())


def top_share(weights: Floats, share_of_titles: float) -> float:
    """Of the sum, what the largest hold."""
    ranked = np.sort(weights)[::-1]
    return float(ranked[: max(1, round(share_of_titles * len(ranked)))].sum() / ranked.sum())
