"""The models of a simulated edge: processes in virtual time, and a registry to fetch from.

What edge.drivers.inference and edge.drivers.models do live, without processes: a model is a
predictor in this one, its answer comes after what a scenario says that takes, and a test may make
it slow, let it die, or have the registry offer another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from edge import effects, events
from edge.models.effects import (
    FetchModel,
    RememberModels,
    StartModel,
    StopModel,
    SwitchModel,
)
from edge.models.events import (
    HeldModel,
    ModelFetched,
    ModelLost,
    ModelReady,
    ModelRefused,
    ModelsFound,
    ModelsOffered,
    Offer,
    Refusal,
    Remembered,
    ShadowPredicted,
)
from simulation.scenario import Costs
from simulation.scheduler import Scheduler

LOCAL: Final = "default"
FETCH_S: Final = 0.5
"""Assumed: a model of 20 kB, over a link to the origin."""


Feed = Callable[[events.Event], None]


class Predictor(Protocol):
    """Answers `Predict`: for each row one probability per horizon."""

    model_id: str

    def probabilities(
        self, rows: tuple[tuple[float, ...], ...]
    ) -> tuple[tuple[float, ...], ...]: ...


class EdgeModels:
    """Outlives the simulated process of its edge, as a disk does; what runs does not."""

    def __init__(
        self,
        feed: Callable[[], Feed],
        scheduler: Scheduler,
        costs: Costs,
        local: Predictor | None,
        why_none: str,
    ) -> None:
        """`feed` gives the ear of the process that runs: what the one before it asked for is
        nobody's when it was killed."""
        self._ear = feed
        self._scheduler = scheduler
        self._costs = costs
        self.local = local
        self._why_none = why_none
        self._fetched: dict[str, Predictor] = {}
        self._refusals: dict[str, Refusal] = {}
        self._held: dict[str, HeldModel] = {}
        self._remembered = Remembered()
        self._runs: dict[int, Predictor] = {}
        self._is_broken = False
        self.active: int | None = None
        self.slow_s: dict[str, float] = {}
        """What an answer of a model takes beyond what is usual, by model id."""
        self.handlers: dict[type[effects.Effect], Callable[..., object]] = {
            effects.Predict: self._predict,
            StartModel: self._start,
            SwitchModel: self._switch,
            StopModel: self._stop,
            FetchModel: self._fetch,
            RememberModels: self._remember,
        }

    @property
    def _feed(self) -> Feed:
        return self._ear()

    def start(self) -> None:
        """The edge's process has begun."""
        self._runs.clear()
        self.active = None
        if self.local is None:
            self._feed(events.ModelChanged(model_id=None, detail=self._why_none))
            return
        held = tuple(self._held.values())
        self._feed(ModelsFound(local=LOCAL, held=held, remembered=self._remembered))

    def break_all(self, is_broken: bool) -> None:
        """No inference process lives, until they all do again."""
        self._is_broken = is_broken
        for run_id in tuple(self._runs):
            if is_broken:
                self.kill(run_id)
            elif run_id in self._runs:
                self._ready(run_id)

    def kill(self, run_id: int, *, is_final: bool = False) -> None:
        """The process of a model is gone."""
        if run_id == self.active:
            self._feed(events.ModelChanged(model_id=None, detail="broken"))
        self._feed(ModelLost(run_id=run_id, detail="broken", is_final=is_final))

    def offer(self, *offers: tuple[Offer, Predictor | Refusal]) -> None:
        """The registry's whole list, and what is behind each offer."""
        for offer, behind in offers:
            if isinstance(behind, str):
                self._refusals[offer.model_id] = behind
            else:
                self._fetched[offer.model_id] = behind
        self._feed(ModelsOffered(offers=tuple(offer for offer, _ in offers)))

    def running(self) -> dict[int, str]:
        """Model ids by run."""
        return {run_id: predictor.model_id for run_id, predictor in self._runs.items()}

    # -- what the core wants

    def _start(self, effect: StartModel) -> None:
        predictor = self._fetched.get(effect.folder, self.local)
        assert predictor is not None, "without a local model nothing is started"
        self._runs[effect.run_id] = predictor
        if self._is_broken:
            self._feed(events.ModelChanged(model_id=None, detail="broken"))
        else:
            self._ready(effect.run_id)

    def _ready(self, run_id: int) -> None:
        self._feed(
            ModelReady(
                run_id=run_id,
                model_id=self._runs[run_id].model_id,
                warm_s=self._costs.predict_s,
            )
        )

    def _switch(self, effect: SwitchModel) -> None:
        self.active = effect.run_id
        predictor = self._runs[effect.run_id] if effect.run_id is not None else None
        model_id = predictor.model_id if predictor is not None else None
        self._feed(events.ModelChanged(model_id=model_id, detail=effect.detail))

    def _stop(self, effect: StopModel) -> None:
        self._runs.pop(effect.run_id, None)

    def _fetch(self, effect: FetchModel) -> None:
        model_id = effect.offer.model_id
        event: events.Event
        if model_id in self._refusals:
            reason = self._refusals[model_id]
            event = ModelRefused(model_id=model_id, reason=reason, detail="as the test has it")
        else:
            held = HeldModel(
                model_id=model_id, manifest_sha256=effect.offer.manifest_sha256, folder=model_id
            )
            self._held[model_id] = held
            event = ModelFetched(held=held)
        feed = self._feed
        self._scheduler.after(FETCH_S, lambda: feed(event))

    def _remember(self, effect: RememberModels) -> None:
        self._remembered = effect.remembered
        self._held = {name: held for name, held in self._held.items() if name in effect.kept}

    # -- questions

    def _predict(self, effect: effects.Predict) -> None:
        if self.active is None or self._is_broken:
            self._feed(
                events.PredictionFailed(prediction_id=effect.prediction_id, detail="no model")
            )
            return
        for run_id in tuple(self._runs):
            self._answer(run_id, effect, counts=run_id == self.active)

    def _answer(self, run_id: int, effect: effects.Predict, *, counts: bool) -> None:
        predictor = self._runs[run_id]
        took_s = self._costs.predict_s + self.slow_s.get(predictor.model_id, 0.0)
        rows = predictor.probabilities(effect.rows)
        feed = self._feed

        def answer() -> None:
            said = {"prediction_id": effect.prediction_id, "probabilities": rows}
            if counts:
                feed(events.Predicted(**said, run_id=run_id, took_s=took_s))  # type: ignore[arg-type]
            else:
                feed(ShadowPredicted(**said, run_id=run_id, took_s=took_s))  # type: ignore[arg-type]

        self._scheduler.after(took_s, answer)
