"""One request under way, and what it teaches the throughput meter."""

from __future__ import annotations

import msgspec

from abr.answers import PARTIAL, Verdict, judge
from abr.events import RequestKind, ResponseStarted
from abr.throughput import SAMPLE_BYTES_MIN, Mark, ThroughputMeter
from nearcast.cache_status import parse_cache_status
from nearcast.media import ByteRange, Segment, TrackKind

NOT_MODIFIED = 304


RESUME_BYTES_MIN = 16 * 1024
"""With less progress than this a broken connection is not worth going on from."""


class Partial(msgspec.Struct, frozen=True, kw_only=True):
    """The beginning of a body whose connection broke: `held_bytes` of `size_bytes`, of the version
    that `validator` names."""

    url: str
    held_bytes: int
    size_bytes: int
    validator: str

    def rest_of(self, wanted: ByteRange | None) -> ByteRange:
        """What is still to be asked for."""
        first = wanted.first if wanted else 0
        return ByteRange(first + self.held_bytes, first + self.size_bytes - 1)


class Transfer:
    """From `SendRequest` to its end. `track`, `rung` and `segment` are set for media.

    `options` are all the places where the same bytes are, `sent_url` the one that was asked; `url`
    is what the manifest says, or the user.
    """

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
        options: tuple[str, ...] = (),
        sent_url: str = "",
        partial: Partial | None = None,
    ) -> None:
        self.request_id = request_id
        self.kind: RequestKind = kind
        self.url = url
        self.track = track
        self.rung = rung
        self.segment = segment
        self.options = options or (url,)
        self.sent_url = sent_url or url
        self.asked = segment.byte_range if segment else None
        """The range in the request."""
        if partial is not None:
            self.asked = partial.rest_of(self.asked)
        self.partial = partial
        """What is gone on from."""
        self._held_bytes = partial.held_bytes if partial else 0
        self.pathway = ""
        """Of `sent_url` when it was sent, in the words of content steering."""
        self.wanted_pathway = ""
        """The one that came first in the order then."""
        self.sent_s = now_s
        self.gap_s = 0.0
        """Nothing was under way for so long before it."""
        self.progress_s = now_s
        """When something last came of it."""
        self.failover_s = float("inf")
        """With nothing for so long it is tried at another host, if there is one."""
        self.first_s: float | None = None
        """When the first body bytes came, `first_bytes` of them."""
        self.first_bytes = 0
        self.received_bytes = 0
        """Of this answer."""
        self.size_bytes: int | None = None
        """Of the body of this answer, as far as it is wanted."""
        self._verdict = Verdict()
        self._validator: str | None = None
        self.is_hit: bool | None = None
        """None when the answer does not say."""
        self._is_from_store = False
        self._head_mark: Mark | None = None
        self._body_mark: Mark | None = None

    def started(self, meter: ThroughputMeter, now_s: float, event: ResponseStarted) -> Verdict:
        """The head is here."""
        self.progress_s = now_s
        self.size_bytes = event.size_bytes
        cache_status = event.cache_status
        # The last entry is the cache nearest to us; those behind it are part of its backhaul.
        entries = parse_cache_status(cache_status) if cache_status else ()
        self.is_hit = entries[-1].is_hit if entries else None
        # What was revalidated is no hit, but its body did not cross the backhaul either.
        self._is_from_store = bool(
            self.is_hit or (entries and entries[-1].fwd_status == NOT_MODIFIED)
        )
        self._head_mark = meter.mark(now_s, is_hit=self._is_from_store)
        if self.track is None:
            if self.asked is not None:  # whose range is cut out for us where the file comes whole
                is_part = event.status == PARTIAL
                came = event.content_range
                if (
                    came is not None
                    and came.first == self.asked.first
                    and came.last < self.asked.last
                ):
                    self.asked = came  # an index is looked for up to the end of the file
                self._verdict = judge(event, self.asked, self.asked) if is_part else Verdict()
                self.size_bytes = self._verdict.size_bytes
            return self._verdict
        meter.answered(now_s - self.sent_s, is_hit=self._is_from_store)
        wanted = self.segment.byte_range if self.segment else None
        self._verdict = judge(event, self.asked, wanted)
        is_rest = self.partial is not None and not self._verdict.starts_over
        if is_rest and self.partial and event.validator not in (None, self.partial.validator):
            self._verdict = Verdict(complaint="the rest is of another version of the file")
        self.size_bytes = self._verdict.size_bytes
        if self._verdict.starts_over:
            self.partial = None
        self._validator = event.validator
        return self._verdict

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

    @property
    def payload_bytes(self) -> int:
        """What is here of the segment, with what came before the connection broke."""
        stop_bytes = self._verdict.stop_bytes
        received = (
            self.received_bytes if stop_bytes is None else min(self.received_bytes, stop_bytes)
        )
        held = self.partial.held_bytes if self.partial else 0
        return held + max(0, received - self._verdict.skip_bytes)

    @property
    def has_enough(self) -> bool:
        """The rest of the body is not wanted."""
        stop_bytes = self._verdict.stop_bytes
        return stop_bytes is not None and self.received_bytes >= stop_bytes

    def ended(self) -> str:
        """What is wrong with the whole body, now that it is here; empty if nothing is."""
        if self.received_bytes == 0:
            return "the answer is empty"
        if self.size_bytes in (None, self.received_bytes) or self.has_enough:
            return ""
        return f"{self.received_bytes} of {self.size_bytes} bytes came"

    @property
    def has_advanced(self) -> bool:
        """It brought enough to go on at once, should it break. A server that starts from the first
        byte each time brings nothing new."""
        return self.payload_bytes - self._held_bytes >= RESUME_BYTES_MIN

    def broken(self) -> Partial | None:
        """The connection broke: what can be gone on from, if anything can."""
        if self._validator is None or self.segment is None or self._verdict.skip_bytes:
            return None
        if self.size_bytes is None or not RESUME_BYTES_MIN <= self.received_bytes < self.size_bytes:
            return None
        held = self.partial.held_bytes if self.partial else 0
        return Partial(
            url=self.sent_url,
            held_bytes=self.payload_bytes,
            size_bytes=held + self.size_bytes,
            validator=self._validator,
        )

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
