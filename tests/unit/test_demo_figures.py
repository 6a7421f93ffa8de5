"""The same figures of what a live side left behind and of its twin."""

from typing import Any, get_origin

import msgspec
import pytest

from abr.report import SessionReport, ViewerReport, viewer_report
from edge.drivers.inference import InferenceFigures
from edge.status import EdgeStatus
from simulation.demo.figures import live_figures
from simulation.demo.live import LiveSide
from simulation.report import Figures


def viewer(**changes: Any) -> ViewerReport:
    session: dict[str, Any] = {
        "url": "u",
        "session_id": "s",
        "is_next_episode": True,
        "startup_s": 0.5,
        "played_s": 9.0,
        "stalled_s": 1.0,
        "stall_count": 1,
        "bitrate_kbps": 800.0,
        "switch_count": 0,
        "qoe_linear": 1.0,
        "segment_count": 5,
        "abandon_count": 0,
        "response_count": 1,
        "edge_hit_count": 1,
        "received_bytes": 1,
        "hit_bytes": 1,
        "started_from_edge": True,
        "ended": "finished",
    }
    return viewer_report("v", (SessionReport(**{**session, **changes}),))


def edge_status(**changes: Any) -> dict[str, Any]:
    """As /.nearcast/status gives it: the core's figures, the drivers' beside them."""
    zero: dict[Any, Any] = {int: 0, float: 0.0, bool: False, str: "", tuple: (), dict: {}}
    fields = {
        field.name: zero.get(get_origin(field.type) or field.type)
        for field in msgspec.structs.fields(EdgeStatus)
        if field.required
    }
    return {**fields, "connection_count": 3, **changes}


def test_inference_is_taken_from_the_drivers_figures() -> None:
    names = {field.name for field in msgspec.structs.fields(InferenceFigures)}
    assert {"p50_s", "p99_s"} <= names  # what the status calls them
    edge = edge_status(inference={"p50_s": 0.001, "p99_s": 0.004})
    found = live_figures(LiveSide(viewers=(viewer(),), edge=edge))
    assert (found["inference_p50_s"], found["inference_p99_s"]) == (0.001, 0.004)


def test_all_sessions_of_all_viewers_count() -> None:
    edge = edge_status(client_bytes=100, resident_bytes_sent=60, origin_bytes=40)
    viewers = (viewer(), viewer(startup_s=1.5, started_from_edge=False))
    found = live_figures(LiveSide(viewers=viewers, edge=edge))
    assert set(found) == {field.name for field in msgspec.structs.fields(Figures)}
    assert found["sessions"] == 2
    assert found["next_episode_startup_p50_s"] == pytest.approx(1.0)
    assert found["next_episode_hit_ratio"] == 0.5
    assert found["byte_hit_ratio"] == 0.6
    assert found["rebuffer_ratio"] == pytest.approx(0.1)
    assert found["inference_p99_s"] is None
