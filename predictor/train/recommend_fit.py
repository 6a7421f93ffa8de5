"""Chooses how the parts of a title model are weighed, on questions kept from its own log.

One setting after the other is tried at a few neighbours, and the best by NDCG@10 is kept. Two
judges decide by their mean: the last tenth of the events, asked from models of what was before, and
the last title of every viewer, asked from models of the rest. They disagree (the next months want
more of the backward pairs, each viewer's next title less), and either alone chose what the other
rejects. Then two numbers make scores probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from predictor.recommend.blend import Blend, BlendSettings, counts_of, learn_blend
from predictor.recommend.packing import kept_counts, tiers_of
from predictor.recommend.rows import best as best_titles
from predictor.recommend.transitions import Transitions
from predictor.train.recommend_data import Listing
from predictor.train.recommend_measuring import gains, ranks
from predictor.train.recommend_queries import (
    Known,
    Query,
    known_of,
    queries,
    split_by_time,
    split_last,
    thinned,
)

_LEARNT_SHARE: Final = 0.9
_QUERIES_MAX: Final = 1_500
# Better by less than this share is chance: keep what we have.
_GAIN_MIN: Final = 0.02
_TRIED: Final[tuple[tuple[str, tuple[float, ...]], ...]] = (
    ("popularity_share", (0.03, 0.2, 1.0)),
    ("taste_share", (0.0, 0.03, 0.06)),
    ("shrinkage", (20.0, 60.0)),
    ("discount_power", (0.0, 0.15, 0.3)),
    ("recent_power", (0.7, 1.0, 1.4)),
    ("backward_share", (0.2, 0.4, 0.7)),
    ("lag_power", (0.6, 0.8, 1.1)),
)
_SHARPNESS: Final = tuple(np.round(np.geomspace(0.3, 2.5, 32), 3).tolist())
_PRICED_TITLES: Final = 10
_FIT_QUERIES_MAX: Final = 1_000

OnProgress = Callable[[str, float], None]


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One setting that was tried, and what it gave."""

    setting: str
    value: float
    ndcg_10: float


def learn(known: Known, settings: BlendSettings, counts: Transitions | None = None) -> Blend:
    """The parts, with as many transitions as the file may hold."""
    count = len(known.titles)
    rank = settings.taste_rank if settings.taste_share > 0.0 else 0
    return learn_blend(
        known.histories,
        count,
        settings,
        genre=known.genre if (known.genre >= 0).any() else None,
        kept_counts=kept_counts(tiers_of(count, rank), count),
        counts=counts,
    )


class _Judge:
    """Questions with known answers, and what the models that are asked may learn from."""

    def __init__(self, known: Known, asked: Sequence[Query]) -> None:
        self._known = known
        self._asked = asked
        self._counted: tuple[tuple[float, ...], Transitions] | None = None

    def gain(self, settings: BlendSettings) -> float:
        blend = learn(self._known, settings, self._counts(settings))
        return float(gains(ranks(blend, self._asked)).mean())

    def _counts(self, settings: BlendSettings) -> Transitions:
        """The last ones if they will do: most settings do not change them."""
        which = (settings.lag_max, settings.lag_power, settings.backward_share)
        if self._counted is None or self._counted[0] != which:
            known = self._known
            counts = counts_of(known.histories, len(known.titles), settings)
            self._counted = (which, counts)
        return self._counted[1]


def choose(
    listing: Listing, start: BlendSettings, on_progress: OnProgress
) -> tuple[BlendSettings, tuple[Tried, ...]]:
    """The best settings found, and all that were tried."""
    before, after = split_by_time(listing, _LEARNT_SHARE)
    judges = [
        judge
        for judge in (_judge(before, after), _judge(*split_last(listing)))
        if judge is not None
    ]
    if not judges:
        return start, ()
    best, best_gain = start, _mean_gain(judges, start)
    tried = [Tried(setting="", value=0.0, ndcg_10=best_gain)]
    for at, (name, values) in enumerate(_TRIED):
        on_progress("choosing settings", at / len(_TRIED))
        for value in values:
            if value == getattr(best, name):
                continue
            change: dict[str, Any] = {name: value}
            candidate = msgspec.structs.replace(best, **change)
            gain = _mean_gain(judges, candidate)
            tried.append(Tried(setting=name, value=value, ndcg_10=gain))
            if gain > best_gain * (1.0 + _GAIN_MIN):
                best, best_gain = candidate, gain
    known = known_of(before)
    return _calibrated(known, best, queries(known, before, after)), tuple(tried)


def _judge(before: Listing, after: Listing) -> _Judge | None:
    known = known_of(before)
    asked = [query for query in queries(known, before, after) if query.answer >= 0]
    return _Judge(known, thinned(asked, _QUERIES_MAX)) if asked else None


def _mean_gain(judges: Sequence[_Judge], settings: BlendSettings) -> float:
    return float(np.mean([judge.gain(settings) for judge in judges]))


def _calibrated(known: Known, settings: BlendSettings, asked: Sequence[Query]) -> BlendSettings:
    """The sharpness under which the first ten titles are foretold as often as they come.

    Not the likeliest sharpness: that is decided by how the thousands of titles behind share what
    is left, and foretold a fifth of what came of the first ten, which are the ones to be priced.
    """
    blend = learn(known, settings)
    some = thinned(asked, _FIT_QUERIES_MAX)
    if not some:
        return settings
    known_share = float(np.mean([query.answer >= 0 for query in asked]))
    foretold = np.zeros(len(_SHARPNESS))
    happened = 0
    for query in some:
        scores = blend.scores(query.history)
        scores[query.history] = 0.0
        logged = np.log(scores[scores > 0.0] / scores.max())
        order = np.argsort(-logged)[:_PRICED_TITLES]
        for at, sharpness in enumerate(_SHARPNESS):
            raised = np.exp(sharpness * logged)
            foretold[at] += known_share * raised[order].sum() / raised.sum()
        happened += int(query.answer >= 0 and query.answer in best_titles(scores, _PRICED_TITLES))
    return msgspec.structs.replace(
        settings,
        known_share=round(known_share, 4),
        sharpness=_SHARPNESS[int(np.argmin(np.abs(foretold - happened)))],
    )
