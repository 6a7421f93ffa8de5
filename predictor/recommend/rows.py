"""From scores to a list of recommendations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from predictor.recommend.blend import SCORE_MIN, to_probabilities
from predictor.recommend.history import Floats, Ints, Scorer
from predictor.recommend.recommendations import Recommendation


class TitleNumbers:
    """Names of titles and their numbers, from the most to the least watched."""

    def __init__(self, titles: Sequence[str]) -> None:
        self.titles = tuple(titles)
        self._numbers = {title: number for number, title in enumerate(self.titles)}

    def history(self, titles: Sequence[str]) -> Ints:
        """(plays,) numbers of what is known; of repeated plays of a title only the last."""
        known = [self._numbers[title] for title in titles if title in self._numbers]
        newest_first = dict.fromkeys(reversed(known))
        return np.array(list(newest_first)[::-1], dtype=np.int64)

    def likeliest(
        self, probabilities: Floats, history: Ints, count: int, *, exclude_seen: bool
    ) -> tuple[Ints, Floats]:
        """(found,) numbers of the likeliest titles, and the probability of each. What is seen
        gives its probability to what is not."""
        chances = probabilities.copy()
        if exclude_seen and len(history):
            total = chances.sum()
            chances[history] = 0.0
            left = chances.sum()
            chances *= total / left if left > 0.0 else 0.0
        found = best(chances, count)
        found = found[chances[found] > 0.0]
        return found, chances[found]

    def top(
        self, probabilities: Floats, history: Ints, count: int, *, exclude_seen: bool
    ) -> tuple[Recommendation, ...]:
        """The same by name."""
        found, chances = self.likeliest(probabilities, history, count, exclude_seen=exclude_seen)
        return tuple(
            Recommendation(title=self.titles[number], probability=chance)
            for number, chance in zip(found.tolist(), chances.tolist(), strict=True)
        )


class ScoredRecommender:
    """Recommends by any scorer, Markov or popularity, where there is no model.

    Without a model there are no fitted `sharpness` and `known_share`; the defaults leave a Markov
    chain's scores nearly as they are.
    """

    def __init__(
        self,
        scorer: Scorer,
        titles: TitleNumbers,
        *,
        sharpness: float = 1.0,
        known_share: float = 1.0,
    ) -> None:
        self._scorer = scorer
        self._titles = titles
        self._sharpness = sharpness
        self._known_share = known_share

    def top(
        self, history: Sequence[str], count: int, *, exclude_seen: bool = True
    ) -> tuple[Recommendation, ...]:
        plays = self._titles.history(history)
        scores = np.maximum(self._scorer.scores(plays), SCORE_MIN)
        chances = to_probabilities(scores, self._sharpness, self._known_share)
        return self._titles.top(chances, plays, count, exclude_seen=exclude_seen)


def best(scores: Floats, count: int) -> Ints:
    """Positions of the highest, highest first; of equal ones the first, the more watched."""
    if count < len(scores):
        least = np.partition(scores, len(scores) - count)[len(scores) - count]
        candidates = np.flatnonzero(scores >= least)
    else:
        candidates = np.arange(len(scores))
    order = np.argsort(-scores[candidates], kind="stable")
    return np.asarray(candidates[order][:count], dtype=np.int64)
