"""The models that run, seen from the node: which are asked, and whose answers count.

Questions go one way to every model that runs, collected for a few milliseconds; the answers of the
active one come back as `Predicted`, those of the others as `ShadowPredicted`. What does not fit
into the active model's queue and what it loses is a `PredictionFailed`, and the core decides by its
rule. Each model has a process of its own (edge.drivers.inference_child), so one that crashes, hangs
or grows leaves the others alone, and the switch from one to the other is that of a reference.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from edge.config import EdgeConfig
from edge.drivers.inference_child import Child
from edge.drivers.inference_worker import Failed, Orders, Ready
from edge.effects import Predict
from edge.events import Event, ModelChanged, Predicted, PredictionFailed
from edge.models.effects import StartModel, StopModel, SwitchModel
from edge.models.events import ModelLost, ModelReady, ModelUnusable, ShadowPredicted, refusal
from nearcast.clock import Clock
from predictor.kinds import NEXT_EPISODE

logger = logging.getLogger(__name__)


class InferenceFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Of the active model's last answers; None when there were none."""

    model_id: str | None
    pid: int | None
    shadow_pid: int | None
    """Of the process whose answers are only compared."""
    restart_count: int
    answer_count: int
    batch_count: int
    dropped_count: int
    """Questions that were not asked, because the queue was full or there was no model."""
    shadow_dropped_count: int
    """Questions that a shadow was not asked, because its queue was full."""
    p50_s: float | None
    """What the model took for a batch, measured around it."""
    p99_s: float | None
    round_trip_p50_s: float | None
    """From the question to the answer, collecting included."""
    round_trip_p99_s: float | None


