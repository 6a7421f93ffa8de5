"""Where connections come in, and how they end together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import TYPE_CHECKING, Final

import msgspec

from edge.config import EdgeConfig
from edge.drivers.server.connection import Connection
from edge.drivers.server.limits import ConnectionLimits
from edge.drivers.server.tls import listen_with_tls
from edge.drivers.sockets import listening_socket, shown
from nearcast.server_tls import ServerTls

if TYPE_CHECKING:
    from edge.drivers.server.server import EdgeServer

logger = logging.getLogger(__name__)

BACKLOG: Final = 1024
GRACE_S: Final = 0.1
"""For requests that are on their way when the node begins to stop: closing a connection at the very
moment a request arrives would lose it."""


class Listener:
    """Takes connections. `start`, then `close`, which lets answers under way finish."""

    def __init__(self, config: EdgeConfig, server: EdgeServer) -> None:
        self._config = config
        self._server = server
        self._limits = ConnectionLimits(config.server)
        self._connections: set[Connection] = set()
        self._end: socket.socket | None = None
        self._listening: asyncio.AbstractServer | None = None
        self._tls: ServerTls | None = None
        self._is_quiet = asyncio.Event()

    def reconfigure(self, config: EdgeConfig) -> None:
        """Other limits; where it listens, and how, stays as it is."""
        self._config = msgspec.structs.replace(self._config, server=config.server)
        self._limits.reconfigure(config.server)

    @property
    def connection_count(self) -> int:
        return len(self._connections)

    @property
    def refused_count(self) -> int:
        """Connections closed at once, because there were too many."""
        return self._limits.refused_count

    async def start(self) -> str:
        """Listen; returns `host:port` as bound. Raises ConfigError when that cannot be done."""
        config = self._config
        tls = None
        if config.tls.certificate is not None:
            tls = ServerTls(config.tls.certificate, config.tls.key, config.tls.client_ca)
        end = listening_socket(config.listen, "--listen", reuse_port=config.server.reuse_port)
        self._end = end.dup()
        loop = asyncio.get_running_loop()
        if tls is None:
            self._listening = await loop.create_server(self._new, sock=end, backlog=BACKLOG)
        else:
            self._listening = await listen_with_tls(
                self._new, tls, config.tls, sock=end, backlog=BACKLOG
            )
            self._tls = tls
            tls.watch()
        return shown(end)

    def reload_tls(self) -> None:
        """Show the certificate that the files hold now. Raises ConfigError, and goes on with the
        one it has, when they cannot be used."""
        if self._tls is not None:
            self._tls.reload()

    async def stop_listening(self) -> None:
        """Take no new connections; those that the kernel has taken already are still served."""
        listening, self._listening = self._listening, None
        end, self._end = self._end, None
        self._server.is_draining = True
        if self._tls is not None:
            self._tls.close()
        if listening is None or end is None:
            return
        with end:
            await self._take_waiting(end)
            listening.close()
        for connection in tuple(self._connections):
            connection.drain(at_once=False)

    async def _take_waiting(self, end: socket.socket) -> None:
        end.setblocking(False)
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):  # BlockingIOError: there are no more
            while True:
                client, _ = end.accept()
                client.setblocking(False)
                if self._tls is None:
                    await loop.connect_accepted_socket(self._new, client)
                else:  # a handshake could take longer than we have
                    client.close()

    async def close(self) -> None:
        """Finish what is being answered, within the time for draining. Closing twice is fine."""
        await self.stop_listening()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._config.server.drain_s):
                    await asyncio.sleep(GRACE_S)
                    for connection in tuple(self._connections):
                        connection.drain(at_once=True)
                    if self._connections:
                        self._is_quiet.clear()
                        await self._is_quiet.wait()
        for connection in tuple(self._connections):
            connection.abort()
        # Each is told that it is lost, so that the core hears the end of every request.
        while self._connections:  # noqa: ASYNC110 - at most a turn or two
            await asyncio.sleep(0)
        self._server.wheel.close()
        self._server.writables.close()

    # What connections say

    def _new(self) -> Connection:
        return Connection(self._server, is_plain=self._config.tls.certificate is None)

    def admit(self, connection: Connection) -> bool:
        if not self._limits.enter(connection.client):
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            self._limits.leave(connection.client)
            self._server.wheel.forget(connection)
            if not self._connections:
                self._is_quiet.set()
