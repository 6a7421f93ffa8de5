"""A bounded HTTP server for ports where strangers may knock.

aiohttp waits for ever for the first request of a connection, and for the rest of a head that
comes a byte at a time. Here a connection that is not at work on a request for `idle_s` is closed,
and one too many is closed at once.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from nearcast.address import parse_address
from nearcast.errors import ConfigError
from origin.drivers.http_log import http_logger

SWEEP_S: Final = 1.0
HANDSHAKE_S: Final = 10.0
BACKLOG: Final = 1024


class Connection:
    """One client's connection, and who it is if it has shown a certificate."""

    __slots__ = ("edge", "is_busy", "last_s", "peer", "serial", "transport", "until_wall_s")

    def __init__(self, transport: asyncio.Transport, now_s: float) -> None:
        self.transport = transport
        self.last_s = now_s
        self.is_busy = False
        peer = transport.get_extra_info("peername")
        self.peer: str = peer[0] if isinstance(peer, tuple) else ""
        self.edge = ""
        self.serial = ""
        self.until_wall_s = 0.0
        certificate = transport.get_extra_info("peercert")
        if certificate:
            # Verified by the TLS stack against our authority, or there would be none.
            for part in certificate.get("subject", ()):
                for name, value in part:
                    if name == "commonName":
                        self.edge = value
            self.serial = certificate["serialNumber"].lower().lstrip("0")
            self.until_wall_s = float(ssl.cert_time_to_seconds(certificate["notAfter"]))


Handler = Callable[[web.BaseRequest, Connection], Awaitable[web.StreamResponse]]
Lost = Callable[[Connection], None]


class _Server(web.Server):
    """Knows its connections. aiohttp offers no other place to learn of their end."""

    def __init__(self, handle: Handler, lost: Lost | None, limit: int, **settings: Any) -> None:
        super().__init__(self._answer, access_log=None, **settings)
        self._handle = handle
        self._lost = lost
        self._limit = limit
        self.known: dict[RequestHandler, Connection] = {}
        self.refused_count = 0

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self.known) >= self._limit:
            self.refused_count += 1
            transport.abort()
            return
        self.known[handler] = Connection(transport, self._loop.time())

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        connection = self.known.pop(handler, None)
        if connection is not None and self._lost is not None:
            self._lost(connection)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = self.known.get(request.protocol)
        if connection is None:  # it ended while the request was being read
            return web.Response(status=503)
        connection.is_busy = True
        try:
            return await self._handle(request, connection)
        finally:
            connection.is_busy = False
            connection.last_s = self._loop.time()

    def sweep(self, idle_s: float) -> None:
        late_s = self._loop.time() - idle_s
        for connection in tuple(self.known.values()):
            if not connection.is_busy and connection.last_s < late_s:
                connection.transport.abort()


class Listener:
    """`start`, then `close`. `what` is the setting that errors name."""

    def __init__(
        self,
        handle: Handler,
        *,
        what: str,
        connections_max: int,
        idle_s: float,
        lost: Lost | None = None,
        tls: ssl.SSLContext | None = None,
        decompress: bool = True,
    ) -> None:
        self._handle = handle
        self._lost = lost
        self._what = what
        self._limit = connections_max
        self._idle_s = idle_s
        self._tls = tls
        self._decompress = decompress
        self._server: _Server | None = None
        self._socket: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def connection_count(self) -> int:
        return 0 if self._server is None else len(self._server.known)

    @property
    def refused_count(self) -> int:
        """Connections beyond the limit."""
        return 0 if self._server is None else self._server.refused_count

    async def start(self, listen: str) -> tuple[str, int]:
        """Host and port as bound. Raises ConfigError."""
        host, port = parse_address(listen, self._what)
        loop = asyncio.get_running_loop()
        self._server = _Server(
            self._handle,
            self._lost,
            self._limit,
            keepalive_timeout=self._idle_s,
            max_line_size=8190,
            max_field_size=8190,
            auto_decompress=self._decompress,
            logger=http_logger(),
        )
        secure: dict[str, Any] = (
            {} if self._tls is None
            else {"ssl": self._tls, "ssl_handshake_timeout": HANDSHAKE_S}
        )  # fmt: skip
        try:
            self._socket = await loop.create_server(
                self._server, host, port, backlog=BACKLOG, reuse_address=True, **secure
            )
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            raise ConfigError(
                f"cannot listen on {host}:{port}: {reason}; choose another for {self._what}"
            ) from error
        self._sweeper = loop.create_task(self._sweep(), name=f"{self._what}/sweep")
        bound = self._socket.sockets[0].getsockname()
        return bound[0], bound[1]

    async def close(self, drain_s: float = 1.0) -> None:
        """Take no more connections, let answers under way finish, close the rest."""
        if self._socket is not None:
            self._socket.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        if self._server is not None:
            self._server.pre_shutdown()
            await self._server.shutdown(drain_s)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            if self._server is not None:
                self._server.sweep(self._idle_s)


def shown_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
