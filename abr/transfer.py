"""One request under way, and what it teaches the throughput meter."""

from __future__ import annotations

from abr.events import RequestKind
from abr.throughput import SAMPLE_BYTES_MIN, Mark, ThroughputMeter
from nearcast.cache_status import parse_cache_status
from nearcast.media import Segment, TrackKind

NOT_MODIFIED = 304


class Transfer:
    """From `SendRequest` to its end. `track`, `rung` and `segment` are set for media."""

    def __init__(
        self,
        request_id: int,
        kind: RequestKind,
        url: str,
        now_s: float,
        *,
        track: TrackKind | None = None,
        rung: int = 0,
        segment: Segment | None = None,
    ) -> None:
        self.request_id = request_id
        self.kind: RequestKind = kind
        self.url = url
        self.track = track
        self.rung = rung
        self.segment = segment
        self.sent_s = now_s
        self.gap_s = 0.0
        """Nothing was under way for so long before it."""
        self.progress_s = now_s
        """When something last came of it."""
        self.first_s: float | None = None
        """When the first body bytes came, `first_bytes` of them."""
        self.first_bytes = 0
        self.received_bytes = 0
        self.size_bytes: int | None = None
        self.is_hit: bool | None = None
        """None when the answer does not say."""
        self._is_from_store = False
        self._head_mark: Mark | None = None
        self._body_mark: Mark | None = None

    def started(
        self,
        meter: ThroughputMeter,
        now_s: float,
        *,
        size_bytes: int | None,
        cache_status: str | None,
    ) -> None:
        """The head is here."""
        self.progress_s = now_s
        self.size_bytes = size_bytes
        # The last entry is the cache nearest to us; those behind it are part of its backhaul.
        entries = parse_cache_status(cache_status) if cache_status else ()
        self.is_hit = entries[-1].is_hit if entries else None
        # What was revalidated is no hit, but its body did not cross the backhaul either.
        self._is_from_store = bool(
            self.is_hit or (entries and entries[-1].fwd_status == NOT_MODIFIED)
        )
        self._head_mark = meter.mark(now_s, is_hit=self._is_from_store)
        if self.track is not None:
            meter.answered(now_s - self.sent_s, is_hit=self._is_from_store)

    @property
    def is_from_store(self) -> bool:
        """Its body came from the edge's store, as far as is known."""
        return self._is_from_store

    def arrived(self, meter: ThroughputMeter, received_bytes: int, now_s: float) -> None:
        """So much of the body is here."""
        new_bytes = received_bytes - self.received_bytes
        if new_bytes <= 0:
            return
        self.progress_s = now_s
        self.received_bytes = received_bytes
        meter.count(new_bytes, is_hit=self._is_from_store)
        if self.first_s is None:
            self.first_s, self.first_bytes = now_s, received_bytes
            self._body_mark = meter.mark(now_s, is_hit=self._is_from_store)

    def finish(self, meter: ThroughputMeter, now_s: float) -> None:
        """It is over, complete or not: hand over what was measured.

        A body that came in one read has no duration of its own: a large one is timed from the head,
        a small one, which may have come together with the head, from the request.
        """
        if self.kind != "segment" or self._head_mark is None or self._body_mark is None:
            return
        if self.received_bytes > self.first_bytes and now_s > self._body_mark.at_s:
            mark = self._body_mark
        elif self.received_bytes >= SAMPLE_BYTES_MIN and now_s > self._head_mark.at_s:
            mark = self._head_mark
        else:
            mark = Mark(self.sent_s, self._head_mark.counted_bytes, self._is_from_store)
        meter.measure(mark, now_s, ttfb_s=mark.at_s - self.sent_s, gap_s=self.gap_s)
