"""A closed-loop HTTP/1.1 load generator: n connections, each asks again once it is answered.

It parses just enough of an answer (status and Content-Length) to know where it ends, and drops
bodies as they come, so that it costs less than the servers it measures.
"""

from __future__ import annotations

import asyncio
import re

import msgspec

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)\r\n", re.IGNORECASE)


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What one run saw. `latencies_s` are of complete answers, unsorted."""

    request_count: int
    body_bytes: int
    duration_s: float
    latencies_s: tuple[float, ...]


class LoadFailed(Exception):
    """What the server answered is no measurement: an error, no Content-Length, nothing at all. The
    message completes "it answered ..."."""


class _Connection(asyncio.Protocol):
    def __init__(self, requests: tuple[bytes, ...], offset: int) -> None:
        self._requests = requests
        self._next = offset
        self._loop = asyncio.get_running_loop()
        self._head = b""
        self._body_left = 0
        self._sent_at_s = 0.0
        self._transport: asyncio.Transport | None = None
        self.body_bytes = 0
        self.latencies_s: list[float] = []
        self.failure: str | None = None
        self._is_closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        assert self._transport is not None
        self._sent_at_s = self._loop.time()
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1

    def data_received(self, data: bytes) -> None:
        if self._body_left == 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            head, data = self._head[: end + 4], self._head[end + 4 :]
            self._head = b""
            length = _CONTENT_LENGTH.search(head)
            if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 206")) or length is None:
                self._fail(head[:60].decode("latin-1"))
                return
            self._body_left = int(length[1])
        self._body_left -= len(data)
        self.body_bytes += len(data)
        if self._body_left < 0:
            self._fail("more bytes than announced")
        elif self._body_left == 0:
            self.latencies_s.append(self._loop.time() - self._sent_at_s)
            self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._is_closing:
            self.failure = "by closing the connection"

    def _fail(self, reason: str) -> None:
        self.failure = reason
        self.close()

    def close(self) -> None:
        self._is_closing = True
        if self._transport is not None:
            self._transport.abort()


async def generate(
    port: int, targets: tuple[str, ...], *, connection_count: int, duration_s: float
) -> Load:
    """Ask 127.0.0.1:`port` for `targets` in turn. Raises LoadFailed on an unusable answer."""
    loop = asyncio.get_running_loop()
    requests = tuple(
        f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode() for target in targets
    )
    started_s = loop.time()
    connections = []
    for number in range(connection_count):
        _, connection = await loop.create_connection(
            lambda offset=number: _Connection(requests, offset),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
        connections.append(connection)
    await asyncio.sleep(duration_s)
    took_s = loop.time() - started_s
    for connection in connections:
        connection.close()
        if connection.failure is not None:
            raise LoadFailed(connection.failure)
    latencies_s = tuple(latency for one in connections for latency in one.latencies_s)
    if not latencies_s:
        raise LoadFailed(f"nothing within {duration_s:g} s")
    return Load(
        request_count=len(latencies_s),
        body_bytes=sum(one.body_bytes for one in connections),
        duration_s=took_s,
        latencies_s=latencies_s,
    )
