"""The connections of a `Listener`: who each is, and which leave when there are too many."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from origin.control.crowd import makes_way

STRANGERS_MAX: Final = 256
STRANGER_IDLE_S: Final = 5.0
"""Who enrols has something to say at once."""


class Connection:
    """One client's connection, and who it is if it has shown a certificate."""

    __slots__ = (
        "edge", "is_busy", "is_stranger", "last_s", "peer", "serial", "transport", "until_wall_s",
    )  # fmt: skip

    def __init__(self, transport: asyncio.Transport, now_s: float) -> None:
        self.transport = transport
        self.last_s = now_s
        self.is_busy = False
        self.is_stranger = True
        self.peer = host_of(transport.get_extra_info("peername"))
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
Known = Callable[[Connection], bool]
"""Whether what it has shown counts."""


class Server(web.Server):
    """Knows its connections. aiohttp offers no other place to learn of their end."""

    def __init__(
        self, handle: Handler, lost: Lost | None, known: Known | None, limit: int, **settings: Any
    ) -> None:
        super().__init__(self._answer, access_log=None, **settings)
        self._handle = handle
        self._lost = lost
        self._is_known = known
        self._limit = limit
        # Where nobody is known, all are strangers.
        self._strangers_max = limit if known is None else min(limit, STRANGERS_MAX)
        self.known: dict[RequestHandler, Connection] = {}
        self.refused_count = 0

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        connection = Connection(transport, self._loop.time())
        self._look_at(connection)
        if not self._has_room(connection):
            strangers = [one for one in self.known.values() if one.is_stranger]
            leaver = makes_way(strangers, connection.peer)
            self.refused_count += 1
            # Not now: aiohttp goes on with what it begins for this connection.
            self._loop.call_soon((leaver or connection).transport.abort)
            if leaver is None:
                return
            leaver.is_stranger = False  # it counts no more, and leaves once
        self.known[handler] = connection

    def _look_at(self, connection: Connection) -> None:
        connection.is_stranger = self._is_known is None or not self._is_known(connection)

    def _has_room(self, connection: Connection) -> bool:
        if len(self.known) >= self._limit:
            return False
        if not connection.is_stranger or len(self.known) < self._strangers_max:
            return True
        return sum(one.is_stranger for one in self.known.values()) < self._strangers_max

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
        now_s = self._loop.time()
        for connection in tuple(self.known.values()):
            self._look_at(connection)
            is_short = connection.is_stranger and self._is_known is not None
            limit_s = min(idle_s, STRANGER_IDLE_S) if is_short else idle_s
            if not connection.is_busy and connection.last_s < now_s - limit_s:
                connection.transport.abort()


def host_of(address: Any) -> str:
    return str(address[0]) if isinstance(address, tuple) else ""
