"""What an edge keeps by expectation, beside S3-FIFO, with viewers who come back for days."""

from typing import Any

import pytest

from nearcast.record import NullRecorder
from simulation.report import Figures
from simulation.scenario import Scenario, scenario_of
from simulation.workload import titles_of, viewers_of
from simulation.world import World

EPISODE_S = 1500
FILM_S = 5700
RUNG_KBPS = 8
SERIES_COUNT, EPISODE_COUNT, FILM_COUNT = 8, 8, 8
TITLES_BYTES = (SERIES_COUNT * EPISODE_COUNT * EPISODE_S + FILM_COUNT * FILM_S) * RUNG_KBPS * 125


def scenario(seed: int, days: float = 4.0) -> Scenario:
    """Few and slow bytes: what is decided is the same, and it takes less time."""

    def edge(eviction: str) -> dict[str, Any]:
        return {
            "name": eviction,
            "backhaul": {"rate_kbps": 400, "delay_ms": 60},
            "settings": {
                "store": "disk",
                "eviction": eviction,
                "capacity_bytes": TITLES_BYTES // 20,
                "prefetch.rate_kbps": 330,
                "prefetch.in_session_s": 0,
            },
        }

    return scenario_of(
        {
            "seed": seed,
            "duration_s_max": 10 * 86_400,
            "catalog": {
                "series_count": SERIES_COUNT,
                "episode_count": EPISODE_COUNT,
                "film_count": FILM_COUNT,
                "episode_s": EPISODE_S,
                "film_s": FILM_S,
                "segment_s": 100,
                "rungs_kbps": [RUNG_KBPS],
                "audio_kbps": 0,
            },
            "edges": [edge("s3fifo"), edge("expected")],
            "audience": {
                "kind": "generated",
                "viewer_count": 16,
                "days": days,
                "last_miles": [{"rate_kbps": 300, "delay_ms": 5}],
            },
        },
        "test",
    )


@pytest.fixture(scope="module")
def figures() -> dict[str, Figures]:
    outcome = World(scenario(seed=2), recorder=NullRecorder()).run()
    return {name: edge.figures for name, edge in outcome.edges.items()}


def test_more_is_found_in_the_same_room(figures: dict[str, Figures]) -> None:
    plain, expected = figures["s3fifo"], figures["expected"]
    assert plain.byte_hit_ratio is not None
    assert expected.byte_hit_ratio is not None
    assert expected.byte_hit_ratio > plain.byte_hit_ratio + 0.08
    assert plain.next_episode_hit_ratio is not None
    assert expected.next_episode_hit_ratio is not None
    assert expected.next_episode_hit_ratio > plain.next_episode_hit_ratio


def test_more_of_what_is_fetched_ahead_is_used(figures: dict[str, Figures]) -> None:
    plain, expected = figures["s3fifo"], figures["expected"]
    assert expected.prefetch_used_bytes > 1.5 * plain.prefetch_used_bytes
    assert expected.prefetch_precision is not None
    assert expected.prefetch_precision > 0.5


def test_viewers_of_several_days_come_back_to_what_they_watched() -> None:
    read = scenario(seed=2)
    specs = viewers_of(read, titles_of(read))
    assert max(spec.start_s for spec in specs) > 86_400
    series = [title.split("-")[0] for spec in specs for title in spec.titles if "-" in title]
    assert len(specs) > 16
    assert len(series) > 2 * len(set(series))
