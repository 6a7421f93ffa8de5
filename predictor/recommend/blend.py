"""Transitions, taste and popularity as one probability for every title.

    score = transitions of the last plays, nearer ones counting more
          + taste share x taste of a longer history
          + a little popularity
    P(next = title) = known share x score ** sharpness, shared out over all titles

The scores of the transitions are nearly probabilities already; `sharpness` and `known_share` (how
often the next title is one the model knows) make them ones that can be priced. This is the
arithmetic; `predictor.recommend.graph` writes the same as an ONNX graph, and a test compares them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from predictor.recommend.history import Floats, Ints, play_counts, recent_weights
from predictor.recommend.taste import Taste, learn_taste
from predictor.recommend.transitions import (
    Transitions,
    count_pairs,
    discounted,
    shrunk,
    strongest,
)

HISTORY_PLAYS = 50
"""Plays a model looks back on."""
SCORE_MIN = 1e-9


class BlendSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the parts are learnt and weighed.

    Defaults: best of a few by hand on slices of MovieLens before its last tenth; the trainer
    tries their neighbours on the end of its own log.
    """

    lag_max: int = 20
    lag_power: float = 0.8
    backward_share: float = 0.4
    shrinkage: float = 60.0
    discount_power: float = 0.15
    recent_plays: int = 15
    recent_power: float = 1.0
    taste_rank: int = 16
    taste_ridge: float = 100.0
    taste_share: float = 0.03
    taste_power: float = 0.5
    popularity_share: float = 0.03
    sharpness: float = 1.0
    known_share: float = 1.0


class Blend(msgspec.Struct, frozen=True, kw_only=True):
    """The learnt numbers. Titles are numbered from the most to the least watched."""

    settings: BlendSettings
    transitions: Transitions
    taste: Taste | None
    popularity: Floats  # (titles,) shares of all plays

    @property
    def title_count(self) -> int:
        return len(self.popularity)

    def scores(self, history: Ints) -> Floats:
        """(titles,) above 0; `history` is (plays,), the last play last."""
        settings = self.settings
        scores: Floats = settings.popularity_share * self.popularity
        if not len(history):
            return np.maximum(scores, SCORE_MIN)
        recent = history[-settings.recent_plays :]
        weights = recent_weights(len(recent), settings.recent_power)
        for title, weight in zip(recent.tolist(), weights.tolist(), strict=True):
            self.transitions.add_row(scores, title, weight)
        if self.taste is not None:
            longer = history[-HISTORY_PLAYS:]
            weights = recent_weights(len(longer), settings.taste_power) * np.sqrt(len(longer))
            viewer = weights @ self.taste.vectors[longer]
            scores += settings.taste_share * self.taste.scale * (self.taste.vectors @ viewer)
        return np.maximum(scores, SCORE_MIN)

    def probabilities(self, history: Ints) -> Floats:
        """(titles,) P(next = title), seen titles included; they sum to `known_share`."""
        return to_probabilities(
            self.scores(history), self.settings.sharpness, self.settings.known_share
        )


def to_probabilities(scores: Floats, sharpness: float, known_share: float) -> Floats:
    """Scores above 0 as probabilities that sum to `known_share`."""
    raised = (scores / scores.max()) ** sharpness
    return np.asarray(known_share * raised / raised.sum(), dtype=np.float64)


def counts_of(histories: Sequence[Ints], title_count: int, settings: BlendSettings) -> Transitions:
    """The pairs that a blend of these settings learns from."""
    return count_pairs(
        histories,
        title_count,
        lag_weights=[lag**-settings.lag_power for lag in range(1, settings.lag_max + 1)],
        backward_share=settings.backward_share,
    )


def learn_blend(
    histories: Sequence[Ints],
    title_count: int,
    settings: BlendSettings,
    *,
    genre: Ints | None = None,
    kept_counts: Ints | None = None,
    counts: Transitions | None = None,
) -> Blend:
    """`kept_counts` (titles,) is how many transitions of each title are kept; None: all. `counts`
    are those of `counts_of` where they are there already: counting is most of the work."""
    if counts is None:
        counts = counts_of(histories, title_count, settings)
    plays = play_counts(histories, title_count)
    rows = discounted(shrunk(counts, settings.shrinkage), plays, settings.discount_power)
    taste = None
    if settings.taste_share > 0.0 and settings.taste_rank > 0:
        taste = learn_taste(
            histories,
            title_count,
            rank=settings.taste_rank,
            ridge=settings.taste_ridge,
            genre=genre,
        )
    return Blend(
        settings=settings,
        transitions=rows if kept_counts is None else strongest(rows, kept_counts),
        taste=taste,
        popularity=plays / max(1.0, plays.sum()),
    )
