"""The demo's path at a tenth of its size: real processes, real media, and the simulated twin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from simulation.demo.catalogue import library_of, make_library
from simulation.demo.figures import live_figures, simulated_figures
from simulation.demo.live import run_live
from simulation.demo.plan import DemoPlan, DemoTitle
from simulation.link_shape import LinkShape
from simulation.scenario import ViewerSpec

EPISODE_S = 6.0
SERIES = tuple(
    DemoTitle(
        id=f"pond-s01e{number:02d}",
        name=f"Pond {number}",
        duration_s=EPISODE_S,
        seed=number,
        series="pond",
        season_no=1,
        episode_no=number,
    )
    for number in (1, 2)
)
PLAN = DemoPlan(
    titles=SERIES,
    viewers=(
        ViewerSpec(
            id="v0",
            titles=tuple(title.id for title in SERIES),
            last_mile=LinkShape(trace="fibre", delay_ms=4.0),
            gap_s=0.5,
        ),
        ViewerSpec(
            id="v1",
            titles=tuple(title.id for title in SERIES),
            last_mile=LinkShape(trace="cable", delay_ms=8.0),
            start_s=0.5,
            gap_s=0.5,
            protocol="hls",
        ),
    ),
    backhaul=LinkShape(rate_kbps=8000.0, delay_ms=40.0),
)

Sides = Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sides, Sides]:
    """Live and simulated figures of both sides."""
    folder = tmp_path_factory.mktemp("demo")
    said: list[str] = []
    library = library_of(PLAN, (), folder)
    assert make_library(PLAN, (), library, said.append)
    assert not make_library(PLAN, (), library, said.append), "it is kept for the next run"
    ran = run_live(PLAN, library, folder, said.append)
    live = {side: live_figures(one) for side, one in ran.sides.items()}
    return live, simulated_figures(PLAN, ran.titles, seed=1)


def test_prefetch_serves_next_episodes_that_the_other_side_has_to_fetch(
    evening: tuple[Sides, Sides],
) -> None:
    live, _ = evening
    off, on = live["off"], live["on"]
    assert off["sessions"] == on["sessions"] == 4
    assert off["sessions_failed"] == on["sessions_failed"] == 0
    assert off["prefetch_bytes"] == 0
    assert on["prefetch_bytes"] > 0
    assert on["next_episode_hit_ratio"] > off["next_episode_hit_ratio"]
    assert on["prefetch_precision"] > 0
    assert on["inference_p99_s"] > 0


def test_simulated_evening_is_like_the_real_one(evening: tuple[Sides, Sides]) -> None:
    live, simulated = evening
    for side in ("off", "on"):
        assert simulated[side]["sessions"] == live[side]["sessions"]
        assert simulated[side]["origin_bytes"] == pytest.approx(
            live[side]["origin_bytes"], rel=0.25
        )
    assert simulated["on"]["next_episode_hit_ratio"] > simulated["off"]["next_episode_hit_ratio"]
