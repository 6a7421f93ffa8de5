"""Every request gets one answer, and every answer is counted once.

A request is *open* from the moment it was fed until the driver says how it ended: first waiting,
then answered. Answers that the hit path gave by itself never get here; the core counts them from
`HitsServed`.
"""

from __future__ import annotations

from collections.abc import Callable

from cache.http.headers import Headers
from edge.effects import Effect, PassThrough, ServeFill, ServeObject, ServeText
from edge.records import Answered, AnswerSource
from edge.status import Counters
from nearcast.machine import EffectQueue
from nearcast.record import NullRecorder, Recorder


class _Open:
    __slots__ = ("headers", "is_answered", "is_prefetched", "source", "status", "url")

    def __init__(self) -> None:
        self.is_answered = False
        self.is_prefetched = False
        self.source: AnswerSource = "own"
        self.status: int | None = None
        self.url = ""
        self.headers: Headers = ()


class Ledger:
    """The open requests. Emits the answers, so that none can be given twice."""

    def __init__(
        self, *, effects: EffectQueue[Effect], counters: Counters, recorder: Recorder
    ) -> None:
        self._effects = effects
        self._counters = counters
        self._recorder = recorder
        self.is_recorded = not isinstance(recorder, NullRecorder)
        """Hits come in such numbers that a record nobody hears is not even made."""
        self._open: dict[int, _Open] = {}
        self.on_sent: Callable[[str, Headers, int, AnswerSource], None] | None = None
        """Told what clients were sent, but for hits: (url, request's headers, bytes, source)."""
        self.pass_count = 0
        """Requests being passed through."""

    def __len__(self) -> int:
        return len(self._open)

    def open(self, request_id: int, url: str, headers: Headers = ()) -> None:
        assert request_id not in self._open, f"request {request_id} was fed twice"
        self._counters.requests += 1
        entry = _Open()
        entry.url, entry.headers = url, headers
        self._open[request_id] = entry

    def is_waiting(self, request_id: int) -> bool:
        entry = self._open.get(request_id)
        return entry is not None and not entry.is_answered

    def answer(
        self,
        answer: ServeObject | ServeFill | ServeText | PassThrough,
        *,
        is_prefetched: bool = False,
    ) -> None:
        """Give the one answer of an open request."""
        entry = self._open[answer.request_id]
        assert not entry.is_answered, f"request {answer.request_id} was answered already"
        entry.is_answered = True
        entry.is_prefetched = is_prefetched
        if isinstance(answer, ServeObject):
            entry.source = "store"
            self._counters.answers_store += 1
        elif isinstance(answer, ServeFill):
            entry.source = "fill"
            self._counters.answers_stream += 1
        elif isinstance(answer, PassThrough):
            entry.source = "upstream"
            self._counters.answers_upstream += 1
            self.pass_count += 1
        else:
            self._counters.answers_own += 1
        entry.status = None if isinstance(answer, PassThrough) else answer.status
        self._effects.emit(answer)

    def close(self, request_id: int, sent_bytes: int, now_s: float) -> bool:
        """The request is over. False when it was not open."""
        entry = self._open.pop(request_id, None)
        if entry is None:
            return False
        if entry.source == "upstream":
            self.pass_count -= 1
        if entry.is_answered:
            self._count(entry.source, sent_bytes)
            if self.on_sent is not None:
                self.on_sent(entry.url, entry.headers, sent_bytes, entry.source)
            self._recorder.record(
                Answered(
                    at_s=now_s,
                    url=entry.url,
                    source=entry.source,
                    status=entry.status,
                    sent_bytes=sent_bytes,
                    is_prefetched=entry.is_prefetched,
                )
            )
        return True

    def hits(self, count: int, sent_bytes: int) -> None:
        """Answers the hit path gave; each `record_hit`, if they are recorded."""
        self._counters.requests += count
        self._counters.answers_store += count
        self._count("store", sent_bytes)

    def record_hit(self, url: str, sent_bytes: int, *, at_s: float, is_prefetched: bool) -> None:
        self._recorder.record(
            Answered(
                at_s=at_s,
                url=url,
                source="store",
                status=None,
                sent_bytes=sent_bytes,
                is_prefetched=is_prefetched,
            )
        )

    def _count(self, source: AnswerSource, sent_bytes: int) -> None:
        if source == "own":
            return
        self._counters.client_bytes += sent_bytes
        if source == "store":
            self._counters.resident_bytes_sent += sent_bytes
        elif source == "upstream":
            self._counters.pass_bytes += sent_bytes
