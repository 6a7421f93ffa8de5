"""The life of models without processes: a lifecycle, and viewers whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
import numpy as np

from edge.config import EdgeConfig, ModelsConfig
from edge.effects import Effect
from edge.events import Predicted
from edge.models.effects import (
    FetchModel,
    RememberModels,
    StartModel,
    StopModel,
    SwitchModel,
)
from edge.models.events import (
    HeldModel,
    ModelEvent,
    ModelFetched,
    ModelReady,
    ModelsFound,
    ModelsOffered,
    Offer,
    Remembered,
    ShadowPredicted,
)
from edge.models.lifecycle import Lifecycle
from edge.models.outcomes import Outcomes
from edge.models.records import ModelMoved
from edge.sessions import Session
from edge.viewers import Viewer
from nearcast.machine import EffectQueue
from nearcast.record import ListRecorder

SUCCESSOR = "http://origin/e2/manifest.mpd"
TITLE = "http://origin/e1/manifest.mpd"
HALF_HOUR_S = 1800.0
DAY_S = 86_400.0

EffectT = TypeVar("EffectT", bound=Effect)

Answer = Callable[[float], float | tuple[float, ...]]
"""What a model says of a viewer whose true probability is given, of all horizons or of each."""


def honest(truth: float) -> float:
    return truth


def inverted(truth: float) -> float:
    return 1.0 - truth


def offer(model_id: str, order: int = 1, *, sha: str = "a") -> Offer:
    return Offer(
        kind="next-episode",
        model_id=model_id,
        url=f"/models/{model_id}/",
        manifest_sha256=sha * 64,
        order=order,
    )


def held(one: Offer) -> HeldModel:
    return HeldModel(
        model_id=one.model_id,
        manifest_sha256=one.manifest_sha256,
        folder=f"/store/models/{one.model_id}",
    )


class ModelsBench:
    """Plays the driver: starts what it is told to, and answers."""

    def __init__(self, **settings: object) -> None:
        models = ModelsConfig(
            **{"shadow_outcomes": 200, "probation_outcomes": 200, **settings}  # type: ignore[arg-type]
        )
        config = EdgeConfig(upstream="http://origin", models=models)
        self.effects: EffectQueue[Effect] = EffectQueue()
        self.recorder = ListRecorder()
        self.outcomes = Outcomes(models.pending_max)
        self.lifecycle = Lifecycle(
            config, outcomes=self.outcomes, effects=self.effects, recorder=self.recorder
        )
        self.now_s = 0.0
        self.answers: dict[str, Answer] = {"local": honest}
        self.took_s: dict[str, float] = {}
        self.running: dict[int, str] = {}
        self.active: int | None = None
        self.done: list[Effect] = []
        self.remembered = Remembered()
        self._rng = np.random.Generator(np.random.PCG64(5))
        self._next_id = 1

    # -- the driver

    def feed(self, event: ModelEvent) -> None:
        self.lifecycle.handle(event, self.now_s)
        self.follow()

    def follow(self) -> None:
        for effect in self.effects.drain():
            self.done.append(effect)
            match effect:
                case StartModel(run_id=run_id, folder=folder):
                    self.running[run_id] = "local" if folder == "default" else folder.split("/")[-1]
                case StopModel(run_id=run_id):
                    del self.running[run_id]
                case SwitchModel(run_id=run_id):
                    self.active = run_id
                case RememberModels(remembered=remembered):
                    self.remembered = remembered
                case _:
                    pass

    def begin(self, remembered: Remembered | None = None, *offers: Offer) -> None:
        """The node starts, and its local model is ready."""
        models = tuple(held(one) for one in offers)
        self.feed(ModelsFound(local="default", held=models, remembered=remembered or Remembered()))
        self.ready(self.last(StartModel).run_id)

    def ready(self, run_id: int, *, warm_s: float = 1e-5) -> None:
        name = self.running[run_id]
        self.feed(ModelReady(run_id=run_id, model_id=name, warm_s=warm_s))

    def shadow(self, one: Offer, answer: Answer = honest) -> int:
        """The registry offers a model, it is fetched, started, and answers as a shadow."""
        self.answers[one.model_id] = answer
        self.feed(ModelsOffered(offers=(one,)))
        assert self.last(FetchModel).offer == one
        self.feed(ModelFetched(held=held(one)))
        run_id = self.last(StartModel).run_id
        self.ready(run_id)
        return run_id

    def last(self, kind: type[EffectT]) -> EffectT:
        return [one for one in self.done if isinstance(one, kind)][-1]

    @property
    def active_name(self) -> str | None:
        return self.running.get(self.active) if self.active is not None else None

    def states(self) -> list[tuple[str, str]]:
        """The records, as (model, state)."""
        moved = [one for one in self.recorder.records if isinstance(one, ModelMoved)]
        return [(one.model_id, one.state) for one in moved]

    # -- the viewers

    def watch(self, count: int) -> None:
        """So many viewers come, are asked about, leave; then a day passes."""
        ended = self.ask(count)
        self.now_s += 60.0
        for viewer, is_followed in ended:
            if is_followed:
                self.outcomes.started(self._session(SUCCESSOR, viewer), self.now_s)
        self.pass_time(HALF_HOUR_S)
        self.pass_time(DAY_S - HALF_HOUR_S)

    def ask(self, count: int) -> list[tuple[Viewer, bool]]:
        """So many viewers, and whether they will go on."""
        ended = []
        for _ in range(count):
            truth = float(self._rng.uniform(0.1, 0.9))
            viewer = Viewer()
            session = self._session(TITLE, viewer)
            self._ask(session, truth)
            self.outcomes.ended(session)
            ended.append((viewer, bool(self._rng.uniform() < truth)))
        return ended

    def pass_time(self, time_s: float) -> None:
        self.now_s += time_s
        self.lifecycle.advance(self.now_s)
        self.follow()

    def _ask(self, session: Session, truth: float) -> None:
        prediction_id = self._next_id
        self._next_id += 1
        self.outcomes.asked(prediction_id, session, SUCCESSOR)
        self.lifecycle.asked((truth,))
        for run_id, name in tuple(self.running.items()):
            if self.active is None or run_id not in self.running:
                continue
            value = self.answers[name](truth)
            said = {
                "prediction_id": prediction_id,
                "run_id": run_id,
                "probabilities": (value if isinstance(value, tuple) else (value,) * 3,),
                "took_s": self.took_s.get(name, 1e-5),
            }
            if run_id == self.active:
                self.lifecycle.predicted(msgspec.convert(said, Predicted), self.now_s)
                self.follow()
            else:
                self.feed(msgspec.convert(said, ShadowPredicted))

    def _session(self, title_url: str, viewer: Viewer) -> Session:
        return Session(f"s{id(viewer)}/{title_url}", title_url, 2400.0, viewer, self.now_s)
