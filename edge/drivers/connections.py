"""Client connections: how many there may be, and how long a request head may take.

aiohttp's own timer watches connections without a request, but not one that sends its head a byte a
minute; and it has no bound on their number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

SERVER: Final = "nearcast"


class CappedServer(web.Server):
    """Closes connections beyond a number at once, and those whose head does not come in time."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        connections_max: int,
        head_deadline_s: float,
        **settings: Any,
    ) -> None:
        super().__init__(handler, **settings)
        self._connections_max = connections_max
        self._head_deadline_s = head_deadline_s
        self.refused_count = 0

    def __call__(self) -> web.RequestHandler:
        if len(self._connections) >= self._connections_max:
            self.refused_count += 1
            return _Refusing()  # type: ignore[return-value] # all the loop asks for is a protocol
        return _Connection(self, self._head_deadline_s, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    """Watches the time from a head's first byte, or from the connection's start, to its last."""

    __slots__ = ("_head_deadline_s", "_head_timer")

    def __init__(self, manager: web.Server, head_deadline_s: float, **settings: Any) -> None:
        super().__init__(manager, **settings)
        self._head_deadline_s = head_deadline_s
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._messages or self._request_in_progress:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None
        elif self._is_idle():
            self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What aiohttp answers itself, to heads it cannot read, names us and not its version."""
        response = super().handle_error(request, status, exc, message)
        response.headers["server"] = SERVER
        return response

    def _is_idle(self) -> bool:
        """Whether the handler waits for a head that is not complete."""
        return self._waiter is not None and not self._waiter.done() and not self._messages

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self._loop.call_later(self._head_deadline_s, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._is_idle():
            self.force_close()


class _Refusing(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()
