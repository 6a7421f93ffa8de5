"""A bounded HTTP server for ports where strangers may knock.

aiohttp waits for ever for the first request of a connection, and for the rest of a head that
comes a byte at a time. Here a connection that is not at work on a request for `idle_s` is closed.

Connections are taken in three steps, each with a bound: TCP connections on which a TLS handshake is
under way; strangers, who have shown nothing that counts; and all. Where there is no room somebody
leaves (`origin.control.crowd`), so that neither silence nor a crowd from one address keeps others
out, and strangers never take an edge's place. asyncio's own server tells of a connection only after
the handshake, hence the loop of our own that accepts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from typing import Any, Final

from nearcast.address import parse_address
from nearcast.errors import ConfigError
from origin.control.crowd import makes_way
from origin.drivers.control.certificate_refusals import CertificateRefusals
from origin.drivers.control.connections import Handler, Known, Lost, Server, host_of
from origin.drivers.http_log import http_logger

logger = logging.getLogger(__name__)

SWEEP_S: Final = 1.0
HANDSHAKE_S: Final = 10.0
HANDSHAKES_MAX: Final = 1024
"""Under way at a time, where there may be twice as many connections: when an origin starts, all
edges of a large fleet come within a second."""
BACKLOG: Final = 1024
ACCEPT_PAUSE_S: Final = 1.0
"""When the system has no descriptor left."""


class _Arrival:
    """A TCP connection that may become one of ours."""

    __slots__ = ("is_busy", "last_s", "peer", "task")

    def __init__(self, peer: str, now_s: float) -> None:
        self.peer = peer
        self.is_busy = False
        self.last_s = now_s
        self.task: asyncio.Task[None] | None = None


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
        known: Known | None = None,
        tls: ssl.SSLContext | None = None,
        decompress: bool = True,
    ) -> None:
        self._handle = handle
        self._lost = lost
        self._known = known
        self._what = what
        self._limit = connections_max
        self._idle_s = idle_s
        self._tls = tls
        self._decompress = decompress
        self._server: Server | None = None
        self._sockets: list[socket.socket] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._arrivals: set[_Arrival] = set()
        self._refused_early_count = 0
        self.certificates = CertificateRefusals()

    @property
    def connection_count(self) -> int:
        return 0 if self._server is None else len(self._server.known)

    @property
    def refused_count(self) -> int:
        """Connections that there was no room for, or that made room."""
        refused = 0 if self._server is None else self._server.refused_count
        return refused + self._refused_early_count

    async def start(self, listen: str) -> tuple[str, int]:
        """Host and port as bound. Raises ConfigError."""
        host, port = parse_address(listen, self._what)
        loop = asyncio.get_running_loop()
        self._server = Server(
            self._handle,
            self._lost,
            self._known,
            self._limit,
            keepalive_timeout=self._idle_s,
            max_line_size=8190,
            max_field_size=8190,
            auto_decompress=self._decompress,
            logger=http_logger(),
        )
        try:
            self._sockets = await _bound(host, port)
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            raise ConfigError(
                f"cannot listen on {host}:{port}: {reason}; choose another for {self._what}"
            ) from error
        self._tasks = [
            loop.create_task(self._sweep(), name=f"{self._what}/sweep"),
            *(
                loop.create_task(self._accept(one), name=f"{self._what}/accept")
                for one in self._sockets
            ),
        ]
        bound = self._sockets[0].getsockname()
        return bound[0], bound[1]

    async def close(self, drain_s: float = 1.0) -> None:
        """Take no more connections, let answers under way finish, close the rest."""
        arrivals = [one.task for one in self._arrivals if one.task is not None]
        for task in (*self._tasks, *arrivals):
            task.cancel()
        await asyncio.gather(*self._tasks, *arrivals, return_exceptions=True)
        for one in self._sockets:
            one.close()
        if self._server is not None:
            self._server.pre_shutdown()
            await self._server.shutdown(drain_s)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, address = await loop.sock_accept(listening)
            except OSError as error:
                logger.warning("control.accept_failed what=%s detail=%s", self._what, error)
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            arrival = _Arrival(host_of(address), loop.time())
            if len(self._arrivals) >= min(HANDSHAKES_MAX, self._limit // 2):
                self._refused_early_count += 1
                leaver = makes_way(self._arrivals, arrival.peer)
                if leaver is not None and leaver.task is not None:
                    self._arrivals.discard(leaver)
                    leaver.task.cancel()
            arrival.task = loop.create_task(self._welcome(client, arrival))
            self._arrivals.add(arrival)
            await asyncio.sleep(0)  # `sock_accept` gives nobody a turn while many wait

    async def _welcome(self, client: socket.socket, arrival: _Arrival) -> None:
        assert self._server is not None
        secure: dict[str, Any] = (
            {} if self._tls is None
            else {"ssl": self._tls, "ssl_handshake_timeout": HANDSHAKE_S}
        )  # fmt: skip
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._server, client, **secure)
        except ssl.SSLCertVerificationError as error:
            self.certificates.seen(error, arrival.peer, asyncio.get_running_loop().time())
            client.close()
        except (OSError, asyncio.CancelledError) as error:  # ssl.SSLError and timeouts are such
            logger.debug("control.no_handshake peer=%s detail=%s", arrival.peer, error)
            with contextlib.suppress(OSError):
                client.close()
        finally:
            self._arrivals.discard(arrival)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            if self._server is not None:
                self._server.sweep(self._idle_s)


async def _bound(host: str, port: int) -> list[socket.socket]:
    """Listening on every address that `host` stands for."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listening: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in sorted(set(found)):
            one = socket.socket(family, kind, protocol)
            listening.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.setblocking(False)
            one.bind(address)
            one.listen(BACKLOG)
    except OSError:
        for one in listening:
            one.close()
        raise
    return listening


def shown_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
