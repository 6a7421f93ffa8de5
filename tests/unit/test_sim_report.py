"""Figures from session reports and an edge's status."""

from typing import Any

import msgspec
import pytest

from abr.report import SessionReport
from edge.status import EdgeStatus
from simulation.report import figures


def session(**changes: Any) -> SessionReport:
    given: dict[str, Any] = {
        "url": "http://edge/media/a/manifest.mpd",
        "session_id": "s",
        "is_next_episode": True,
        "startup_s": 1.0,
        "played_s": 10.0,
        "stalled_s": 0.0,
        "stall_count": 0,
        "bitrate_kbps": 1000.0,
        "switch_count": 0,
        "qoe_linear": 1.0,
        "segment_count": 5,
        "abandon_count": 0,
        "response_count": 1,
        "edge_hit_count": 0,
        "received_bytes": 1,
        "hit_bytes": 0,
        "started_from_edge": True,
        "ended": "finished",
    }
    return SessionReport(**{**given, **changes})


def status(**changes: Any) -> EdgeStatus:
    """All zero but for `changes`."""
    zero: dict[type, Any] = {int: 0, float: 0.0, bool: False, str: ""}
    hints = {field.name: field.type for field in msgspec.structs.fields(EdgeStatus)}
    return EdgeStatus(**{**{name: zero.get(kind) for name, kind in hints.items()}, **changes})


def test_shares_of_starts_count_only_next_episodes() -> None:
    sessions = [
        session(is_next_episode=False, startup_s=9.0, started_from_edge=True),
        session(startup_s=1.0, started_from_edge=True),
        session(startup_s=2.0, started_from_edge=False),
        session(startup_s=3.0, started_from_edge=None),
    ]
    found = figures(sessions, status(), None)
    assert found.sessions == 4
    assert found.next_episode_count == 3
    assert found.next_episode_hit_ratio == pytest.approx(1 / 3)
    assert found.next_episode_startup_p50_s == 2.0
    assert found.startup_p50_s == 2.5


def test_ratios_are_over_all_sessions_together() -> None:
    sessions = [
        session(played_s=90.0, stalled_s=0.0, bitrate_kbps=2000.0),
        session(played_s=10.0, stalled_s=25.0, bitrate_kbps=1000.0, stall_count=2),
    ]
    found = figures(sessions, status(client_bytes=400, resident_bytes_sent=100), None)
    assert found.rebuffer_ratio == pytest.approx(25 / 125)
    assert found.bitrate_kbps_mean == pytest.approx(1900)
    assert found.byte_hit_ratio == 0.25
    assert found.stall_count == 2


def test_edge_figures_are_the_edges_own() -> None:
    edge = status(prefetch_bytes=200, prefetch_precision=0.75, origin_bytes=900)
    found = figures([], edge, 0.002)
    assert (found.prefetch_bytes, found.prefetch_precision) == (200, 0.75)
    assert found.origin_bytes == 900
    assert found.inference_p99_s == 0.002


def test_nothing_to_measure_is_none_and_not_zero() -> None:
    found = figures(
        [session(startup_s=None, ended="failed", is_next_episode=False)], status(), None
    )
    assert found.sessions_unstarted == found.sessions_failed == 1
    for value in (
        found.startup_p50_s,
        found.next_episode_startup_p95_s,
        found.next_episode_hit_ratio,
        found.byte_hit_ratio,
        found.prefetch_precision,
        found.inference_p99_s,
    ):
        assert value is None
