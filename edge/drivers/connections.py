"""Client connections: where they come in, how many there may be, how long a request head may take,
and how they end.

aiohttp's own timer watches connections without a request, but not one that sends its head a byte a
minute; and it has no bound on their number.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from edge.config import EdgeConfig
from edge.drivers.sockets import listening_socket, shown

SERVER: Final = "nearcast"
BACKLOG: Final = 1024
CANCEL_S: Final = 0.5


RequestHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Listener:
    """Takes connections and hands their requests to `handler`. `start`, then `close`, which lets
    answers under way finish."""

    def __init__(self, config: EdgeConfig, handler: RequestHandler) -> None:
        self._config = config
        self._handler = handler
        self._runner: web.ServerRunner | None = None
        self._server: CappedServer | None = None
        self._busy_count = 0
        self._is_quiet = asyncio.Event()
        self._is_quiet.set()

    @property
    def connection_count(self) -> int:
        return len(self._server.connections) if self._server is not None else 0

    @property
    def refused_count(self) -> int:
        """Connections closed at once, because there were too many."""
        return self._server.refused_count if self._server is not None else 0

    async def start(self) -> str:
        """Listen; returns `host:port` as bound. Raises ConfigError when that cannot be done."""
        settings = self._config.server
        end = listening_socket(self._config.listen, "--listen")
        self._server = CappedServer(
            self._handle,
            connections_max=settings.connections_max,
            head_deadline_s=self._config.http.header_deadline_s,
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=settings.idle_s,
            lingering_time=settings.idle_s,
            auto_decompress=False,
            max_line_size=settings.head_bytes_max,
            max_field_size=settings.head_bytes_max,
        )
        # What is left after our own wait for answers under way is ended without another one.
        self._runner = web.ServerRunner(self._server, shutdown_timeout=CANCEL_S)
        await self._runner.setup()
        await web.SockSite(self._runner, end, backlog=BACKLOG).start()
        return shown(end)

    async def stop_listening(self) -> None:
        if self._runner is not None:
            for site in tuple(self._runner.sites):
                await site.stop()

    async def close(self) -> None:
        """Finish what is being answered, within the time for draining. Closing twice is fine."""
        await self.stop_listening()
        if self._runner is None or self._server is None:
            return
        self._server.pre_shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.server.drain_s):
                await self._is_quiet.wait()
        runner, self._runner = self._runner, None
        await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self._busy_count += 1
        self._is_quiet.clear()
        try:
            return await self._handler(request)
        finally:
            self._busy_count -= 1
            if self._busy_count == 0:
                self._is_quiet.set()


class CappedServer(web.Server):
    """Closes connections beyond a number at once, and those whose head does not come in time."""

    def __init__(
        self,
        handler: RequestHandler,
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
