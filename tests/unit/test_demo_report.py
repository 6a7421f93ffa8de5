"""What the demo prints of its figures, and when it says that something fell short."""

from typing import Any

import pytest

from abr.report import SessionReport, ViewerReport, viewer_report
from simulation.demo.report import lines, reason, verdicts

GOOD: dict[str, dict[str, float | None]] = {
    "off": {
        "next_episode_startup_p50_s": 1.0,
        "next_episode_startup_p95_s": 2.0,
        "next_episode_hit_ratio": 0.2,
        "byte_hit_ratio": 0.5,
        "rebuffer_ratio": 0.01,
        "origin_bytes": 1_000_000,
        "prefetch_precision": None,
    },
    "on": {
        "next_episode_startup_p50_s": 0.4,
        "next_episode_startup_p95_s": 0.9,
        "next_episode_hit_ratio": 0.95,
        "byte_hit_ratio": 0.6,
        "rebuffer_ratio": 0.01,
        "origin_bytes": 1_100_000,
        "prefetch_precision": 0.85,
        "inference_p99_s": 0.002,
    },
}


def with_on(**changes: float | None) -> dict[str, Any]:
    return {"off": GOOD["off"], "on": {**GOOD["on"], **changes}}


def short(live: dict[str, Any], simulated: dict[str, Any] = GOOD) -> list[str]:
    return [line for line in verdicts(live, simulated) if line.startswith("SHORT")]


def test_an_evening_that_shows_what_it_should_falls_short_of_nothing() -> None:
    assert short(GOOD) == []
    assert len(verdicts(GOOD, GOOD)) == 12


@pytest.mark.parametrize(
    ("key", "value", "claim"),
    [
        ("next_episode_hit_ratio", 0.89, "next-episode starts from the edge >= 90 %: 89.0 %"),
        ("prefetch_precision", 0.79, "prefetch precision >= 80 %"),
        ("next_episode_startup_p95_s", 1.01, "at most half: 1.010 against 2.000"),
        ("rebuffer_ratio", 0.011, "rebuffer ratio not higher"),
    ],
)
def test_each_claim_falls_short_by_itself(key: str, value: float, claim: str) -> None:
    live = with_on(**{key: value})
    (line,) = short(live, live)
    assert claim in line


@pytest.mark.parametrize(
    ("key", "within", "beyond"),
    [
        ("next_episode_hit_ratio", 0.91, 0.89),  # 0.05 absolute
        ("byte_hit_ratio", 0.56, 0.54),
        ("next_episode_startup_p50_s", 0.47, 0.49),  # a fifth of the live figure
        ("origin_bytes", 900_000, 870_000),
    ],
)
def test_simulated_figures_are_held_against_the_live_ones(
    key: str, within: float, beyond: float
) -> None:
    assert short(GOOD, with_on(**{key: within})) == []
    (line,) = short(GOOD, with_on(**{key: beyond}))
    assert f"simulated {key} (on)" in line


def test_what_was_not_measured_is_no_success() -> None:
    live = with_on(next_episode_hit_ratio=None, rebuffer_ratio=None)
    assert [line for line in short(live) if "nothing to measure" in line] == [
        "SHORT next-episode starts from the edge >= 90 %: nothing to measure",
        "SHORT rebuffer ratio not higher: nothing to measure",
        "SHORT simulated next_episode_hit_ratio (on): nothing to measure",
    ]


def test_the_table_fits_a_terminal_and_marks_what_was_given() -> None:
    table = list(lines(GOOD, GOOD))
    assert all(len(line) <= 80 for line in table)
    (inference,) = (line for line in table if line.startswith("inference p99"))
    assert inference.split()[2:] == ["-", "2.00", "ms", "-", "2.00", "ms*"]
    (hits,) = (line for line in table if line.startswith("next-episode starts"))
    assert hits.split()[-8:] == ["20.0", "%", "95.0", "%", "20.0", "%", "95.0", "%"]


def viewer(startup_s: float, *, from_edge: bool) -> ViewerReport:
    session = SessionReport(
        url="http://edge.test/media/pond-s01e02/manifest.mpd",
        session_id="a-2",
        is_next_episode=True,
        startup_s=startup_s,
        played_s=20.0,
        stalled_s=0.0,
        stall_count=0,
        bitrate_kbps=800.0,
        switch_count=0,
        qoe_linear=1.0,
        segment_count=10,
        abandon_count=0,
        response_count=12,
        edge_hit_count=12 if from_edge else 0,
        received_bytes=1,
        hit_bytes=0,
        started_from_edge=from_edge,
        ended="finished",
    )
    return viewer_report("a", (session,))


def test_starts_that_crossed_the_backhaul_are_compared_with_themselves() -> None:
    off = [viewer(0.9, from_edge=False), *(viewer(0.2, from_edge=True) for _ in range(3))]
    on = [viewer(0.1, from_edge=True), *(viewer(0.3, from_edge=True) for _ in range(3))]
    said = "\n".join(reason(off, on))
    assert "1 of 4 next-episode starts" in said
    assert "median 0.900 s, and 0.100 s" in said
    assert "edge hits on both sides" in said


def test_last_mile_is_not_blamed_for_starts_that_missed() -> None:
    off = [viewer(0.9, from_edge=False)]
    assert "last mile" not in "\n".join(reason(off, [viewer(0.8, from_edge=False)]))
    assert list(reason([viewer(0.2, from_edge=True)], [viewer(0.2, from_edge=True)])) == []
