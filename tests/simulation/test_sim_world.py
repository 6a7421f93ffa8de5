"""Whole networks on fixed seeds: invariants after every event, equal digests, figures that fit."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nearcast.record import ListRecorder, Record
from simulation.checks import Checker
from simulation.records import Answered, Received
from simulation.scenario import Scenario, scenario_of
from simulation.world import Outcome, World

HOME = {"rate_kbps": 20_000, "delay_ms": 5}
FAR = {"rate_kbps": 12_000, "delay_ms": 60}
LIMIT_S = 60.0


def scenario(**changes: Any) -> Scenario:
    """A short evening: a series of three episodes and a film, on two edges."""
    table: dict[str, Any] = {
        "seed": 7,
        "duration_s_max": 600,
        "catalog": {
            "series_count": 1,
            "episode_count": 3,
            "film_count": 1,
            "episode_s": 16,
            "film_s": 20,
            "segment_s": 2,
            "rungs_kbps": [300, 800],
        },
        "edges": [
            {"name": "off", "backhaul": FAR, "settings": {"prefetch.enabled": False}},
            {"name": "on", "backhaul": FAR, "settings": {"prefetch.enabled": True}},
        ],
        "audience": {
            "viewer_count": 3,
            "arrival_s": 10,
            "gap_s": 1,
            "abandon_probability": 0.0,
            "last_miles": [HOME, {"trace": "wifi", "delay_ms": 10}],
        },
    }
    return scenario_of({**table, **changes}, "test")


def checked(world: World, *, every: int = 20) -> Outcome:
    """Run with the invariants looked at after every so many events, and at the end."""
    count = 0
    checker = Checker()

    def look(world: World) -> None:
        nonlocal count
        count += 1
        if count % every == 0:
            checker.look(world)

    try:
        outcome = world.run(on_event=look)
        checker.end(world)
    except AssertionError as error:
        raise AssertionError(f"seed {world.scenario.seed}: {error}") from error
    return outcome


@pytest.fixture(scope="module")
def evening() -> tuple[World, Outcome, list[Record]]:
    """One evening with the invariants looked at after every event; its world and records."""
    records = ListRecorder()
    world = World(scenario(), recorder=records)
    return world, checked(world, every=1), records.records


def test_everybody_sees_their_titles_and_prefetch_brings_them_nearer(
    evening: tuple[World, Outcome, list[Record]],
) -> None:
    _, outcome, _ = evening
    off, on = outcome.edges["off"].figures, outcome.edges["on"].figures
    for found in (off, on):
        assert found.sessions_failed == found.sessions_unstarted == 0
        assert found.sessions == off.sessions
        assert found.byte_hit_ratio is not None
        assert 0 < found.byte_hit_ratio < 1
        assert found.origin_bytes < found.client_bytes
    assert off.prefetch_bytes == 0
    assert on.prefetch_bytes > 0
    assert on.next_episode_hit_ratio is not None
    assert off.next_episode_hit_ratio is not None
    assert on.next_episode_hit_ratio > off.next_episode_hit_ratio


@pytest.mark.parametrize("seed", [1, 2])
def test_other_evenings_keep_the_invariants_too(seed: int) -> None:
    audience = {"viewer_count": 3, "arrival_s": 5, "abandon_probability": 0.5, "last_miles": [HOME]}
    outcome = checked(World(scenario(seed=seed, audience=audience)))
    assert all(edge.figures.sessions_failed == 0 for edge in outcome.edges.values())


def test_same_seed_gives_the_same_digest_twice_in_one_process(
    evening: tuple[World, Outcome, list[Record]],
) -> None:
    _, one, _ = evening
    two = World(scenario()).run()
    assert one.digest == two.digest
    assert one.record_count > 100
    assert one.edges["on"].figures == two.edges["on"].figures
    assert World(scenario(seed=8)).run().digest != one.digest


SCENARIO_TOML = """
seed = 7
[catalog]
series_count = 1
episode_count = 2
episode_s = 10
segment_s = 2
rungs_kbps = [300, 800]
[[edges]]
name = "on"
backhaul = { rate_kbps = 12000, delay_ms = 60 }
[audience]
viewer_count = 2
arrival_s = 5
last_miles = [{ trace = "wifi", delay_ms = 10 }]
"""


def test_same_seed_gives_the_same_digest_in_processes_that_hash_differently(
    tmp_path: Path,
) -> None:
    (tmp_path / "s.toml").write_text(SCENARIO_TOML)
    outcomes = []
    for hash_seed in ("1", "4711"):
        json_file = tmp_path / f"{hash_seed}.json"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "nearcast", "simulate", "run"),
                *(str(tmp_path / "s.toml"), "--json", str(json_file)),
            ],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=True,
        )
        assert all(len(line) <= 80 for line in done.stdout.splitlines())
        outcomes.append(json.loads(json_file.read_text()))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0]["record_count"] > 50
    assert outcomes[0]["edges"]["on"]["sessions"] == 4


def test_every_request_of_a_viewer_is_answered_once_and_whole(
    evening: tuple[World, Outcome, list[Record]],
) -> None:
    world, _, records = evening
    viewers = {viewer.name for group in world.viewers.values() for viewer in group}
    answered = [each for each in named(records, Answered) if each.client in viewers]
    received = [each for each in named(records, Received) if each.node in viewers]
    assert len(received) > 100
    sizes = {(each.client, each.target.partition("?")[0]): each.size_bytes for each in answered}
    assert len(sizes) == len(answered) == len(received)
    for record in received:
        assert record.status == 200
        assert sizes[(record.node, record.target)] == record.size_bytes


def named(records: list[Record], kind: type) -> list[Any]:
    return [record for record in records if isinstance(record, kind)]


def test_bytes_are_the_same_wherever_they_are_counted(
    evening: tuple[World, Outcome, list[Record]],
) -> None:
    world, outcome, _ = evening
    for name, edge in world.edges.items():
        status = outcome.edges[name].status
        backhaul = edge.backhaul.down.link.counters()
        # Heads come on top of bodies, and what was cut off at the end was still on its way.
        assert backhaul.delivered_bytes >= status.origin_bytes
        heads_bytes = backhaul.delivered_bytes - status.origin_bytes
        assert heads_bytes < 1_000 * (status.fill_count + status.revalidation_count + 10) + 70_000
        received = sum(session.received_bytes for session in outcome.edges[name].sessions)
        assert status.client_bytes >= received


def test_outage_of_the_backhaul_is_survived(tmp_path: Path) -> None:
    (tmp_path / "dead.csv").write_text("t_s,throughput_kbps\n0,4000\n4,0\n30,4000\n120,4000\n")
    down = {"trace": "dead.csv", "delay_ms": 20}
    world = World(scenario(edges=[{"name": "one", "backhaul": down}]), folder=tmp_path)
    outcome = checked(world)
    found = outcome.edges["one"].figures
    assert found.sessions_failed == 0
    assert found.rebuffer_ratio is not None
    assert found.rebuffer_ratio > 0.01


def test_time_that_is_up_sends_everybody_home() -> None:
    outcome = checked(World(scenario(duration_s_max=12)))
    assert outcome.simulated_s <= 12
    assert any(
        session.ended == "left" for edge in outcome.edges.values() for session in edge.sessions
    )
