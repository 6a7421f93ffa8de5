"""The inference process, asked directly: what it answers, drops, refuses and survives."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edge.config import EdgeConfig, InferenceConfig, ModelsConfig
from edge.drivers.inference import Inference, quantile
from edge.effects import Predict
from edge.events import Event, ModelChanged, Predicted, PredictionFailed
from edge.models.effects import StartModel, StopModel, SwitchModel
from edge.models.events import ModelLost, ModelReady, ModelUnusable, ShadowPredicted
from nearcast.clock import SystemClock
from nearcast.horizons import are_probabilities
from predictor.features import FEATURE_COUNT
from predictor.keys import KeyPair, sign_folder
from predictor.runtime import default_model_folder

LIMIT_S = 20.0
ROW = (0.5,) * FEATURE_COUNT


class Told:
    """The events, and a way to wait for one."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = asyncio.Condition()

    def tell(self, event: Event) -> None:
        self.events.append(event)
        self._task = asyncio.ensure_future(self._notify())

    async def until(self, is_there: Callable[[list[Event]], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: is_there(self.events))

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def with_inference(
    settings: InferenceConfig,
    work: Callable[[Inference, Told], Awaitable[None]],
    *,
    first: StartModel | None = None,
    models: ModelsConfig | None = None,
) -> list[Event]:
    """Run `work` beside a real inference process; the events it led to."""

    async def main() -> list[Event]:
        loop = asyncio.get_running_loop()
        told = Told()

        def spawn(task: Any, name: str) -> asyncio.Task[None]:
            return loop.create_task(task, name=name)

        config = EdgeConfig(
            upstream="http://127.0.0.1:9", inference=settings, models=models or ModelsConfig()
        )
        inference = Inference(config, SystemClock(), told.tell, spawn)
        async with asyncio.timeout(LIMIT_S):
            inference.start(first or shipped(1))
            await told.until(lambda events: len(events) >= 1)
            try:
                if isinstance(told.events[0], ModelReady):
                    inference.switch(SwitchModel(run_id=1))
                await work(inference, told)
            finally:
                await inference.close()
        return told.events

    return asyncio.run(main())


def shipped(run_id: int, restarts_max: int = 5) -> StartModel:
    return StartModel(run_id=run_id, folder="default", is_fetched=False, restarts_max=restarts_max)


def question(number: int, row_count: int = 1) -> Predict:
    return Predict(prediction_id=number, rows=(ROW,) * row_count)


def test_answers_belong_to_their_questions_and_a_full_queue_drops() -> None:
    async def work(inference: Inference, told: Told) -> None:
        for number, row_count in ((1, 2), (2, 1), (3, 2), (4, 1)):
            inference.ask(question(number, row_count))
        await told.until(lambda events: sum(isinstance(one, Predicted) for one in events) == 3)
        figures = inference.figures()
        assert (figures.answer_count, figures.batch_count, figures.dropped_count) == (3, 1, 1)
        assert figures.p50_s is not None
        assert figures.round_trip_p99_s is not None
        assert 0 < figures.p50_s < figures.round_trip_p99_s

    events = with_inference(InferenceConfig(queue_max=4), work)
    assert isinstance(events[0], ModelReady)
    assert events[0].warm_s > 0
    assert isinstance(events[1], ModelChanged)
    assert events[1].model_id == events[0].model_id
    (dropped,) = [one for one in events if isinstance(one, PredictionFailed)]
    assert (dropped.prediction_id, dropped.detail) == (3, "the queue is full")
    answers = {one.prediction_id: one.probabilities for one in events if isinstance(one, Predicted)}
    assert {number: len(row) for number, row in answers.items()} == {1: 2, 2: 1, 4: 1}
    rows = [row for answer in answers.values() for row in answer]
    assert all(are_probabilities(row) for row in rows)
    assert all(row[0] < row[2] for row in rows)  # within a week it is likelier than at once


def test_questions_lost_in_a_crash_are_answered_as_failed() -> None:
    async def work(inference: Inference, told: Told) -> None:
        pid = inference.figures().pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # it takes the question and will never answer
        inference.ask(question(1))
        os.kill(pid, signal.SIGKILL)
        await told.until(lambda events: isinstance(events[-1], PredictionFailed))
        inference.ask(question(2))

    events = with_inference(InferenceConfig(restarts_max=0), work)
    assert [type(one) for one in events] == [
        ModelReady,
        ModelChanged,
        ModelChanged,
        ModelLost,
        PredictionFailed,
        PredictionFailed,
    ]
    lost = events[3]
    assert isinstance(lost, ModelLost)
    assert "ended with status -9" in lost.detail
    assert lost.is_final


def test_memory_limit_keeps_a_model_from_loading_and_the_node_goes_on() -> None:
    async def work(inference: Inference, told: Told) -> None:
        inference.ask(question(1))

    events = with_inference(InferenceConfig(memory_bytes=1_000_000), work, first=shipped(1, 0))
    assert isinstance(events[0], ModelUnusable | ModelLost)
    assert isinstance(events[1], PredictionFailed)


def test_a_shadow_answers_beside_the_active_model_and_can_take_over_or_die() -> None:
    async def work(inference: Inference, told: Told) -> None:
        inference.start(shipped(2, 0))
        await told.until(lambda events: isinstance(events[-1], ModelReady))
        inference.ask(question(1))
        await told.until(lambda events: {2} <= {by for by, _ in shadows(events)})
        inference.switch(SwitchModel(run_id=2))  # nothing is loaded for it
        inference.ask(question(2))
        await told.until(lambda events: (1, 2) in shadows(events))
        inference.stop(StopModel(run_id=1))
        pid = inference.figures().pid
        assert pid is not None
        inference.ask(question(3))
        await told.until(lambda events: counted(events) == [(1, 1), (2, 2), (2, 3)])
        inference.start(shipped(3, 0))
        await told.until(lambda events: isinstance(events[-1], ModelReady))
        candidate = inference.figures().shadow_pid
        assert candidate is not None
        os.kill(candidate, signal.SIGKILL)
        await told.until(lambda events: isinstance(events[-1], ModelLost))
        inference.ask(question(4))
        await told.until(lambda events: counted(events)[-1] == (2, 4))
        assert inference.figures().pid == pid

    events = with_inference(InferenceConfig(), work)
    assert not [one for one in events if isinstance(one, PredictionFailed)]
    assert not [one for one in events if isinstance(one, ModelChanged) and one.model_id is None]


@pytest.mark.parametrize(
    ("is_signed", "is_fetched", "has_keys", "reason"),
    [
        (False, False, False, None),
        (False, False, True, "unsigned"),
        (True, False, True, None),
        (True, True, False, "untrusted"),  # of the registry nothing is believed without keys
    ],
)
def test_who_must_have_signed_a_model(
    tmp_path: Path, is_signed: bool, is_fetched: bool, has_keys: bool, reason: str | None
) -> None:
    key = KeyPair.generate()
    folder = Path(shutil.copytree(default_model_folder(), tmp_path / "model"))
    if is_signed:
        sign_folder(folder, key)

    async def work(inference: Inference, told: Told) -> None:
        pass

    events = with_inference(
        InferenceConfig(),
        work,
        first=StartModel(run_id=1, folder=str(folder), is_fetched=is_fetched, restarts_max=0),
        models=ModelsConfig(public_keys=(key.public_text,) if has_keys else ()),
    )
    first = events[0]
    assert isinstance(first, ModelReady if reason is None else ModelUnusable)
    if isinstance(first, ModelUnusable):
        assert first.reason == reason


def shadows(events: list[Event]) -> list[tuple[int, int]]:
    return [(one.run_id, one.prediction_id) for one in events if isinstance(one, ShadowPredicted)]


def counted(events: list[Event]) -> list[tuple[int | None, int]]:
    return [(one.run_id, one.prediction_id) for one in events if isinstance(one, Predicted)]


def test_quantiles() -> None:
    assert quantile([], 0.5) is None
    assert quantile([3.0], 0.99) == 3.0
    assert quantile([float(number) for number in range(100)], 0.99) == 99.0
    assert quantile([float(number) for number in range(100)], 0.5) == 50.0
