"""A played session as a timeline, from what the player recorded."""

from __future__ import annotations

from typing import Literal

import msgspec

from abr.recording import SessionRecorder
from abr.records import PlaybackChanged, RequestGivenUp, SegmentFetched
from abr.report import SessionReport
from abr.throughput import Sample, ThroughputMeter
from abr.timeline import ForecastMark, buffer_points
from nearcast.media import TrackKind

REPORT = SessionReport(
    url="http://host/manifest.mpd",
    session_id="a-1",
    is_next_episode=False,
    startup_s=1.5,
    played_s=8.0,
    stalled_s=2.0,
    stall_count=1,
    bitrate_kbps=700.0,
    switch_count=1,
    qoe_linear=0.5,
    segment_count=3,
    abandon_count=1,
    response_count=5,
    edge_hit_count=0,
    received_bytes=1,
    hit_bytes=0,
    started_from_edge=None,
    ended="finished",
    ladder_kbps=(500.0, 1000.0),
)


def fetched(
    at_s: float, start_s: float, rung: int, track: TrackKind = "video", session: str = "a-1"
) -> SegmentFetched:
    return SegmentFetched(
        at_s=at_s,
        session_id=session,
        track=track,
        start_s=start_s,
        rung=rung,
        size_bytes=125_000,
        duration_s=0.5,
        is_hit=None,
        buffer_s=4.0,
    )


def changed(
    at_s: float, state: Literal["playing", "stalled", "ended"], session: str = "a-1"
) -> PlaybackChanged:
    return PlaybackChanged(at_s=at_s, session_id=session, state=state, position_s=0.0)


def test_records_become_a_timeline() -> None:
    """Pressed at 100 s; a segment given up at 105.5 s; stalled from 105.5 to 107.5 s."""
    recorder = SessionRecorder()
    recorder.foresee = lambda at_s: ForecastMark(
        at_s=at_s, low_kbps=1.0, median_kbps=2.0, high_kbps=3.0
    )
    recorder.record(fetched(101.0, 0.0, 0, "audio"))
    recorder.record(fetched(101.5, 0.0, 0))
    recorder.record(changed(101.5, "playing"))
    recorder.record(
        RequestGivenUp(
            at_s=105.0, session_id="a-1", track="video", rung=1, received_bytes=9, detail="slow"
        )
    )
    recorder.record(changed(105.5, "stalled"))
    recorder.record(fetched(107.5, 4.0, 1))
    recorder.record(changed(107.5, "playing"))
    recorder.record(fetched(109.0, 8.0, 1))
    recorder.record(changed(115.5, "ended"))
    recorder.record(fetched(130.0, 0.0, 1, session="a-2"))
    recorder.record(changed(130.0, "playing", session="a-2"))
    found = recorder.timeline([REPORT], buffer_s_max=20.0)
    assert found is not None
    assert found.ladder_kbps == (500.0, 1000.0)
    assert found.startup_s == 1.5
    assert [(mark.asked_s, mark.here_s, mark.rung) for mark in found.segments] == [
        (1.0, 1.5, 0),
        (7.0, 7.5, 1),
        (8.5, 9.0, 1),
    ]
    assert {mark.duration_s for mark in found.segments} == {4.0}
    assert {mark.kbps for mark in found.segments} == {2000.0}
    assert [mark.abandon_count for mark in found.segments] == [0, 1, 0]
    assert found.stalls == ((5.5, 7.5),)
    assert [mark.at_s for mark in found.forecasts] == [1.0, 7.0, 8.5]
    assert buffer_points(found)[-1] == (9.0, 6.5)


def test_what_never_played_is_no_picture() -> None:
    recorder = SessionRecorder()
    assert recorder.timeline([REPORT], 20.0) is None
    recorder.record(fetched(101.5, 0.0, 0))
    assert recorder.timeline([msgspec.structs.replace(REPORT, startup_s=None)], 20.0) is None


def test_rates_are_the_meters_own_where_it_measured() -> None:
    recorder = SessionRecorder()
    meter = ThroughputMeter()
    recorder.last_sample = lambda: meter.samples[-1] if meter.samples else None
    recorder.record(fetched(101.5, 0.0, 0))
    recorder.record(changed(101.5, "playing"))
    meter.samples.append(
        Sample(
            throughput_kbps=7000.0,
            size_bytes=125_000,
            duration_s=0.1,
            is_hit=False,
            ttfb_s=0.4,
            gap_s=0.0,
        )
    )
    recorder.record(fetched(103.0, 4.0, 1))
    recorder.record(fetched(104.0, 8.0, 1))  # too short: no sample of its own
    found = recorder.timeline([REPORT], 20.0)
    assert found is not None
    assert [mark.kbps for mark in found.segments] == [2000.0, 7000.0, 2000.0]
