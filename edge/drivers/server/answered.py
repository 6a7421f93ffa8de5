"""Tells the core how a request that was passed on ended, before the client hears of it.

The answer to a write makes what is stored doubtful. A client that has got it may count on that, so
where something was dropped the answer waits until the store has written it down: a node that is
killed right after must not bring it back. It waits for `RECORD_S` at most: a disk that hangs would
otherwise hold up what has long happened at upstream.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from cache.http.headers import end_to_end
from edge.drivers.bodies import Bodies
from edge.drivers.body import Buffer
from edge.drivers.server.passing import Exchange
from edge.drivers.upstream.exchange import ExchangeSink
from edge.effects import PassThrough
from edge.events import Event, FailureCause, Headers, PassAnswered
from nearcast.http1 import ResponseHead

logger = logging.getLogger(__name__)

RECORD_S: Final = 2.0


class Answered:
    """Between an exchange and `sink`, who answers the client."""

    def __init__(
        self,
        passed: PassThrough,
        sink: ExchangeSink,
        tell: Callable[[Event], None],
        bodies: Bodies,
    ) -> None:
        self.exchange: Exchange | None = None
        self._passed = passed
        self._sink = sink
        self._tell = tell
        self._bodies = bodies
        self._is_told = False
        self._held: list[Callable[[], None]] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def interim(self, status: int, headers: Headers) -> None:
        self._sink.interim(status, headers)

    def head(self, head: ResponseHead) -> None:
        self._tell_core(head.status, end_to_end(head.headers))
        self._pass(partial(self._sink.head, head))

    def data(self, data: Buffer) -> None:
        self._pass(partial(self._sink.data, data))

    def end(self, trailers: Headers) -> None:
        self.exchange = None
        self._pass(partial(self._sink.end, trailers))

    def failed(self, cause: FailureCause, detail: str) -> None:
        self.exchange = None
        self._tell_core(None, ())
        self._pass(partial(self._sink.failed, cause, detail))

    def _tell_core(self, status: int | None, headers: Headers) -> None:
        """Once. A GET makes nothing doubtful."""
        if self._is_told or self._passed.method == "GET":
            return
        self._is_told = True
        self._tell(PassAnswered(passed=self._passed, status=status, headers=headers))
        if self._passed.method != "HEAD" and not self._bodies.is_recorded:
            self._held = []
            if self.exchange is not None:
                self.exchange.pause()
            self._timer = asyncio.get_running_loop().call_later(RECORD_S, self._waited_enough)
            self._bodies.when_recorded(self._recorded)

    def _pass(self, call: Callable[[], None]) -> None:
        if self._held is None:
            call()
        else:
            self._held.append(call)

    def _waited_enough(self) -> None:
        logger.warning("answer.unrecorded waited_s=%g", RECORD_S)
        self._recorded()

    def _recorded(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        held, self._held = self._held, None
        if held is None:
            return
        if self.exchange is not None:
            self.exchange.resume()
        for call in held:
            call()
