"""A decayed-window Markov chain: the baseline a model must beat, and what serves without one.

What followed the last plays within five plays, nearer ones counting more; the last play counts
most. On logs of a few hundred viewers it beats sequence models by far (docs/results/recommend.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from predictor.recommend.history import Floats, Ints, play_counts
from predictor.recommend.transitions import count_pairs, shrunk

LAG_WEIGHTS: Final = (1.0, 0.6, 0.4, 0.3, 0.2)
HISTORY_PLAYS: Final = 8
DECAY: Final = 0.7
SHRINKAGE: Final = 10.0
# Popularity decides only between titles which the chain knows nothing of.
_TIE_BREAK: Final = 1e-9


class Markov:
    """Scores by the transitions from the last eight plays, each older one weighing 0.7 as much."""

    def __init__(self, histories: Sequence[Ints], title_count: int) -> None:
        counts = count_pairs(histories, title_count, lag_weights=LAG_WEIGHTS)
        self._rows = shrunk(counts, SHRINKAGE)
        plays = play_counts(histories, title_count)
        self._ties: Floats = _TIE_BREAK * plays / max(1.0, plays.sum())

    def scores(self, history: Ints) -> Floats:
        scores = self._ties.copy()
        recent = history[-HISTORY_PLAYS:]
        for age, title in enumerate(recent[::-1].tolist()):
            self._rows.add_row(scores, title, DECAY**age)
        return np.asarray(scores)
