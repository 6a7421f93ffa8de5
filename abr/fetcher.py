"""One track's downloads: one segment at a time, in order, with patience for failures.

The init segment of a rung is asked for together with the first segment at that rung, which spares a
round trip at every start; a segment that overtakes its init waits for it. What is done about
failures is told in abr.setbacks and abr.hosts.
"""

from __future__ import annotations

from abr.buffer import TrackBuffer
from abr.config import RetryConfig
from abr.events import ResponseFailed
from abr.holes import Holes
from abr.hosts import Hosts
from abr.playback import TIME_S_TOLERANCE
from abr.setbacks import Setbacks
from abr.title import ALIGNMENT_S_TOLERANCE, Track
from abr.transfer import Partial, Transfer
from nearcast.media import Representation, Segment

LIMIT_SEGMENTS_MIN = 1.5
"""The buffer always takes this many segments, however long they are: with room for less than two,
playback would have to run dry before the next one is asked for."""


class Fetcher:
    """What one track has, what it waits for, and what it fetches next."""

    def __init__(
        self,
        track: Track,
        retry: RetryConfig,
        buffer_s_max: float,
        *,
        hosts: Hosts,
        holes: Holes,
    ) -> None:
        self.track = track
        self.buffer = TrackBuffer(holes)
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
        self.partial: Partial | None = None
        """The beginning of the segment that is due, at `planned_rung`."""
        self.setbacks = Setbacks(retry, track.rung_count, hosts.spread)
        self.skipped_count = 0
        self._skipped_in_row = 0
        self._lost = ""
        """Why it cannot go on, once what is buffered is played."""
        self._retry = retry
        self._hosts = hosts
        self._buffer_s_max = buffer_s_max
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
    def is_lost(self) -> bool:
        """Nothing more is asked for: too much of the track is missing."""
        return bool(self._lost)

    @property
    def exhaustion(self) -> str:
        """Why nothing more can be expected once playback has no data left; empty until then."""
        if self._lost or self.setbacks.round_count <= self._retry.count_max:
            return self._lost
        return f"gave up after {self.setbacks.try_count} tries: {self.setbacks.detail}"

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
        return self.setbacks.is_waiting(now_s, TIME_S_TOLERANCE)

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
        if segment.start_s > self.buffer.end_s + ALIGNMENT_S_TOLERANCE:
            self.buffer.skip(segment.start_s, is_last=False)  # no rung has what is before it
        self.buffer.append(segment.end_s, rung, size_bytes=size_bytes, is_last=is_last)
        self.last_rung = rung
        self.planned_rung = self.forced_rung = None
        self.abandon_count = self._skipped_in_row = 0
        self.partial = None
        self.setbacks.succeeded(rung)

    def abandoned(self, rung: int | None) -> None:
        """The segment under way was given up, to be fetched at `rung`, or (None) at what the
        controller then says."""
        self.transfer = None
        self.partial = None
        self.abandon_count += 1
        self.planned_rung, self.forced_rung = None, rung

    def failed(self, transfer: Transfer, failure: ResponseFailed, now_s: float) -> bool:
        """A request failed: go on from where it broke, try elsewhere, or wait. Whether the segment
        was jumped over, there being none.

        What came at this rung and cannot be played yet is let go: the next try may be at another.
        """
        rung = transfer.rung
        self._early = None
        self.planned_rung = self.forced_rung = None
        is_break = failure.status is None and not failure.is_damage
        self.partial = None
        if is_break and transfer.kind == "segment":
            self.partial = transfer.broken() or transfer.partial
        can_go_on = self.partial is not None and transfer.has_advanced
        if can_go_on and self._hosts.has_fresh((transfer.sent_url,), now_s):
            self.forced_rung = rung
            return False
        self.setbacks.failed(
            rung,
            failure,
            now_s,
            has_fresh=lambda each: self._has_fresh(each, now_s),
            not_before_s=self._hosts.not_before_s(transfer.options),
        )
        if self.partial is not None and self._hosts.has_fresh(transfer.options, now_s):
            self.forced_rung = rung  # another host has the rest of it
        return self.setbacks.is_hole and self._skip(rung)

    def go_on_with(self, track: Track) -> None:
        """Fetch what comes next from another track of this kind."""
        self.track = track
        self.setbacks = Setbacks(self._retry, track.rung_count, self._hosts.spread)

    def _has_fresh(self, rung: int, now_s: float) -> bool:
        segment = self.due_segment(rung)
        if segment is None or not self.track.has_next(rung, self.buffer.end_s):
            return False
        wanted = (segment, self.missing_init(rung, segment))
        return all(
            self._hosts.has_fresh(self._hosts.options(each.url), now_s)
            for each in wanted
            if each is not None
        )

    def _skip(self, rung: int) -> bool:
        segment = self.due_segment(rung)
        assert segment is not None
        is_last = self.track.is_over(segment.end_s)
        row = self._skipped_in_row + 1
        # A title that ends in a row of them was cut short, and ought not to pass for played.
        if (
            row > self._retry.skip_row_max
            or self.skipped_count >= self._retry.skip_count_max
            or (is_last and row > 1)
        ):
            total = self.skipped_count + 1
            self._lost = f"{total} segments are missing at every rung: {self.setbacks.detail}"
            return False
        self._skipped_in_row = row
        self.skipped_count += 1
        self.buffer.skip(segment.end_s, is_last=is_last)
        self.setbacks.skipped()
        return True

    def nearest_allowed(self, rung: int, now_s: float) -> int:
        """`rung`, or if it is avoided the next lower one that is not, else the next higher; of
        those that have the segment that is due."""
        rungs = range(self.track.rung_count)
        having = [each for each in rungs if self.track.has_next(each, self.buffer.end_s)]
        return self.setbacks.nearest_allowed(rung, having or rungs, now_s)