class Inference:
    """Owner of the processes. Make it inside the running loop; `close` at the end."""

    def __init__(
        self,
        config: EdgeConfig,
        clock: Clock,
        tell: Callable[[Event], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self._settings = config.inference
        self._models = config.models
        self._clock = clock
        self._tell = tell
        self._spawn = spawn
        self._children: dict[int, Child] = {}
        self._active: Child | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._batch: list[Predict] = []
        self._timer: asyncio.TimerHandle | None = None
        self._counting: dict[int, int] = {}  # question -> the run whose answer counts
        self._restart_count = 0
        self._answer_count = 0
        self._batch_count = 0
        self._dropped_count = 0
        self._shadow_dropped_count = 0

    # -- what the core wants

    def start(self, effect: StartModel) -> None:
        orders = Orders(
            folder=effect.folder,
            kind=NEXT_EPISODE,
            public_keys=self._models.public_keys,
            revoked_keys=self._models.revoked_keys,
            needs_signature=effect.is_fetched or bool(self._models.public_keys),
            memory_bytes=self._settings.memory_bytes,
        )
        child = Child(effect.run_id, orders, self, self._clock, restarts_max=effect.restarts_max)
        self._children[effect.run_id] = child
        child.start(self._spawn)

    def switch(self, effect: SwitchModel) -> None:
        """From now on this one's answers count. What was asked before is still answered by the
        one that was asked."""
        child = self._children.get(effect.run_id) if effect.run_id is not None else None
        self._active = child
        if child is not None:
            child.restarts_max = self._settings.restarts_max
        model_id = child.model_id if child is not None else None
        logger.info("model.active id=%s detail=%s", model_id, effect.detail or "-")
        self._tell(ModelChanged(model_id=model_id, detail=effect.detail))

    def stop(self, effect: StopModel) -> None:
        child = self._children.pop(effect.run_id, None)
        if child is None:
            return
        if child is self._active:
            self._active = None
        for prediction_id in [one for one, run in self._counting.items() if run == child.run_id]:
            self._failed(prediction_id, "its model was stopped")
        self._count(child)
        child.model_id = None
        task = self._spawn(child.close(), "inference end")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def ask(self, effect: Predict) -> None:
        active = self._active
        if active is None or active.model_id is None:
            self._refuse(effect, "no model is running")
            return
        if not self._has_room(active, effect):
            self._refuse(effect, "the queue is full")
            return
        for child in self._children.values():
            if child.model_id is None:
                continue
            if child is active or self._has_room(child, effect):
                child.take(effect)
            else:
                self._shadow_dropped_count += 1
        self._counting[effect.prediction_id] = active.run_id
        self._batch.append(effect)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._settings.batch_s, self._send)

    def figures(self) -> InferenceFigures:
        children = tuple(self._children.values())
        active = self._active
        run_times_s = active.run_times_s if active is not None else ()
        round_trips_s = active.round_trips_s if active is not None else ()
        others = [child.pid for child in children if child is not active]
        return InferenceFigures(
            model_id=active.model_id if active is not None else None,
            pid=active.pid if active is not None else None,
            shadow_pid=others[0] if others else None,
            restart_count=self._restart_count + sum(child.restart_count for child in children),
            answer_count=self._answer_count,
            batch_count=self._batch_count + sum(child.batch_count for child in children),
            dropped_count=self._dropped_count,
            shadow_dropped_count=self._shadow_dropped_count,
            p50_s=quantile(run_times_s, 0.5),
            p99_s=quantile(run_times_s, 0.99),
            round_trip_p50_s=quantile(round_trips_s, 0.5),
            round_trip_p99_s=quantile(round_trips_s, 0.99),
        )

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        children = tuple(self._children.values())
        await asyncio.gather(*(child.close() for child in children), return_exceptions=True)
        if self._closing:
            await asyncio.wait(tuple(self._closing))

    # -- what a child says

    def ready(self, child: Child, word: Ready) -> None:
        self._tell(
            ModelReady(
                run_id=child.run_id,
                model_id=word.model_id,
                warm_s=word.warm_s,
                feature_names=word.feature_names,
                deciles=word.deciles,
            )
        )

    def unusable(self, child: Child, word: Failed) -> None:
        reason = refusal(word.reason)
        self._tell(ModelUnusable(run_id=child.run_id, reason=reason, detail=word.detail))

    def lost(self, child: Child, detail: str, asked: tuple[int, ...], *, is_final: bool) -> None:
        if child is self._active:
            self._tell(ModelChanged(model_id=None, detail=detail))
        self._tell(ModelLost(run_id=child.run_id, detail=detail, is_final=is_final))
        for prediction_id in asked:
            if self._counting.get(prediction_id) == child.run_id:
                self._failed(prediction_id, detail)

    def answered(
        self, child: Child, prediction_id: int, rows: tuple[tuple[float, ...], ...], took_s: float
    ) -> None:
        if self._counting.get(prediction_id) == child.run_id:
            del self._counting[prediction_id]
            self._answer_count += 1
            self._tell(
                Predicted(
                    prediction_id=prediction_id,
                    probabilities=rows,
                    run_id=child.run_id,
                    took_s=took_s,
                )
            )
        else:
            self._tell(
                ShadowPredicted(
                    prediction_id=prediction_id,
                    run_id=child.run_id,
                    probabilities=rows,
                    took_s=took_s,
                )
            )

    # -- questions

    def _has_room(self, child: Child, effect: Predict) -> bool:
        return child.row_count + len(effect.rows) <= self._settings.queue_max

    def _refuse(self, effect: Predict, detail: str) -> None:
        self._dropped_count += 1
        self._tell(PredictionFailed(prediction_id=effect.prediction_id, detail=detail))

    def _failed(self, prediction_id: int, detail: str) -> None:
        self._counting.pop(prediction_id, None)
        self._tell(PredictionFailed(prediction_id=prediction_id, detail=detail))

    def _send(self) -> None:
        self._timer = None
        batch, self._batch = self._batch, []
        for child in tuple(self._children.values()):
            child.send(batch)

    def _count(self, child: Child) -> None:
        """What it counted goes on to count when it is gone."""
        self._restart_count += child.restart_count
        self._batch_count += child.batch_count


def quantile(values: Sequence[float] | deque[float], share: float) -> float | None:
    """The value that `share` of the others do not exceed; None of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
