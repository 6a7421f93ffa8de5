"""The model of titles that runs, seen from the node: a process of its own, as others are.

It is the operator's, named in `titles.model`, and is loaded once. Questions go to it one by one:
there is one in a while, when somebody's series ends or a sitting begins. What its process loses,
and what it is asked while it is not there, is `NotRecommended`, and nothing is foreseen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from edge.config import EdgeConfig
from edge.drivers.inference import quantile
from edge.drivers.inference_child import Child
from edge.drivers.inference_worker import Failed, Orders, Ready
from edge.effects import Predict
from edge.events import Event
from edge.titles.events import NotRecommended, Recommend, Recommended, TitlesModelChanged
from nearcast.clock import Clock
from predictor.kinds import RECOMMEND
from predictor.recommend.recommendations import Recommendation

logger = logging.getLogger(__name__)


class TitlesInferenceFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Of the process that holds the model of titles."""

    pid: int | None
    restart_count: int
    p50_s: float | None
    """What the model took for an answer, the choice of the likeliest included."""
    p99_s: float | None
    round_trip_p99_s: float | None
    """From the question to the answer."""


class TitlesInference:
    """Owner of the process. Make it inside the running loop; `close` at the end."""

    def __init__(
        self,
        config: EdgeConfig,
        clock: Clock,
        tell: Callable[[Event], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self._config = config
        self._tell = tell
        self._spawn = spawn
        self._titles: tuple[str, ...] = ()
        self._numbers: dict[str, int] = {}
        self._child: Child | None = None
        if config.titles.model:
            orders = Orders(
                folder=config.titles.model,
                kind=RECOMMEND,
                public_keys=config.models.public_keys,
                revoked_keys=config.models.revoked_keys,
                needs_signature=bool(config.models.public_keys),
                memory_bytes=config.inference.memory_bytes,
                answers=config.titles.answers,
            )
            restarts_max = config.inference.restarts_max
            self._child = Child(0, orders, self, clock, restarts_max=restarts_max)

    def start(self) -> None:
        if self._child is not None:
            self._child.start(self._spawn)

    def ask(self, effect: Recommend) -> None:
        child = self._child
        if child is None or child.model_id is None:
            self._tell(NotRecommended(question_id=effect.question_id, detail="no model is running"))
            return
        numbers = self._numbers
        row = tuple(float(numbers[name]) for name in effect.history if name in numbers)
        question = Predict(prediction_id=effect.question_id, rows=(row,))
        child.take(question)
        child.send([question])

    def figures(self) -> TitlesInferenceFigures | None:
        """None: there is no such model."""
        child = self._child
        if child is None:
            return None
        return TitlesInferenceFigures(
            pid=child.pid,
            restart_count=child.restart_count,
            p50_s=quantile(child.run_times_s, 0.5),
            p99_s=quantile(child.run_times_s, 0.99),
            round_trip_p99_s=quantile(child.round_trips_s, 0.99),
        )

    async def close(self) -> None:
        if self._child is not None:
            await self._child.close()

    # -- what the child says

    def ready(self, child: Child, word: Ready) -> None:
        self._titles = word.titles
        self._numbers = {name: number for number, name in enumerate(word.titles)}
        logger.info("titles.active id=%s titles=%d", word.model_id, len(word.titles))
        self._tell(TitlesModelChanged(model_id=word.model_id, titles=word.titles))

    def unusable(self, child: Child, word: Failed) -> None:
        self._tell(TitlesModelChanged(model_id=None, detail=f"{word.reason}: {word.detail}"))

    def lost(self, child: Child, detail: str, asked: tuple[int, ...], *, is_final: bool) -> None:
        for question_id in asked:
            self._tell(NotRecommended(question_id=question_id, detail=detail))
        self._tell(TitlesModelChanged(model_id=None, detail=detail))

    def answered(
        self, child: Child, prediction_id: int, rows: tuple[tuple[float, ...], ...], took_s: float
    ) -> None:
        numbers, chances = rows if len(rows) == 2 else ((), ())
        known = len(self._titles)
        self._tell(
            Recommended(
                question_id=prediction_id,
                titles=tuple(
                    Recommendation(title=self._titles[int(number)], probability=chance)
                    for number, chance in zip(numbers, chances, strict=False)
                    if 0 <= number < known and 0.0 <= chance <= 1.0
                ),
            )
        )
