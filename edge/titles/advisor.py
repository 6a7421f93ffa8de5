"""When the model of titles is asked, and what its answers come to.

Asked once a viewer is likely to look for something else:

    sitting    the first title of a sitting has been taken up (its first checkpoint)
    over       from `rest_at` on, what is watched has no successor: a film, the end of a series
    doubtful   from `rest_at` on, the viewer will rather not go on to the successor

and, where clients are shown home rows, whenever a title is taken up. An answer holds as long as
prefetched objects are kept, until the viewer begins something, or the next one comes. Probabilities
are those of the model, times how often viewers take up anything in that situation, times how often
it was something the model had named, over how often it should be (edge.titles.turns). Those of all
viewers put together are the heads worth offering (predictor.recommend.heads).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final
from weakref import WeakKeyDictionary, WeakSet

import msgspec

from cache.http.headers import Headers
from edge.config import EdgeConfig
from edge.effects import Effect
from edge.prefetch.judge import Verdict
from edge.sessions import Checkpoint, Session
from edge.status import TitlesFigures
from edge.successors import Successors
from edge.titles.events import (
    NotRecommended,
    Recommend,
    Recommended,
    TitlesEvent,
    TitlesModelChanged,
)
from edge.titles.histories import Histories
from edge.titles.names import Names
from edge.titles.popular import Popular
from edge.titles.turns import TURN_S, Situation, Turns
from edge.viewers import Rung, Viewer
from nearcast.machine import EffectQueue
from nearcast.media import TrackKind
from predictor.recommend.heads import Head, Heads
from predictor.recommend.recommendations import Recommendation

DOUBTFUL_BELOW: Final = 0.5
"""Whoever will go on to the successor less likely than this may look for something else."""


POPULAR_MAX: Final = 500
"""Popular titles that home rows choose from: some belong to another service, or were watched."""


class Beginning(msgspec.Struct, frozen=True):
    """How a viewer's player would begin a title."""

    rungs: dict[TrackKind, Rung]
    headers: Headers
    """What its requests send upstream."""


class _Question(msgspec.Struct, frozen=True):
    session: Session
    situation: Situation | None
    """None: it is asked for the home rows alone."""


