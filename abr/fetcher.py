"""One track's downloads: one segment at a time, in order, with patience for failures.

The init segment of a rung is asked for together with the first segment at that rung, which spares a
round trip at every start; a segment that overtakes its init waits for it.
"""

from __future__ import annotations

from abr.buffer import TrackBuffer
from abr.config import RetryConfig
from abr.playback import TIME_S_TOLERANCE
from abr.title import Track
from abr.transfer import Transfer
from nearcast.media import Representation, Segment

LIMIT_SEGMENTS_MIN = 1.5
"""The buffer always takes this many segments, however long they are: with room for less than two,
playback would have to run dry before the next one is asked for."""
FAILURES_AT_RUNG_MAX = 2


class Fetcher:
    """What one track has, what it waits for, and what it fetches next."""

    def __init__(self, track: Track, retry: RetryConfig, buffer_s_max: float) -> None:
        self.track = track
        self.buffer = TrackBuffer()
        self.transfer: Transfer | None = None
        """The segment under way."""
        self.init_transfer: Transfer | None = None
        self.last_rung = -1
        self.planned_rung: int | None = None
        """Chosen for the next segment, whether or not it is under way."""
        self.forced_rung: int | None = None
        """Chosen by an abandonment; the controller is not asked."""
        self.abandon_count = 0
        """Of the segment that is due."""
        self.failure_count = 0
        self.failure_detail = ""
        self.wait_until_s: float | None = None
        self._retry = retry
        self._buffer_s_max = buffer_s_max
        self._failures_at: tuple[int, int] = (-1, 0)  # rung, failures in a row
        self._avoided_until_s: dict[int, float] = {}
        self._inits: set[Segment] = set()
        self._early: tuple[Segment, int, int] | None = None
        """A segment that came before the init segment of its rung."""

    @property
    def rung_under_way(self) -> int | None:
        """Of the segment that is being fetched, or is here and waits for its init segment."""
        if self.transfer is not None:
            return self.transfer.rung
        return None if self._early is None else self._early[1]

    @property
    def is_exhausted(self) -> bool:
        """Failed more often than is borne once playback has no data left."""
        return self.failure_count > self._retry.count_max

    def representation(self, rung: int) -> Representation:
        return self.track.representations[rung]

    def due_segment(self, rung: int) -> Segment | None:
        """The segment that comes next, at `rung`; None at the end of the track."""
        return self.track.segment_after(rung, self.buffer.end_s)

    def missing_init(self, rung: int, segment: Segment | None = None) -> Segment | None:
        """The init that `segment` (default: the one that is due) at `rung` still needs."""
        segment = segment or self.due_segment(rung)
        init = None if segment is None else self.representation(rung).init_of(segment)
        return None if init in self._inits else init

    def is_waiting(self, now_s: float) -> bool:
        """For its turn to try again."""
        until_s = self.wait_until_s
        return until_s is not None and now_s < until_s - TIME_S_TOLERANCE

    def room_at_s(self) -> float:
        """The playback position from which on the next segment fits into the buffer."""
        segment = self.due_segment(max(self.last_rung, 0))
        duration_s = 0.0 if segment is None else segment.duration_s
        limit_s = max(self._buffer_s_max, LIMIT_SEGMENTS_MIN * duration_s)
        return self.buffer.end_s + duration_s - limit_s

    def is_full(self, position_s: float) -> bool:
        return position_s < self.room_at_s() - TIME_S_TOLERANCE

    def has_init(self, init: Segment) -> None:
        """An init segment is here."""
        self._inits.add(init)
        self._succeeded()
        if self._early is not None and self.missing_init(self._early[1], self._early[0]) is None:
            segment, rung, size_bytes = self._early
            self._early = None
            self.has_segment(segment, rung, size_bytes)

    def has_segment(self, segment: Segment, rung: int, size_bytes: int) -> None:
        """A segment is here."""
        if self.missing_init(rung, segment) is not None:
            self._early = (segment, rung, size_bytes)
            return
        is_last = self.track.is_over(segment.end_s)
        self.buffer.append(segment.end_s, rung, size_bytes=size_bytes, is_last=is_last)
        self.last_rung = rung
        self.planned_rung = self.forced_rung = None
        self.abandon_count = 0
        self._succeeded()

    def _succeeded(self) -> None:
        self.failure_count = 0
        self.wait_until_s = None
        self._failures_at = (-1, 0)

    def abandoned(self, rung: int | None) -> None:
        """The segment under way was given up, to be fetched at `rung` (None: the controller is
        asked again)."""
        self.transfer = None
        self.abandon_count += 1
        self.planned_rung, self.forced_rung = None, rung

    def failed(self, rung: int, status: int | None, now_s: float, detail: str) -> None:
        """A request failed: wait, and avoid the rung if it keeps failing or is not there. What came
        at this rung and cannot be played yet is let go: the next try may be at another one."""
        self._early = None
        self.failure_count += 1
        self.failure_detail = detail
        at, count = self._failures_at
        count = count + 1 if at == rung else 1
        self._failures_at = (rung, count)
        is_missing = status is not None and 400 <= status < 500
        if is_missing or count >= FAILURES_AT_RUNG_MAX:
            self._avoided_until_s[rung] = now_s + self._retry.avoid_s
        doubled_s = self._retry.base_s * 2.0 ** min(self.failure_count - 1, 30)
        self.wait_until_s = now_s + min(doubled_s, self._retry.wait_s_max)
        self.planned_rung = self.forced_rung = None

    def nearest_allowed(self, rung: int, now_s: float) -> int:
        """`rung`, or if it is avoided the next lower one that is not, else the next higher. Only
        those that have the due segment count."""

        def is_allowed(each: int) -> bool:
            return self._avoided_until_s.get(each, now_s) <= now_s

        lower_first = [*range(rung, -1, -1), *range(rung + 1, self.track.rung_count)]
        having = [each for each in lower_first if self.track.has_next(each, self.buffer.end_s)]
        candidates = having or lower_first
        chosen: int = next((each for each in candidates if is_allowed(each)), candidates[0])
        return chosen
