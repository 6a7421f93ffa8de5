"""The origin in the simulator: the real `OriginCore`, answering over simulated paths."""

from __future__ import annotations

from nearcast.record import Recorder
from origin.core import OriginCore
from simulation.records import Answered
from simulation.scheduler import Scheduler
from simulation.transport import Answer, Exchange


class OriginNode:
    """Serves whatever the core answers, after a fixed processing time."""

    def __init__(
        self, core: OriginCore, scheduler: Scheduler, recorder: Recorder, *, answer_s: float
    ) -> None:
        self.request_count = 0
        self._core = core
        self._scheduler = scheduler
        self._recorder = recorder
        self._answer_s = answer_s

    def requested(self, exchange: Exchange) -> None:
        self.request_count += 1
        self._scheduler.after(self._answer_s, lambda: self._answer(exchange))

    def sent(self, exchange: Exchange) -> None:
        pass

    def left(self, exchange: Exchange) -> None:
        pass

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
        self._recorder.record(
            Answered(
                at_s=self._scheduler.now_s(),
                node="origin",
                client=exchange.client_name,
                target=request.target,
                status=answer.status,
                size_bytes=answer.size_bytes,
            )
        )
        exchange.start(
            Answer(
                status=answer.status,
                headers=answer.headers,
                body_bytes=answer.size_bytes,
                text=text if answer.send_body else None,
            )
        )
        exchange.offer(answer.size_bytes)