class Advisor:
    """Asks about viewers, and puts together what they may start."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        names: Names,
        successors: Successors,
        effects: EffectQueue[Effect],
    ) -> None:
        self._config = config.titles
        self._rest_at = config.prefetch.rest_at
        self._names = names
        self._successors = successors
        self._effects = effects
        self.is_on = bool(config.titles.model) or config.titles.home_rows
        self.histories = Histories(config.sessions.history_s)
        self.popular = Popular(POPULAR_MAX)
        self._heads = Heads(lifetime_s=TURN_S, viewers_max=config.sessions.viewers_max)
        self._turns = Turns(TURN_S)
        self._beginnings: dict[str, Beginning] = {}
        self._likes: WeakKeyDictionary[Viewer, tuple[str, ...]] = WeakKeyDictionary()
        self._model_id: str | None = None
        self._last_model_id: str | None = None
        self._detail = (
            "no model of titles has been loaded yet"
            if config.titles.model
            else "titles.model is empty"
        )
        self._known: frozenset[str] = frozenset()
        self._questions: OrderedDict[int, _Question] = OrderedDict()
        self._next_id = 1
        self._asked_count = 0
        self._failed_count = 0
        self._taken: WeakSet[Session] = WeakSet()
        self._keys: WeakKeyDictionary[Viewer, str] = WeakKeyDictionary()
        self._next_key = 1
        self.has_news = False
        """Whether the heads may be others than when they were last taken."""

    # -- what happens

    def handle(self, event: TitlesEvent, now_s: float) -> None:
        match event:
            case TitlesModelChanged():
                self._model_id, self._detail = event.model_id, event.detail
                self._known = frozenset(event.titles)
                self._questions.clear()
                if self.is_another(event):
                    self._turns.model_changed()
                self._last_model_id = event.model_id or self._last_model_id
            case Recommended():
                question = self._questions.pop(event.question_id, None)
                if question is not None:
                    self._recommended(question, event.titles, now_s)
            case NotRecommended(question_id=question_id):
                self._failed_count += 1
                self._questions.pop(question_id, None)

    def is_another(self, event: TitlesModelChanged) -> bool:
        """Whether it is not the model before, whose process may have died and been replaced."""
        return event.model_id not in (None, self._last_model_id)

    def started(self, session: Session, now_s: float) -> None:
        """A viewer has chosen."""
        if not self.is_on:
            return
        key = self._key(session.viewer)
        taken = self.histories.of(session.viewer, now_s)
        is_new = not any(name in taken for name in self._names.names(session.title_url))
        self._turns.began(key, session.title_url, now_s, is_new=is_new)
        self._heads.forget(key)
        self.has_news = True

    def reached(self, checkpoint: Checkpoint, now_s: float) -> None:
        """A viewer has come so far into a title."""
        if not self.is_on:
            return
        session = checkpoint.session
        is_new = session not in self._taken
        if is_new:
            self._taken.add(session)
            self._take_up(session, now_s)
        if checkpoint.share >= self._rest_at:
            if self._successors.after(session.title_url) is None:
                self._ask(session, "over", now_s)
        elif is_new and session.viewer.plays_before == 0:
            self._ask(session, "sitting", now_s)
        elif is_new and self._config.home_rows:
            self._ask(session, None, now_s)

    def decided(self, verdict: Verdict, now_s: float) -> None:
        """It is known how likely a viewer goes on to the successor."""
        if self.is_on and verdict.share >= self._rest_at and verdict.chance < DOUBTFUL_BELOW:
            self._ask(verdict.session, "doubtful", now_s)

    def forget(self, viewers: Iterable[Viewer]) -> None:
        """Let nothing be left of these."""
        for viewer in viewers:
            key = self._keys.pop(viewer, "")
            self._heads.forget(key)
            self._turns.forget(key)
            self.histories.forget(viewer)
            self._likes.pop(viewer, None)
            for question_id in [
                one for one, asked in self._questions.items() if asked.session.viewer is viewer
            ]:
                del self._questions[question_id]
            self.has_news = True

    # -- what others take

    def heads(self, now_s: float) -> tuple[Head, ...]:
        """The manifests likeliest started by anyone, likeliest first, at most `heads_max`."""
        self.has_news = False
        heads = self._heads.wanted(self._config.heads_max, now_s)
        for url in [one for one in self._beginnings if one not in self._heads]:
            del self._beginnings[url]
        return heads

    def heads_until_s(self) -> float | None:
        """When the heads change by time alone."""
        return self._heads.until_s()

    def beginning(self, url: str) -> Beginning:
        """How the viewer who may start one of the heads, as far as is known, would begin it."""
        return self._beginnings[url]

    def likes(self, viewer: Viewer) -> tuple[str, ...]:
        """What the model said last of this viewer, likeliest first."""
        return self._likes.get(viewer, ())

    def figures(self) -> TitlesFigures:
        return TitlesFigures(
            model_id=self._model_id,
            detail=self._detail,
            asked_count=self._asked_count,
            failed_count=self._failed_count,
            head_count=len(self._beginnings),
            taken_shares=self._turns.shares(),
            belief=self._turns.belief(),
        )

    def advance(self, now_s: float) -> None:
        self._turns.advance(now_s)

    # -- questions

    def _take_up(self, session: Session, now_s: float) -> None:
        url = session.title_url
        self._names.watched(url)
        names = self._names.names(url)
        # The model may know a film by either of its names.
        name = next((one for one in names if one in self._known), names[0])
        if name not in self.histories.of(session.viewer, now_s):
            self.popular.taken(name, now_s)
        self.histories.take(session.viewer, name, url, now_s)

    def _ask(self, session: Session, situation: Situation | None, now_s: float) -> None:
        if situation is not None:
            self._turns.asked(self._key(session.viewer), situation, now_s)
        if self._model_id is None or len(self._questions) >= self._config.pending_max:
            return
        taken = self.histories.of(session.viewer, now_s)
        history = tuple(name for name in taken if name in self._known)
        self._questions[self._next_id] = _Question(session, situation)
        self._effects.emit(
            Recommend(question_id=self._next_id, history=history, count=self._config.answers)
        )
        self._next_id += 1
        self._asked_count += 1

    def _recommended(
        self, question: _Question, titles: tuple[Recommendation, ...], now_s: float
    ) -> None:
        session, situation = question.session, question.situation
        self._likes[session.viewer] = tuple(one.title for one in titles)
        if situation is None or session.viewer.last_title_url != session.title_url:
            return  # the viewer has chosen meanwhile
        factor = self._turns.share(situation) * self._turns.belief()
        taken = self.histories.of(session.viewer, now_s)
        named: dict[str, float] = {}
        for one in titles:
            before = taken.get(one.title)
            url = self._names.manifest(
                one.title, session.title_url, before.url if before is not None else None
            )
            if url is not None:
                named.setdefault(url, one.probability)
        key = self._key(session.viewer)
        self._turns.answered(key, named)
        self._beginnings.update(dict.fromkeys(named, _beginning(session)))
        likely = (
            Recommendation(title=url, probability=probability * factor)
            for url, probability in named.items()
        )
        self._heads.recommended(key, tuple(likely), now_s)
        self.has_news = True

    def _key(self, viewer: Viewer) -> str:
        key = self._keys.get(viewer)
        if key is None:
            key = self._keys[viewer] = str(self._next_key)
            self._next_key += 1
        return key


def _beginning(session: Session) -> Beginning:
    """As the viewer began the last time, at the sound it has now."""
    rungs = dict(session.rungs)
    began = session.viewer.last_start or session.first_rung
    if began is not None:
        rungs["video"] = began
    return Beginning(rungs, session.shared_headers)
