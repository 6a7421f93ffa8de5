"""What the model of titles is asked and says: edge.events and edge.effects, continued.

`Recommend` -> `Recommended` or `NotRecommended`. Titles are named as the model names them:
`series:NAME`, or a film by its title.
"""

from __future__ import annotations

from edge.effects import Effect
from edge.events import Event
from predictor.recommend.recommendations import Recommendation


class TitlesEvent(Event, frozen=True, kw_only=True):
    """Something the model of titles says."""


class TitlesModelChanged(TitlesEvent, frozen=True, kw_only=True):
    """It can be asked and knows these titles, or is not there (`model_id` None and why)."""

    model_id: str | None
    titles: tuple[str, ...] = ()
    detail: str = ""


class Recommended(TitlesEvent, frozen=True, kw_only=True):
    """Answer to `Recommend`: what the viewer has not taken up yet, likeliest first. The
    probabilities are those that it is the next one, if any is."""

    question_id: int
    titles: tuple[Recommendation, ...]


class NotRecommended(TitlesEvent, frozen=True, kw_only=True):
    """No answer will come for this."""

    question_id: int
    detail: str


class Recommend(Effect, frozen=True, kw_only=True):
    """Ask what follows on this history, the oldest title first; all are known to the model."""

    question_id: int
    history: tuple[str, ...]
    count: int
