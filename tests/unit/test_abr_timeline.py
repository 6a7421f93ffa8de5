"""The buffer line of a picture, and the picture itself."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from abr.picture import check_picture
from abr.timeline import ForecastMark, SegmentMark, Timeline, buffer_points
from nearcast.errors import InputError

needs_matplotlib = pytest.mark.skipif(
    find_spec("matplotlib") is None, reason="matplotlib is not installed (extra sim)"
)


def timeline(here_s: list[float], stalls: tuple[tuple[float, float], ...] = ()) -> Timeline:
    return Timeline(
        caption="a session",
        ladder_kbps=(500.0, 1000.0),
        buffer_s_max=25.0,
        startup_s=here_s[0],
        segments=tuple(
            SegmentMark(
                asked_s=max(time_s - 0.5, 0.0),
                here_s=time_s,
                duration_s=4.0,
                rung=index % 2,
                kbps=800.0,
                is_hit=index == 1,
                abandon_count=index % 3 // 2,
            )
            for index, time_s in enumerate(here_s)
        ),
        stalls=stalls,
        link=((0.0, 700.0), (3.0, 0.0), (20.0, 900.0)),
        forecasts=(ForecastMark(at_s=7.5, low_kbps=0.0, median_kbps=500.0, high_kbps=900.0),),
    )


def test_the_buffer_falls_while_playing_and_jumps_with_a_segment() -> None:
    points = buffer_points(timeline([1.0, 2.0]))
    assert points == [(0.0, 0.0), (1.0, 0.0), (1.0, 4.0), (2.0, 3.0), (2.0, 7.0)]


def test_the_buffer_runs_dry_and_waits() -> None:
    points = buffer_points(timeline([1.0, 8.0], stalls=((5.0, 8.0),)))
    assert points[3:] == [(5.0, 0.0), (8.0, 0.0), (8.0, 4.0)]


def test_a_player_that_waits_for_more_keeps_what_it_has() -> None:
    """After a stall playback may go on later than the next segment is here."""
    points = buffer_points(timeline([1.0, 8.0, 9.0], stalls=((5.0, 9.0),)))
    assert points[4:] == [(8.0, 0.0), (8.0, 4.0), (9.0, 4.0), (9.0, 8.0)]


@needs_matplotlib
def test_other_kinds_of_file_are_refused_before_anything_is_done() -> None:
    check_picture(Path("a.svg"))
    with pytest.raises(InputError, match=r"must end in \.svg"):
        check_picture(Path("a.gif"))


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("abr.picture.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"nearcast\[sim\]"):
        check_picture(Path("a.svg"))
