"""The life of a model in a simulated network: real players, real core, models of every kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.models.events import Offer, Refusal
from edge.models.figures import ModelsFigures
from edge.models.records import ModelMoved
from nearcast.record import ListRecorder
from simulation.checks import Checker
from simulation.edge_models import EdgeModels
from simulation.edge_node import EdgeNode
from simulation.scenario import scenario_of
from simulation.world import World

LINK = {"rate_kbps": 50_000, "delay_ms": 5}
VIEWERS_PER_WAVE = 18
WAVE_S = 90_000.0
"""A wave of viewers, and the day after which what became of them is known."""


class Says:
    """A model that gives everybody the same answer."""

    def __init__(self, model_id: str, probability: float) -> None:
        self.model_id = model_id
        self.probability = probability

    def probabilities(self, rows: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
        return tuple((self.probability,) * 3 for _ in rows)


class Life:
    """Waves of viewers of whom two in three go on, and what is done to models in between."""

    def __init__(self, wave_count: int) -> None:
        viewers = []
        for number in range(VIEWERS_PER_WAVE * wave_count):
            wave, place = divmod(number, VIEWERS_PER_WAVE)
            goes_on = place % 3 != 0
            titles = ["series1-s01e01", "series1-s01e02"] if goes_on else ["series1-s01e01"]
            viewers.append(
                {
                    "id": f"v{number}",
                    "titles": titles,
                    "last_mile": LINK,
                    "start_s": 5.0 + wave * WAVE_S + place,
                    "gap_s": 1.0,
                }
            )
        settings = {
            "prefetch.enabled": True,
            "models.shadow_outcomes": 30,
            "models.probation_outcomes": 30,
            "models.poll_s": 1_000.0,
        }
        scenario = scenario_of(
            {
                "seed": 3,
                "duration_s_max": WAVE_S * (wave_count + 1),
                "catalog": {
                    "series_count": 1,
                    "episode_count": 2,
                    "episode_s": 16,
                    "segment_s": 4,
                    "rungs_kbps": [300],
                    "audio_kbps": 0,
                },
                "edges": [{"name": "edge", "backhaul": LINK, "settings": settings}],
                "viewers": viewers,
            },
            "test",
        )
        self.recorder = ListRecorder()
        self.world = World(scenario, recorder=self.recorder)
        self.edge: EdgeNode = self.world.edges["edge"]
        self.models: EdgeModels = self.edge.models
        self.models.local = Says("local", 0.65)

    def at_wave(self, wave: int, what: Callable[[], Any]) -> None:
        self.world.scheduler.at(max(wave * WAVE_S - 100.0, 1.0), what)

    def run(self) -> ModelsFigures:
        """Until everybody has watched, and then until it is known what they did next."""
        outcome = self.world.run()
        Checker().end(self.world)
        assert not [one for one in outcome.edges["edge"].sessions if one.failure_count]
        self.world.scheduler.run(until_s=self.world.scheduler.now_s() + WAVE_S)
        status = self.edge.core.status(self.world.scheduler.now_s())
        assert status.predictions_asked > 0
        assert status.predictions_failed == 0  # somebody answered every time
        return self.edge.core.models(self.world.scheduler.now_s())

    def states(self, model_id: str) -> list[str]:
        moved = [one for one in self.recorder.records if isinstance(one, ModelMoved)]
        return [one.state for one in moved if one.model_id == model_id]


def offer(model_id: str, order: int = 1) -> Offer:
    return Offer(
        kind="next-episode",
        model_id=model_id,
        url=f"/models/{model_id}/",
        manifest_sha256="0" * 64,
        order=order,
    )


LIVED = ["fetched", "verified", "warmed", "shadow", "active"]


def test_a_good_model_takes_over_and_goes_when_it_turns_wrong() -> None:
    life = Life(4)
    better = Says("better", 0.67)
    life.at_wave(0, lambda: life.models.offer((offer("better"), better)))
    seen: list[str | None] = []

    def turn() -> None:
        seen.append(life.edge.core.status(life.world.scheduler.now_s()).model_id)
        better.probability = 0.05

    life.at_wave(2, turn)
    figures = life.run()
    assert seen == ["better"]
    assert life.states("better") == [*LIVED, "rolled back"]
    assert [(one.model_id, one.state) for one in figures.models] == [("local", "active")]
    assert figures.rollbacks == {"worse": 1}


def test_bad_candidates_of_every_kind_leave_the_active_model_answering() -> None:
    life = Life(3)
    models = life.models
    models.slow_s["slow"] = 0.3
    reasons: tuple[Refusal, ...] = ("unsigned", "truncated", "schema")
    models_at_fault = [(offer(reason, 9), reason) for reason in reasons]
    life.at_wave(
        0,
        lambda: models.offer(
            *models_at_fault,
            (offer("nothing", 8), Says("nothing", float("nan"))),
            (offer("slow", 7), Says("slow", 0.65)),
            (offer("wrong", 6), Says("wrong", 0.05)),
            (offer("dies", 5), Says("dies", 0.65)),
        ),
    )

    def kill() -> None:
        (run_id,) = [one for one, name in models.running().items() if name == "dies"]
        models.kill(run_id, is_final=True)

    life.at_wave(2, lambda: models.offer((offer("dies", 5), Says("dies", 0.65))))
    life.world.scheduler.at(2 * WAVE_S + 5.0, kill)
    figures = life.run()
    assert figures.models[0].model_id == "local"
    assert figures.models[0].error_count == 0
    for reason in (*reasons, "errors", "slow", "failed"):
        assert figures.refusals[reason] >= 1, figures.refusals
    assert figures.refusals["worse"] == 1
    assert figures.rollbacks == {}
    assert figures.switch_count == 1


def test_a_node_that_is_killed_goes_on_with_the_model_it_had() -> None:
    life = Life(3)
    life.at_wave(0, lambda: life.models.offer((offer("better"), Says("better", 0.67))))
    life.at_wave(2, life.edge.kill)
    life.world.scheduler.at(2 * WAVE_S - 50.0, life.edge.restart)
    figures = life.run()
    assert [(one.model_id, one.state) for one in figures.models] == [("better", "active")]
    assert life.states("better") == [*LIVED, "verified", "warmed", "active"]
