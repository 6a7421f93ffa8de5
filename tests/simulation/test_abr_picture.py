"""Pictures of sessions, drawn."""

from __future__ import annotations

from importlib.util import find_spec

import msgspec
import pytest

from abr.picture import draw_timeline
from abr.timeline import ForecastMark, SegmentMark, Timeline

needs_matplotlib = pytest.mark.skipif(
    find_spec("matplotlib") is None, reason="matplotlib is not installed (extra sim)"
)

TIMELINE = Timeline(
    caption="a session",
    ladder_kbps=(500.0, 1000.0),
    buffer_s_max=25.0,
    startup_s=1.0,
    segments=tuple(
        SegmentMark(
            asked_s=here_s - 0.5,
            here_s=here_s,
            duration_s=4.0,
            rung=index % 2,
            kbps=800.0,
            is_hit=index == 1,
            abandon_count=index % 3 // 2,
        )
        for index, here_s in enumerate((1.0, 8.0, 9.0, 12.0))
    ),
    stalls=((5.0, 8.0),),
    link=((0.0, 700.0), (3.0, 0.0), (20.0, 900.0)),
    forecasts=(ForecastMark(at_s=7.5, low_kbps=0.0, median_kbps=500.0, high_kbps=900.0),),
)


@needs_matplotlib
@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG")])
def test_a_picture_is_the_same_each_time(suffix: str, start: bytes) -> None:
    first = draw_timeline(TIMELINE, suffix)
    assert first.startswith(start)
    assert first == draw_timeline(TIMELINE, suffix)


@needs_matplotlib
def test_a_session_of_one_segment_can_be_drawn() -> None:
    bare = msgspec.structs.replace(
        TIMELINE, segments=TIMELINE.segments[:1], stalls=(), link=(), forecasts=()
    )
    assert draw_timeline(bare, ".svg").startswith(b"<?xml")
