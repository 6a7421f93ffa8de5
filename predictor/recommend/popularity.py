"""Titles by how often they were watched, the same for every viewer."""

from __future__ import annotations

from collections.abc import Sequence

from predictor.recommend.history import Floats, Ints, play_counts


class Popularity:
    """Shares of all plays."""

    def __init__(self, histories: Sequence[Ints], title_count: int) -> None:
        counts = play_counts(histories, title_count)
        self._shares: Floats = counts / max(1.0, counts.sum())

    def scores(self, history: Ints) -> Floats:
        return self._shares
