"""Opening a connection: addresses one after the other, a little overlapping (RFC 8305).

An address that does not answer costs a quarter of a second and not the whole time for connecting:
the next one is tried beside it, and whichever answers first is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final

from edge.drivers.upstream.connection import Connection
from edge.drivers.upstream.errors import UpstreamError
from edge.drivers.upstream.resolve import Resolver
from edge.drivers.upstream.tls import Credentials
from edge.targets import UpstreamTarget

HEAD_START_S: Final = 0.25
"""RFC 8305, 5: what an address gets before the next one is tried beside it."""
PREFETCH_BUFFER_BYTES: Final = 64 * 1024

MakeConnection = Callable[[socket.socket, bool], Connection]
"""Of a socket, and whether it is under TLS."""


class Dialer:
    """Opens connections to addresses that were checked."""

    def __init__(self, resolver: Resolver, *, timeout_s: float) -> None:
        self._resolver = resolver
        self.timeout_s = timeout_s

    async def open(
        self,
        target: UpstreamTarget,
        credentials: Credentials,
        make: MakeConnection,
        *,
        is_small: bool,
    ) -> Connection:
        """A connection that is ready to be asked. `is_small`: with small kernel buffers, so that
        not reading it stops the link. Raises UpstreamError."""
        try:
            async with asyncio.timeout(self.timeout_s):
                addresses = await self._resolver.addresses(target)
                end = await _first_to_connect(addresses, target.port, is_small=is_small)
                return await _wrapped(end, credentials, make)
        except TimeoutError as error:
            raise UpstreamError("timeout", f"no connection within {self.timeout_s:g} s") from error
        except OSError as error:  # an ssl.SSLError is one
            raise UpstreamError("refused", f"no connection: {_reason(error)}") from error


async def _wrapped(
    end: socket.socket, credentials: Credentials, make: MakeConnection
) -> Connection:
    loop = asyncio.get_running_loop()
    context = credentials.context
    try:
        if context is None:
            _, connection = await loop.create_connection(lambda: make(end, False), sock=end)
        else:
            _, connection = await loop.create_connection(
                lambda: make(end, True),
                sock=end,
                ssl=context,
                server_hostname=credentials.server_name,
            )
    except BaseException:
        end.close()
        raise
    return connection


async def _first_to_connect(
    addresses: tuple[str, ...], port: int, *, is_small: bool
) -> socket.socket:
    if len(addresses) == 1:
        return await _connect(addresses[0], port, is_small=is_small)
    waiting: set[asyncio.Task[socket.socket]] = set()
    left = list(reversed(addresses))
    failure: OSError | None = None
    try:
        while left or waiting:
            if left:
                attempt = _connect(left.pop(), port, is_small=is_small)
                waiting.add(asyncio.get_running_loop().create_task(attempt))
            done, waiting = await asyncio.wait(
                waiting,
                timeout=HEAD_START_S if left else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            winner: socket.socket | None = None
            for task in done:
                error = task.exception()
                if isinstance(error, OSError):
                    failure = error
                elif error is not None:
                    raise error
                elif winner is None:
                    winner = task.result()
                else:
                    task.result().close()
            if winner is not None:
                return winner
    finally:
        for task in waiting:
            task.cancel()
            task.add_done_callback(_close_late)
    assert failure is not None
    raise failure


async def _connect(address: str, port: int, *, is_small: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # The protocol is named: without it the loop would not turn Nagle's algorithm off.
    end = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        end.setblocking(False)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await asyncio.get_running_loop().sock_connect(end, (address, port))
        if is_small:
            # Not before: the scale of the window is agreed on with the first segment, and a small
            # buffer then would keep it small when demand joins and the buffer is widened.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PREFETCH_BUFFER_BYTES)
    except BaseException:
        end.close()
        raise
    return end


def _close_late(task: asyncio.Task[socket.socket]) -> None:
    with contextlib.suppress(asyncio.CancelledError, OSError):
        task.result().close()


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
