"""What the server sends from, wherever the bytes are: memory, a fill under way, a file.

A body is read forward, from an offset given when it was opened. Nothing here waits: `take` gives
what is there now, and `when_more` says when to try again. All of it runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from nearcast.errors import NearcastError
from nearcast.http1 import Headers

Buffer = bytes | memoryview


class BodyMissing(NearcastError):
    """The object's body is not here; the core has been told."""


class BodyBroken(NearcastError):
    """The rest of this body will not come."""


class Body(Protocol):
    """Something to send. `close` it when done; it may be closed at any time."""

    @property
    def is_over(self) -> bool:
        """All was taken: nothing will come any more."""

    @property
    def failure(self) -> str | None:
        """Why the rest will not come. Set only once everything that did come was taken."""

    @property
    def trailers(self) -> Headers:
        """Fields that upstream sent behind the body; known once it `is_over`. They go to those who
        read the body as it comes, and are not stored: nothing says that they may be merged with
        its other fields (RFC 9110, 6.5.1)."""

    def take(self, limit_bytes: int) -> Buffer:
        """The next bytes that are here now, at most so many. Empty: none now, or `is_over`, or
        `failure`."""

    def when_more(self, callback: Callable[[], None]) -> None:
        """Call back once when there is something to take, it is over or has failed; soon, if that
        is so already. A second call replaces the first; none comes after `close`."""

    def close(self) -> None: ...


class MemoryBody:
    """A part of a body in RAM."""

    failure: str | None = None
    trailers: Headers = ()

    def __init__(self, content: Buffer, first: int = 0, size_bytes: int | None = None) -> None:
        last = None if size_bytes is None else first + size_bytes
        self._rest = memoryview(content)[first:last]

    @property
    def is_over(self) -> bool:
        return not self._rest

    def take(self, limit_bytes: int) -> Buffer:
        taken, self._rest = self._rest[:limit_bytes], self._rest[limit_bytes:]
        return taken

    def when_more(self, callback: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(callback)

    def close(self) -> None:
        pass


async def next_piece(body: Body, limit_bytes: int) -> Buffer:
    """Wait for the next bytes of a body; empty at its end. Raises BodyBroken."""
    while not (piece := body.take(limit_bytes)):
        if body.is_over:
            break
        if body.failure is not None:
            raise BodyBroken(body.failure)
        more: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        body.when_more(lambda more=more: more.done() or more.set_result(None))  # type: ignore[misc]
        await more
    return piece
