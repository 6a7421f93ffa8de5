"""A scenario whose viewers come from the workload generator."""

from typing import Any

import pytest

from nearcast.errors import InputError
from simulation.checks import Checker
from simulation.scenario import Scenario, ViewerSpec, scenario_of
from simulation.workload import titles_of, viewers_of
from simulation.world import World

CATALOG = {
    "series_count": 2,
    "episode_count": 6,
    "film_count": 1,
    "episode_s": 10,
    "film_s": 16,
    "segment_s": 2,
    "rungs_kbps": [300, 800],
}


def scenario(seed: int = 3, viewer_count: int = 4, **catalog: Any) -> Scenario:
    return scenario_of(
        {
            "seed": seed,
            "duration_s_max": 7200,
            "catalog": CATALOG | catalog,
            "edges": [{"name": "one", "backhaul": {"rate_kbps": 50_000, "delay_ms": 20}}],
            "audience": {
                "kind": "generated",
                "viewer_count": viewer_count,
                "arrival_s": 60,
                "last_miles": [{"rate_kbps": 20_000, "delay_ms": 5}],
            },
        },
        "test",
    )


def viewers(**changes: Any) -> tuple[ViewerSpec, ...]:
    read = scenario(**changes)
    return viewers_of(read, titles_of(read))


def test_each_viewer_watches_one_sitting_and_most_go_on() -> None:
    specs = viewers(viewer_count=200)
    people = {spec.id.split(".")[0] for spec in specs}
    assert len(people) == 200
    assert sum(len(spec.titles) for spec in specs) / len(people) == pytest.approx(2.0, abs=0.4)
    followed = [
        (before, after)
        for spec in specs
        for before, after in zip(spec.titles, spec.titles[1:], strict=False)
    ]
    is_next = [
        after[-2:] == f"{int(before[-2:]) + 1:02d}"
        for before, after in followed
        if "e" in before[-3:]
    ]
    assert sum(is_next) > 0.8 * len(is_next)
    assert any(spec.leaves_after_s for spec in specs)


def test_the_seed_decides_who_watches_what() -> None:
    assert viewers(seed=4) == viewers(seed=4)
    assert viewers(seed=4) != viewers(seed=5)


def test_a_generated_evening_runs_and_keeps_every_invariant() -> None:
    read = scenario()
    checker = Checker()
    world = World(read, recorder=checker)
    outcome = world.run()
    checker.end(world)
    asked = sum(len(viewer.titles) for viewer in viewers())
    assert len(outcome.edges["one"].sessions) == asked


def test_there_must_be_both_series_and_films() -> None:
    with pytest.raises(InputError, match="at least one series and one film"):
        viewers(film_count=0)
