"""Getting bodies to a client.

Three ways. What is small goes in one write together with its head (the connection does that by
itself). What is large and lies still, in a file or in memory, goes past the transport, by a
`DirectSender` on a second descriptor of the socket: the transport would copy it, or has no sendfile
at all. What comes in pieces, or goes over TLS, is pumped through the transport by a `BodySender`.

The two never overlap: direct sending begins only when the transport holds nothing back, and the
connection writes nothing while it lasts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from edge.drivers.body import Body, Buffer
from edge.drivers.server.upload import passable
from nearcast.http1 import format_chunk, format_last_chunk

QUANTUM_BYTES: Final = 1 << 20
"""Sent without looking at other connections."""
PIECE_BYTES: Final = 256 * 1024
"""Handed to the transport at a time."""
SMALL_BYTES: Final = 32 * 1024
"""Up to here one write with head and body costs less than going past the transport."""


UNDER_WAY: Final = -1
NOT_HERE: Final = -2
"""In place of a number of bytes sent."""


Done = Callable[[bool], None]
"""Called once when a sending ends: whether all of it went out. Not after `close`. May come before
`begin` has returned."""


class Sending(Protocol):
    """A body on its way to a client."""

    sent_bytes: int
    """Of the body, taken by the kernel or by the transport."""

    def resume(self) -> None:
        """The transport takes more."""

    def close(self) -> None:
        """The connection is gone or the answer is not wanted: let everything go."""


class Outlet(Protocol):
    """What a BodySender needs of its connection."""

    is_paused: bool
    """Whether the transport holds back more than it should."""

    def write(self, data: Buffer) -> None: ...

    def write_both(self, head: bytes, data: Buffer) -> None:
        """With one call to the system, and neither is copied."""

    def waits_for_client(self, is_waiting: bool) -> None:
        """True: the client holds up the sending, and its time runs. False: whoever gives the
        bytes does."""


class BodySender:
    """Pumps a body through the transport, as fast as both ends allow.

    `left_bytes`: how much of it is to be sent; None: all there is, in chunks if `is_chunked`, else
    the end of the connection ends it.
    """

    def __init__(
        self,
        outlet: Outlet,
        head: bytes,
        body: Body,
        *,
        left_bytes: int | None,
        is_chunked: bool,
        done: Done,
    ) -> None:
        self._outlet = outlet
        self._head = head
        self._body = body
        self._left_bytes = left_bytes
        self._is_chunked = is_chunked
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.Handle | None = None
        self._is_over = False
        self.failure: str | None = None
        self.sent_bytes = 0

    def begin(self) -> None:
        """Send the head, with what there is of the body."""
        self._go_on()

    def resume(self) -> None:
        self._go_on()

    def close(self) -> None:
        if not self._is_over:
            self._let_go()

    def _go_on(self) -> None:
        self._handle = None
        quantum_bytes = self.sent_bytes + QUANTUM_BYTES
        while not self._is_over:
            if self._outlet.is_paused:
                self._outlet.waits_for_client(True)
                return  # resume comes
            if self.sent_bytes >= quantum_bytes:
                self._handle = self._loop.call_soon(self._go_on)
                return
            if not self._step():
                return

    def _step(self) -> bool:
        """Send a piece. False when that was the end, or none is there."""
        body = self._body
        left_bytes = self._left_bytes
        limit_bytes = PIECE_BYTES if left_bytes is None else min(PIECE_BYTES, left_bytes)
        piece = body.take(limit_bytes) if limit_bytes else b""
        if piece:
            self._write(piece)
            if left_bytes is not None:
                self._left_bytes = left_bytes = left_bytes - len(piece)
        if left_bytes == 0 or (not piece and body.is_over):
            self._end(is_whole=not left_bytes)
            return False
        if piece:
            return True
        if body.failure is not None:
            self.failure = body.failure
            self._end(is_whole=False)
            return False
        self._flush_head()
        self._outlet.waits_for_client(False)
        body.when_more(self._go_on)
        return False

    def _write(self, piece: Buffer) -> None:
        self.sent_bytes += len(piece)
        data = format_chunk(piece) if self._is_chunked else piece
        if self._head and len(data) > SMALL_BYTES:
            head, self._head = self._head, b""
            self._outlet.write_both(head, data)
            return
        if self._head:
            data, self._head = b"".join((self._head, data)), b""
        self._outlet.write(data)

    def _flush_head(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._outlet.write(head)

    def _end(self, *, is_whole: bool) -> None:
        if is_whole and self._is_chunked:
            head, self._head = self._head, b""
            self._outlet.write(head + format_last_chunk(passable(self._body.trailers)))
        else:
            self._flush_head()
        self._let_go()
        self._done(is_whole)

    def _let_go(self) -> None:
        self._is_over = True
        if self._handle is not None:
            self._handle.cancel()
        self._body.close()
