"""Playback jumps over what nobody has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abr.buffer import TrackBuffer
from abr.holes import Holes
from abr.playback import Playback

SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 10)), max_size=6)


def playing(*spans: tuple[float, float], at_s: float = 0.0) -> Playback:
    playback = Playback(0.0)
    for start_s, end_s in spans:
        playback.holes.add(start_s, end_s)
    playback.advance(at_s, 0.0)
    playback.play()
    return playback


def test_touching_holes_are_one() -> None:
    holes = Holes()
    for start_s, end_s in ((4.0, 6.0), (10.0, 12.0), (6.0, 8.0), (11.0, 14.0)):
        holes.add(start_s, end_s)
    assert holes.spans == [(4.0, 8.0), (10.0, 14.0)]


def test_position_jumps_in_no_time() -> None:
    playback = playing((4.0, 8.0))
    playback.advance(5.0, 20.0)
    assert playback.position_s == pytest.approx(9.0)
    assert playback.played_s == pytest.approx(5.0)
    assert playback.skipped_s == 4.0
    assert playback.reaches_s(12.0) == pytest.approx(8.0)


def test_hole_is_not_jumped_into() -> None:
    """The audio may not be here yet where the video has a hole."""
    playback = playing((4.0, 8.0))
    playback.advance(10.0, 6.0)
    assert (playback.state, playback.position_s) == ("stalled", 4.0)
    assert playback.stalled_s == pytest.approx(6.0)


def test_hole_at_the_end_ends_the_title() -> None:
    playback = playing((4.0, 8.0))
    playback.stop_at_s = 8.0
    playback.advance(10.0, 8.0)
    assert (playback.state, playback.position_s, playback.played_s) == ("ended", 8.0, 4.0)
    assert playback.at_s == pytest.approx(4.0)


def test_buffer_counts_what_can_be_played() -> None:
    buffer = TrackBuffer()
    buffer.append(4.0, 0, size_bytes=1, is_last=False)
    buffer.skip(6.0, is_last=False)
    buffer.append(8.0, 0, size_bytes=1, is_last=True)
    assert buffer.ahead_s(1.0) == pytest.approx(5.0)
    assert [(held.start_s, held.end_s) for held in buffer.held] == [(0.0, 4.0), (6.0, 8.0)]


@given(SPANS, st.floats(0.0, 80.0), st.lists(st.floats(0.0, 5.0), max_size=30))
def test_every_second_of_media_is_played_once(
    spans: list[tuple[int, int]], end_s: float, naps_s: list[float]
) -> None:
    """However often it is looked at, as much is played as there is time or media."""
    whole = [(float(start), float(start + length)) for start, length in spans]
    playback = playing(*whole)
    now_s = 0.0
    for nap_s in naps_s:
        now_s += nap_s
        playback.advance(now_s, end_s)
    playable_s = playback.holes.playable_end_s(end_s)
    there_s = playable_s - playback.holes.width_s(0.0, playable_s)
    assert playback.played_s == pytest.approx(min(now_s, there_s), abs=1e-6)
    assert playback.position_s <= max(end_s, 0.0) + 1e-6
    assert playback.played_s + playback.stalled_s == pytest.approx(now_s, abs=1e-6)


@given(SPANS, st.floats(0.0, 80.0))
def test_holes_stay_apart_and_in_order(spans: list[tuple[int, int]], at_s: float) -> None:
    holes = Holes()
    inside = False
    for start, length in spans:
        holes.add(float(start), float(start + length))
        inside = inside or start <= at_s < start + length
    assert holes.spans == sorted(holes.spans)
    assert all(a[1] < b[0] for a, b in zip(holes.spans, holes.spans[1:], strict=False))
    assert any(a <= at_s < b for a, b in holes.spans) == inside
