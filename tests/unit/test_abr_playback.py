"""Position as a function of time, and where every second goes."""

import pytest

from abr.buffer import TrackBuffer, buffered_end_s
from abr.playback import Playback


def test_stall_begins_when_the_data_ends_however_late_one_asks() -> None:
    playback = Playback(10.0)
    playback.advance(11.5, 0.0)
    playback.play()
    playback.advance(20.0, 4.0)
    assert playback.state == "stalled"
    assert playback.startup_s == pytest.approx(1.5)
    assert playback.played_s == pytest.approx(4.0)
    assert playback.stalled_s == pytest.approx(20.0 - 11.5 - 4.0)
    assert playback.stall_count == 1


def test_due_is_the_exact_moment_and_waking_then_is_enough() -> None:
    playback = Playback(0.1)
    playback.play()
    due_s = playback.due_s(0.3)
    assert due_s == pytest.approx(0.4)
    assert due_s is not None
    playback.advance(due_s, 0.3)
    assert playback.state == "stalled"
    assert playback.due_s(0.3) is None


def test_interruption_too_short_to_see_is_not_counted() -> None:
    playback = Playback(0.0)
    playback.play()
    playback.advance(1.0005, 1.0)
    playback.play()
    playback.advance(3.5, 3.0)
    assert playback.stalled_s == pytest.approx(0.0005 + 0.4995)
    assert playback.stall_count == 1


def test_end_stops_the_clock_at_the_moment_of_the_end() -> None:
    playback = Playback(0.0)
    playback.stop_at_s = 5.0
    playback.advance(1.0, 0.0)
    playback.play()
    playback.advance(9.0, 7.0)
    assert playback.state == "ended"
    assert playback.position_s == 5.0
    assert playback.at_s == pytest.approx(6.0)
    assert playback.stalled_s == 0.0


def test_track_that_is_complete_holds_nobody_up() -> None:
    video, audio = TrackBuffer(), TrackBuffer()
    video.append(10.0, 1, size_bytes=1, is_last=False)
    audio.append(4.0, 0, size_bytes=1, is_last=False)
    assert buffered_end_s((video, audio), 12.0) == 4.0
    audio.append(9.8, 0, size_bytes=1, is_last=True)
    assert buffered_end_s((video, audio), 12.0) == 10.0
    video.append(12.0, 1, size_bytes=1, is_last=True)
    assert buffered_end_s((video, audio), 12.0) == 12.0


def test_overlap_is_held_once() -> None:
    buffer = TrackBuffer()
    buffer.append(2.0, 0, size_bytes=1, is_last=False)
    buffer.append(1.5, 1, size_bytes=1, is_last=False)
    buffer.append(3.0, 1, size_bytes=1, is_last=False)
    assert [(each.start_s, each.end_s, each.rung) for each in buffer.held] == [
        (0.0, 2.0, 0),
        (2.0, 3.0, 1),
    ]
