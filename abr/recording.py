"""A session that was really played, as a timeline: put together from what the player records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from abr.records import PlaybackChanged, RequestGivenUp, SegmentFetched
from abr.report import SessionReport
from abr.throughput import Sample
from abr.timeline import ForecastMark, SegmentMark, Timeline
from nearcast.media import TrackKind
from nearcast.record import Record
from nearcast.units import kbps

RECORDS_MAX = 50_000
"""A title of a day in segments of 2 s; what comes after is not drawn."""

DURATION_S_MIN = 1e-6

Foresee = Callable[[float], ForecastMark | None]


class SessionRecorder:
    """Keeps the records of the first title that is played, and what was foreseen for each of its
    segments. `foresee` answers for the segment that was decided on last, `last_sample` with what
    the network was measured to bring."""

    def __init__(self) -> None:
        self.foresee: Foresee = lambda at_s: None
        self.last_sample: Callable[[], Sample | None] = lambda: None
        self._known_sample: Sample | None = None
        self._session_id: str | None = None
        self._states: list[PlaybackChanged] = []
        self._segments: list[SegmentFetched] = []
        self._kbps: list[float] = []
        """Measured for each of them."""
        self._given_up: list[RequestGivenUp] = []
        self._forecasts: list[tuple[TrackKind, ForecastMark]] = []

    def record(self, record: Record) -> None:
        if not isinstance(record, PlaybackChanged | SegmentFetched | RequestGivenUp):
            return
        if self._session_id is None:
            self._session_id = record.session_id
        if record.session_id != self._session_id or len(self._segments) >= RECORDS_MAX:
            return
        if isinstance(record, SegmentFetched):
            self._segments.append(record)
            self._kbps.append(self._measured_kbps(record))
            found = self.foresee(record.at_s - record.duration_s)
            if found is not None:
                self._forecasts.append((record.track, found))
        elif isinstance(record, PlaybackChanged):
            self._states.append(record)
        else:
            self._given_up.append(record)

    def timeline(self, reports: Sequence[SessionReport], buffer_s_max: float) -> Timeline | None:
        """None when nothing was played."""
        report = next((each for each in reports if each.session_id == self._session_id), None)
        started = next((each for each in self._states if each.state == "playing"), None)
        if report is None or report.startup_s is None or started is None:
            return None
        begun_s = started.at_s - report.startup_s
        is_video = any(each.track == "video" for each in self._segments)
        track = "video" if is_video else "audio"
        mine = [
            (each, rate_kbps)
            for each, rate_kbps in zip(self._segments, self._kbps, strict=True)
            if each.track == track
        ]
        return Timeline(
            caption=(
                f"{report.url}: {report.bitrate_kbps or 0.0:.0f} kbit/s, "
                f"{report.stalled_s:.1f} s stalled, {report.switch_count} switches"
            ),
            ladder_kbps=report.ladder_kbps,
            buffer_s_max=buffer_s_max,
            startup_s=report.startup_s,
            segments=self._marks(mine, begun_s),
            stalls=self._stalls(begun_s),
            forecasts=tuple(
                ForecastMark(
                    at_s=each.at_s - begun_s,
                    low_kbps=each.low_kbps,
                    median_kbps=each.median_kbps,
                    high_kbps=each.high_kbps,
                )
                for kind, each in self._forecasts
                if kind == track
            ),
        )

    def _measured_kbps(self, record: SegmentFetched) -> float:
        """From first byte to last, or the whole request where that was too short to measure."""
        sample = self.last_sample()
        if sample is None or sample is self._known_sample:
            return kbps(record.size_bytes, max(record.duration_s, DURATION_S_MIN))
        self._known_sample = sample
        return sample.throughput_kbps

    def _marks(
        self, mine: Sequence[tuple[SegmentFetched, float]], begun_s: float
    ) -> tuple[SegmentMark, ...]:
        lengths_s = [after.start_s - each.start_s for (each, _), (after, _) in pairwise(mine)]
        lengths_s.append(lengths_s[-1] if lengths_s else 0.0)  # the last is taken to be as long
        marks, since_s = [], begun_s
        for (each, rate_kbps), length_s in zip(mine, lengths_s, strict=True):
            tries = [
                one
                for one in self._given_up
                if one.track == each.track and since_s < one.at_s <= each.at_s
            ]
            since_s = each.at_s
            marks.append(
                SegmentMark(
                    asked_s=each.at_s - each.duration_s - begun_s,
                    here_s=each.at_s - begun_s,
                    duration_s=length_s,
                    rung=each.rung,
                    kbps=rate_kbps,
                    is_hit=bool(each.is_hit),
                    abandon_count=len(tries),
                )
            )
        return tuple(marks)

    def _stalls(self, begun_s: float) -> tuple[tuple[float, float], ...]:
        return tuple(
            (each.at_s - begun_s, after.at_s - begun_s)
            for each, after in pairwise(self._states)
            if each.state == "stalled"
        )
