"""How likely a viewer goes on to the successor: asked of the model, or by rule.

At each checkpoint from `head_at` on, the model gets one row about this viewer. Its answer is used
if it comes within `answer_wait_s`; when there is no model, it fails or it is late, the rule "half
watched" decides: whoever has come as far as `head_at` goes on as often as viewers at large do
(`RULE`). Each question gets one verdict. Where nobody says what follows a title, what viewers of
this edge went on to before is taken for it (edge.prefetch.observed), with their share.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from edge.config import EdgeConfig
from edge.effects import Effect, Predict
from edge.events import ModelChanged, Predicted, PredictionFailed
from edge.prefetch.context import watch_context
from edge.prefetch.observed import Observed
from edge.prefetch.value import threshold
from edge.records import ModelSeen, PrefetchDecided
from edge.sessions import Checkpoint, Session
from edge.status import Counters
from edge.successors import Successors
from nearcast.horizons import HORIZONS, are_probabilities, within
from nearcast.local_time import LocalTime
from nearcast.machine import EffectQueue
from nearcast.record import Recorder
from predictor.features import vector

RULE: Final = (
    (0.90, (0.70, 0.86, 0.90)),
    (0.75, (0.66, 0.85, 0.89)),
    (0.00, (0.60, 0.82, 0.87)),
)
"""From which share on viewers go on with which probability within each horizon, without knowing
anything about them: measured on finished episodes, and on those that came so far."""


Foreseer = Literal["model", "rule", "observed"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How likely the successor is watched by this viewer, found at this share of the title."""

    session: Session
    successor_url: str
    share: float
    source: Foreseer
    probabilities: tuple[float, ...]
    """Per horizon (nearcast.horizons)."""
    chance: float
    """That it is started while prefetched objects are kept."""


Asked = Callable[[int, Session, str, tuple[float, ...]], None]
"""Told of each question: its number, whose play it is about, the successor, and the row."""


class _Question(msgspec.Struct, frozen=True):
    session: Session
    successor_url: str
    share: float
    until_s: float


class Judge:
    """Turns checkpoints into verdicts."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        epoch_s: float,
        local_time: LocalTime,
        successors: Successors,
        effects: EffectQueue[Effect],
        counters: Counters,
        recorder: Recorder,
        asked: Asked,
        kept_s: Callable[[tuple[float, ...]], float],
    ) -> None:
        """`kept_s`: how long an object stays that is used with these probabilities."""
        self._asked = asked
        self._kept_s = kept_s
        self._config = config.prefetch
        self._local_time = local_time
        self._epoch_s = epoch_s
        self._successors = successors
        self._effects = effects
        self._counters = counters
        self._recorder = recorder
        self.threshold = threshold(config.prefetch)
        self._least = threshold(config.prefetch, "start")
        self.observed = Observed(config.prefetch.observed_min, config.prefetch.head_at)
        self.model_id: str | None = None
        self.model_detail = "no model has been loaded yet"
        self._next_id = 1
        self._questions: OrderedDict[int, _Question] = OrderedDict()  # oldest first
        self._verdicts: list[Verdict] = []

    @property
    def has_verdicts(self) -> bool:
        return bool(self._verdicts)

    def take_verdicts(self) -> list[Verdict]:
        verdicts, self._verdicts = self._verdicts, []
        return verdicts

    def reached(self, checkpoint: Checkpoint, now_s: float) -> None:
        """A viewer has come so far: what follows?"""
        session, share = checkpoint.session, checkpoint.share
        if not self._config.enabled or share < self._config.head_at:
            return
        if not session.is_counted:
            session.is_counted = True
            self.observed.reached(session.title_url)
        successor_url = self._successors.after(session.title_url)
        if successor_url is None:
            followed = self.observed.likely(session.title_url)
            if followed is not None:
                question = _Question(session, followed.url, share, now_s)
                chances = (followed.probability,) * len(HORIZONS)
                self._decide(question, chances, now_s, source="observed")
            return
        question = _Question(session, successor_url, share, now_s + self._config.answer_wait_s)
        if self.model_id is None:
            self._decide(question, None, now_s)
            return
        context = watch_context(
            session,
            self._successors.episode(session.title_url),
            now_s,
            wall_s=self._epoch_s + now_s,
            local_time=self._local_time,
            share=share,
        )
        self._questions[self._next_id] = question
        self._counters.predictions_asked += 1
        row = vector(context)
        self._asked(self._next_id, session, successor_url, row)
        self._effects.emit(Predict(prediction_id=self._next_id, rows=(row,)))
        self._next_id += 1

    def predicted(self, event: Predicted, now_s: float) -> None:
        question = self._questions.pop(event.prediction_id, None)
        if question is None:
            self._counters.late_answers += 1
            return
        probabilities = event.probabilities[0] if event.probabilities else ()
        if not are_probabilities(probabilities):
            self._counters.predictions_failed += 1
            self._decide(question, None, now_s)
            return
        self._decide(question, probabilities, now_s)

    def failed(self, event: PredictionFailed, now_s: float) -> None:
        question = self._questions.pop(event.prediction_id, None)
        if question is not None:
            self._counters.predictions_failed += 1
            self._decide(question, None, now_s)

    def model_changed(self, event: ModelChanged, now_s: float) -> None:
        self.model_id, self.model_detail = event.model_id, event.detail
        self._recorder.record(ModelSeen(at_s=now_s, model_id=event.model_id, detail=event.detail))
        if event.model_id is None:
            for prediction_id in tuple(self._questions):
                self._decide(self._questions.pop(prediction_id), None, now_s)

    def advance(self, now_s: float) -> None:
        """Nobody waits for an answer longer than it is worth."""
        while self._questions:
            prediction_id, question = next(iter(self._questions.items()))
            if question.until_s > now_s:
                return
            del self._questions[prediction_id]
            self._counters.predictions_failed += 1
            self._decide(question, None, now_s)

    def deadline_s(self) -> float | None:
        for question in self._questions.values():
            return question.until_s
        return None

    def _decide(
        self,
        question: _Question,
        answer: tuple[float, ...] | None,
        now_s: float,
        *,
        source: Foreseer = "model",
    ) -> None:
        source = "rule" if answer is None else source
        probabilities = by_rule(question.share) if answer is None else answer
        chance = within(probabilities, self._kept_s(probabilities))
        is_wanted = chance > self._least
        if is_wanted:
            self._counters.prefetch_wanted[source] += 1
        else:
            self._counters.prefetch_unwanted += 1
        self._recorder.record(
            PrefetchDecided(
                at_s=now_s,
                title_url=question.session.title_url,
                successor_url=question.successor_url,
                share=question.share,
                is_wanted=is_wanted,
                by=source,
                probability=chance,
                threshold=self._least,
            )
        )
        self._verdicts.append(
            Verdict(
                session=question.session,
                successor_url=question.successor_url,
                share=question.share,
                source=source,
                probabilities=probabilities,
                chance=chance,
            )
        )


def by_rule(share: float) -> tuple[float, ...]:
    """What is known of somebody of whom nothing is known but how far they have come."""
    for from_share, probabilities in RULE:
        if share >= from_share:
            return probabilities
    return RULE[-1][1]
