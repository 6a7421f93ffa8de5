"""Server-sent events: what changes in the fleet, as it changes.

Each event has a number; a reader that comes back with `Last-Event-ID` gets what it missed, as long
as that is remembered, else `reset`: then it has to read everything anew. A reader that does not
keep up is disconnected rather than waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web

REMEMBERED_COUNT: Final = 2_000
WAITING_MAX: Final = 500
"""Events that one reader may be behind."""
READERS_MAX: Final = 200
WRITE_S: Final = 10.0
IDLE_S: Final = 15.0
MAY_READ_S: Final = 5.0
"""A comment is sent when nothing else was, so that proxies keep the connection open."""


class _Reader:
    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.arrived = asyncio.Event()
        self.is_dropped = False

    def put(self, event: bytes) -> None:
        if len(self.waiting) >= WAITING_MAX:
            self.is_dropped = True
        else:
            self.waiting.append(event)
        self.arrived.set()


class EventHub:
    """`publish` to all; `serve` one reader until it leaves, falls behind, or `close`."""

    def __init__(self, boot: str) -> None:
        # Numbers of another process mean nothing here.
        self._boot = boot
        self._number = 0
        self._past: deque[tuple[int, bytes]] = deque(maxlen=REMEMBERED_COUNT)
        self._readers: set[_Reader] = set()
        self._encoder = msgspec.json.Encoder()
        self._closed = False
        self.dropped_count = 0

    @property
    def reader_count(self) -> int:
        return len(self._readers)

    def publish(self, kind: str, data: Any) -> None:
        """`data`: anything msgspec encodes; JSON has no line breaks then."""
        self._number += 1
        event = self._event(kind, self._encoder.encode(data))
        self._past.append((self._number, event))
        for reader in self._readers:
            reader.put(event)

    def close(self) -> None:
        self._closed = True
        for reader in self._readers:
            reader.arrived.set()

    async def serve(
        self, request: web.BaseRequest, may_read: Callable[[], Awaitable[bool]]
    ) -> web.StreamResponse:
        """`may_read` is asked again and again: what ends a token ends its streams."""
        if len(self._readers) >= READERS_MAX:
            return web.Response(status=503, text="too many readers\n")
        reader = _Reader()
        for event in self._missed(request.headers.get("last-event-id", "")):
            reader.waiting.append(event)
        reader.arrived.set()
        response = web.StreamResponse(
            headers={
                "content-type": "text/event-stream",
                "cache-control": "no-store",
                "x-accel-buffering": "no",
                "x-content-type-options": "nosniff",
            }
        )
        self._readers.add(reader)
        try:
            await response.prepare(request)
            async with asyncio.timeout(WRITE_S):
                await response.write(b"retry: 2000\n\n")
            await self._send(reader, response, may_read)
        except (ConnectionError, TimeoutError):
            pass
        finally:
            self._readers.discard(reader)
        response.force_close()
        return response

    async def _send(
        self,
        reader: _Reader,
        response: web.StreamResponse,
        may_read: Callable[[], Awaitable[bool]],
    ) -> None:
        clock_s = asyncio.get_running_loop().time
        asked_s = clock_s()
        while not self._closed:
            try:
                async with asyncio.timeout(IDLE_S):
                    await reader.arrived.wait()
                content = b"".join(reader.waiting)
            except TimeoutError:
                content = b": nothing new\n\n"
            reader.waiting.clear()
            reader.arrived.clear()
            if clock_s() - asked_s >= MAY_READ_S:
                asked_s = clock_s()
                if not await may_read():
                    return
            async with asyncio.timeout(WRITE_S):
                await response.write(content)
            if reader.is_dropped:
                self.dropped_count += 1
                return

    def _missed(self, last: str) -> list[bytes]:
        boot, _, number = last.rpartition("-")
        if not last:
            return [self._event("hello", b"{}")]
        if boot != self._boot or not number.isdecimal() or len(number) > 18:
            return [self._event("reset", b"{}")]
        seen = int(number)
        if seen > self._number or (self._past and seen < self._past[0][0] - 1):
            return [self._event("reset", b"{}")]
        missed = [event for at, event in self._past if at > seen]
        return missed if len(missed) < WAITING_MAX else [self._event("reset", b"{}")]

    def _event(self, kind: str, data: bytes) -> bytes:
        return b"id: %s-%d\nevent: %s\ndata: %s\n\n" % (
            self._boot.encode(),
            self._number,
            kind.encode(),
            data,
        )
