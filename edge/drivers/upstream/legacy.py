"""What the server on aiohttp needs of an exchange; goes with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from edge.drivers.body import Buffer
from edge.drivers.upstream.client import Upstream
from edge.drivers.upstream.errors import UpstreamError
from edge.events import FailureCause, Headers, PassThrough
from nearcast.http1 import Framing, ResponseHead


class LegacyUpstream(Upstream):
    """With what edge.drivers.http calls."""

    async def forward(self, effect: PassThrough, upload: AsyncIterator[bytes] | None) -> Forwarded:
        framing: Framing = 0
        if upload is not None:
            length = next((v for n, v in effect.headers if n == "content-length"), None)
            framing = int(length) if length is not None else "chunked"
        answer = Forwarded(self, effect, framing)
        try:
            await answer.start(upload)
        except BaseException:
            answer.close()
            raise
        return answer

    async def read(self, answer: Forwarded) -> bytes:
        return await answer.read()


class Forwarded:
    """One request passed on, to be read with `read`."""

    status = 0
    raw_headers: tuple[tuple[bytes, bytes], ...] = ()

    def __init__(self, upstream: Upstream, effect: PassThrough, framing: Framing) -> None:
        loop = asyncio.get_running_loop()
        self._begun: asyncio.Future[None] = loop.create_future()
        self._changed = asyncio.Event()
        self._parts: list[bytes] = []
        self._failure: UpstreamError | None = None
        self._is_over = False
        self.exchange = upstream.exchange(effect, framing, self)

    async def start(self, upload: AsyncIterator[bytes] | None) -> None:
        """Return when the head is here. Raises UpstreamError."""
        sending = asyncio.create_task(self._upload(upload)) if upload is not None else None
        try:
            await self._begun
        finally:
            if sending is not None and not self._begun.done():
                sending.cancel()

    async def read(self) -> bytes:
        """The next bytes; empty at the end. Raises UpstreamError."""
        while not self._parts and not self._is_over:
            if self._failure is not None:
                raise self._failure
            self.exchange.resume()
            self._changed.clear()
            await self._changed.wait()
        parts, self._parts = self._parts, []
        return b"".join(parts)

    @property
    def content(self) -> Forwarded:
        return self

    def at_eof(self) -> bool:
        return self._is_over and not self._parts

    def close(self) -> None:
        self.exchange.cancel()

    def release(self) -> None:
        pass

    async def _upload(self, upload: AsyncIterator[bytes]) -> None:
        async for piece in upload:
            self.exchange.send(piece)
            if not self.exchange.has_room:
                room = asyncio.Event()
                self.exchange.when_room(room.set)
                await room.wait()
        self.exchange.end_upload(())

    def interim(self, status: int, headers: Headers) -> None:
        pass

    def head(self, head: ResponseHead) -> None:
        self.status = head.status
        self.raw_headers = tuple(
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in head.headers
        )
        if not self._begun.done():
            self._begun.set_result(None)

    def data(self, data: Buffer) -> None:
        self._parts.append(bytes(data))
        self.exchange.pause()
        self._changed.set()

    def end(self, trailers: Headers) -> None:
        self._is_over = True
        self._changed.set()

    def failed(self, cause: FailureCause, detail: str) -> None:
        self._failure = UpstreamError(cause, detail)
        if not self._begun.done():
            self._begun.set_exception(self._failure)
        self._changed.set()


def lower_headers(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Fields as the core takes them; aiohttp will send them again in UTF-8."""
    return tuple((name.decode("latin-1").lower(), _text_of(value)) for name, value in raw)


def _text_of(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
