"""The origin in the simulator: the real `OriginCore`, answering over simulated paths.

It can be made to answer badly (simulation.faults): whatever it does then, it does with the right
answer in hand, so that what reaches a client can be held against it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec
import numpy as np

from nearcast.record import Recorder
from origin.core import OriginCore
from simulation.faults import FaultSpec
from simulation.records import Answered
from simulation.scheduler import Scheduler
from simulation.transport import Answer, Exchange

SLOW_STEPS = 8
SLOW_STEP_S = 0.4
_ERROR_TEXT = b"the origin is overloaded\n"


class OriginNode:
    """Serves whatever the core answers, after a fixed processing time."""

    def __init__(
        self,
        core: OriginCore,
        scheduler: Scheduler,
        recorder: Recorder,
        *,
        answer_s: float,
        max_age_s: int | None = None,
        faults_generator: np.random.Generator | None = None,
    ) -> None:
        self.request_count = 0
        self.asked: Counter[str] = Counter()
        """Requests by target."""
        self.faults: list[FaultSpec] = []
        """Those that hold now, oldest first."""
        self._core = core
        self._scheduler = scheduler
        self._recorder = recorder
        self._answer_s = answer_s
        self._max_age_s = max_age_s
        self._generator = faults_generator
        self._sizes: dict[str, int] = {}
        self._to_drop: set[Exchange] = set()  # the connection, once they are sent
        self._misdeeds: dict[str, Callable[[Exchange, Answer], None]] = {
            "down": lambda exchange, answer: exchange.abort(),
            "hang": lambda exchange, answer: None,
            "hang_body": self._hang_body,
            "reset": lambda exchange, answer: exchange.abort(),
            "slow": self._slow,
            "truncated": self._truncated,
            "truncated_chunked": self._truncated_chunked,
            "extra_bytes": self._extra_bytes,
            "errors": self._error,
        }

    def requested(self, exchange: Exchange) -> None:
        self.request_count += 1
        self.asked[exchange.request.target] += 1
        self._scheduler.after(self._answer_s, lambda: self._answer(exchange))

    def sent(self, exchange: Exchange) -> None:
        if exchange in self._to_drop:
            self._to_drop.remove(exchange)
            exchange.drop_connection()

    def left(self, exchange: Exchange) -> None:
        self._to_drop.discard(exchange)

    def true_size_bytes(self, target: str) -> int | None:
        """Of what this path is, whole; None when there is no such thing."""
        size_bytes = self._sizes.get(target)
        if size_bytes is None:
            answer = self._core.answer("GET", target, ())
            if answer.status != 200:
                return None
            size_bytes = self._sizes[target] = answer.size_bytes
        return size_bytes

    def _answer(self, exchange: Exchange) -> None:
        if exchange.is_over:
            return
        request = exchange.request
        answer = self._core.answer(request.method, request.target, request.headers)
        text: bytes | None = answer.body
        if answer.resource is not None:
            text = answer.resource.body
            if text is not None and answer.byte_range is not None:
                text = text[answer.byte_range.first : answer.byte_range.last + 1]
        headers = answer.headers
        if self._max_age_s is not None:
            kept = (field for field in headers if field[0] != "cache-control")
            headers = (*kept, ("cache-control", f"max-age={self._max_age_s}"))
        whole = Answer(
            status=answer.status,
            headers=headers,
            body_bytes=answer.size_bytes,
            text=text if answer.send_body else None,
        )
        kind = self._drawn_fault()
        if kind is not None:
            self._misdeeds[kind](exchange, whole)
            return
        self._start(exchange, whole)
        exchange.offer(answer.size_bytes)

    def _start(self, exchange: Exchange, answer: Answer) -> None:
        self._recorder.record(
            Answered(
                at_s=self._scheduler.now_s(),
                node="origin",
                client=exchange.client_name,
                target=exchange.request.target,
                status=answer.status,
                size_bytes=answer.body_bytes,
            )
        )
        exchange.start(answer)

    # Answering badly.

    def _drawn_fault(self) -> str | None:
        """What goes wrong with this answer: of the faults that hold now the first that is drawn."""
        for fault in self.faults:
            assert self._generator is not None, "faults are drawn"
            if fault.share >= 1.0 or self._generator.random() < fault.share:
                return fault.kind
        return None

    def _part(self, answer: Answer) -> int:
        return (answer.body_bytes or 0) // 2

    def _hang_body(self, exchange: Exchange, answer: Answer) -> None:
        self._start(exchange, answer)
        exchange.offer(self._part(answer))

    def _slow(self, exchange: Exchange, answer: Answer) -> None:
        self._start(exchange, answer)
        total_bytes = answer.body_bytes or 0
        for step in range(SLOW_STEPS):
            share_bytes = total_bytes * (step + 1) // SLOW_STEPS
            self._scheduler.after(
                (step + 1) * SLOW_STEP_S,
                lambda size=share_bytes: exchange.offer(size),  # type: ignore[misc]
            )

    def _truncated(self, exchange: Exchange, answer: Answer) -> None:
        self._hang_body(exchange, answer)
        exchange.abort()

    def _truncated_chunked(self, exchange: Exchange, answer: Answer) -> None:
        headers = tuple(field for field in answer.headers if field[0] != "content-length")
        self._start(exchange, msgspec.structs.replace(answer, headers=headers, body_bytes=None))
        exchange.offer(self._part(answer))
        exchange.abort()

    def _extra_bytes(self, exchange: Exchange, answer: Answer) -> None:
        """The client takes what was announced, and must not use this connection again."""
        self._start(exchange, answer)
        self._to_drop.add(exchange)
        exchange.offer(answer.body_bytes or 0)

    def _error(self, exchange: Exchange, answer: Answer) -> None:
        size_bytes = len(_ERROR_TEXT)
        headers = (("content-length", str(size_bytes)),)
        self._start(
            exchange,
            Answer(status=503, headers=headers, body_bytes=size_bytes, text=_ERROR_TEXT),
        )
        exchange.offer(size_bytes)
