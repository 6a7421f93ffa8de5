"""Prefetching in a whole network: what a wrong model costs, and what a right one brings."""

from __future__ import annotations

from typing import Any

import pytest

import simulation.world
from nearcast.horizons import HORIZONS
from nearcast.units import bytes_per_s_from_kbps
from simulation.checks import Checker
from simulation.scenario import scenario_of
from simulation.world import Outcome, World

RATE_KBPS = 2_000.0
BURST_S = 2.0
FAR = {"rate_kbps": 8_000, "delay_ms": 60}


class Always:
    """A model that is as sure as can be of something."""

    def __init__(self, probability: float) -> None:
        self.model_id = f"always {probability}"
        self._probability = probability

    def probabilities(self, rows: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
        return tuple((self._probability,) * len(HORIZONS) for _ in rows)


def play(monkeypatch: pytest.MonkeyPatch, abandon: float, **models: float) -> Outcome:
    """The same evening on an edge without prefetch, and on one for each of the models."""
    monkeypatch.setattr(
        simulation.world, "load_predictor", lambda setting: (Always(models[setting]), "")
    )
    settings = {"prefetch.rate_kbps": RATE_KBPS, "prefetch.in_session_s": 0}
    edges = [{"name": "off", "backhaul": FAR, "settings": {"prefetch.enabled": False}}]
    for name in models:
        on: dict[str, Any] = {**settings, "prefetch.enabled": True, "prefetch.model": name}
        edges.append({"name": name, "backhaul": FAR, "settings": on})
    table: dict[str, Any] = {
        "seed": 5,
        "duration_s_max": 300,
        "catalog": {
            "series_count": 2,
            "episode_count": 3,
            "episode_s": 24,
            "segment_s": 2,
            "rungs_kbps": [300, 900],
        },
        "edges": edges,
        "audience": {
            "viewer_count": 4,
            "arrival_s": 6,
            "gap_s": 1,
            "abandon_probability": abandon,
            "last_miles": [{"rate_kbps": 20_000, "delay_ms": 5}],
        },
    }
    world = World(scenario_of(table, "test"))
    outcome = world.run()
    Checker().end(world)
    return outcome


def test_a_wrong_model_wastes_its_budget_and_nothing_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Everybody leaves in the middle, and the model is sure that they go on."""
    outcome = play(monkeypatch, 1.0, wrong=0.99)
    off, wrong = outcome.edges["off"].figures, outcome.edges["wrong"].figures
    assert wrong.prefetch_waste_bytes + wrong.prefetch_bytes > 0
    spare_bytes = bytes_per_s_from_kbps(RATE_KBPS) * (outcome.simulated_s + BURST_S)
    assert wrong.prefetch_bytes <= spare_bytes + 2 * 300_000
    assert wrong.origin_bytes <= off.origin_bytes + wrong.prefetch_bytes
    assert off.byte_hit_ratio is not None
    assert wrong.byte_hit_ratio is not None
    assert wrong.byte_hit_ratio >= off.byte_hit_ratio - 0.01
    assert wrong.stall_count <= off.stall_count
    assert off.startup_p95_s is not None
    assert wrong.startup_p95_s is not None
    assert wrong.startup_p95_s <= 1.1 * off.startup_p95_s


def test_a_right_model_has_the_next_episode_there(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = play(monkeypatch, 0.0, right=0.95)
    off, right = (outcome.edges[name].figures for name in ("off", "right"))
    assert right.next_episode_hit_ratio is not None
    assert off.next_episode_hit_ratio is not None
    assert right.next_episode_hit_ratio > off.next_episode_hit_ratio + 0.2
    assert right.prefetch_precision is not None
    assert right.prefetch_precision > 0.9
