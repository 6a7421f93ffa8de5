"""What a viewer has watched, as numbers of titles in order of first play."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Scorer(Protocol):
    """Whatever ranks all titles for one viewer."""

    def scores(self, history: Ints) -> Floats:
        """(titles,), higher is likelier next; `history` is (plays,), the last play last."""
        ...


def play_counts(histories: Sequence[Ints], title_count: int) -> Floats:
    """(titles,) plays in all histories."""
    counts = np.zeros(title_count)
    for history in histories:
        counts += np.bincount(history, minlength=title_count)
    return counts


def recent_weights(length: int, power: float) -> Floats:
    """(length,) weights of the last plays, the last one's largest: 1 / age ** power, sum 1."""
    weights = np.arange(length, 0, -1, dtype=np.float64) ** -power
    return np.asarray(weights / weights.sum(), dtype=np.float64)
