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
import os
import socket
from collections.abc import Callable
from typing import Final, Protocol

from edge.drivers.body import Body, Buffer
from edge.drivers.held import HeldFile
from nearcast.http1 import format_chunk, format_last_chunk

QUANTUM_BYTES: Final = 512 * 1024
"""Sent without looking at other connections; a whole 2 MB at once makes their p99 1.6 times worse
at 0.9 times the CPU."""
PIECE_BYTES: Final = 256 * 1024
"""Handed to the transport at a time."""
SMALL_BYTES: Final = 32 * 1024
"""Up to here one write with head and body costs less than going past the transport."""

_MORE: Final = getattr(socket, "MSG_MORE", 0)

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


class DirectSocket:
    """A second descriptor of a connection's socket, to send past its transport.

    It is a descriptor of its own because the loop watches none that a transport owns. The
    connection closes it when it is lost.
    """

    __slots__ = ("_end", "_is_watched", "_loop", "fileno")

    def __init__(self, transport: asyncio.Transport) -> None:
        end = transport.get_extra_info("socket")
        self._end = socket.socket(end.family, end.type, end.proto, os.dup(end.fileno()))
        self._loop = asyncio.get_running_loop()
        self._is_watched = False
        self.fileno = self._end.fileno()

    def send(self, data: Buffer, flags: int = 0) -> int:
        return self._end.send(data, flags)

    def send_two(self, head: Buffer, body: Buffer) -> int:
        return self._end.sendmsg((head, body))

    def watch(self, callback: Callable[[], None]) -> None:
        """Call back whenever it can be written to, until `unwatch`."""
        self._loop.add_writer(self.fileno, callback)
        self._is_watched = True

    def unwatch(self) -> None:
        if self._is_watched:
            self._loop.remove_writer(self.fileno)
            self._is_watched = False

    def close(self) -> None:
        self.unwatch()
        self._end.close()


class Source(Protocol):
    """A body that lies still."""

    def send(self, end: DirectSocket, offset: int, limit_bytes: int) -> int:
        """Some bytes from `offset` on, at least one. Raises BlockingIOError when the socket is
        full, OSError when client or file are gone."""

    def is_ready(self, offset: int, size_bytes: int) -> bool:
        """Whether these bytes can be sent without waiting for the disk."""

    def when_ready(self, offset: int, size_bytes: int, callback: Callable[[], None]) -> None: ...

    def release(self) -> None: ...


class MemorySource:
    """A body in RAM."""

    __slots__ = ("_view",)

    def __init__(self, content: Buffer) -> None:
        self._view = memoryview(content)

    def send(self, end: DirectSocket, offset: int, limit_bytes: int) -> int:
        return end.send(self._view[offset : offset + limit_bytes])

    def is_ready(self, offset: int, size_bytes: int) -> bool:
        return True

    def when_ready(self, offset: int, size_bytes: int, callback: Callable[[], None]) -> None:
        callback()

    def release(self) -> None:
        self._view.release()


class FileSource:
    """A body in a file. `is_warm`: it was found in the page cache just now, so it is not probed
    again; that costs a system call for each 128 KB."""

    __slots__ = ("_first", "_held", "_is_warm")

    def __init__(self, held: HeldFile, first: int, *, is_warm: bool) -> None:
        held.acquire()
        self._held = held
        self._first = first
        self._is_warm = is_warm

    def send(self, end: DirectSocket, offset: int, limit_bytes: int) -> int:
        held = self._held
        place = held.start + self._first + offset
        sent = os.sendfile(end.fileno, held.fd, place, limit_bytes)
        if sent == 0:
            raise FileNotFoundError("the file has become shorter")
        return sent

    def is_ready(self, offset: int, size_bytes: int) -> bool:
        return self._is_warm or self._held.is_cached(self._first + offset, size_bytes)

    def when_ready(self, offset: int, size_bytes: int, callback: Callable[[], None]) -> None:
        self._held.when_cached(self._first + offset, size_bytes, callback)

    def release(self) -> None:
        self._held.release()


class DirectSender:
    """Sends a head and a body that lies still. `begin`, then `done` is called; or `close`.

    `on_wait(True)` is called when the client first holds it up: its time runs from then on.
    """

    __slots__ = (
        "_done",
        "_handle",
        "_head",
        "_is_over",
        "_is_waiting",
        "_loop",
        "_on_wait",
        "_size_bytes",
        "_socket",
        "_source",
        "sent_bytes",
    )

    def __init__(
        self,
        end: DirectSocket,
        head: Buffer,
        source: Source,
        size_bytes: int,
        *,
        done: Done,
        on_wait: Callable[[bool], None],
    ) -> None:
        self._socket = end
        self._head = head
        self._source = source
        self._size_bytes = size_bytes
        self._done = done
        self._on_wait = on_wait
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.Handle | None = None
        self._is_over = False
        self._is_waiting = False
        self.sent_bytes = 0

    def begin(self) -> None:
        self._go_on()

    def resume(self) -> None:
        """Nothing of it goes through the transport."""

    def close(self) -> None:
        if not self._is_over:
            self._let_go()

    def _go_on(self) -> None:
        """Send about a quantum, once its bytes are in memory."""
        self._handle = None
        if self._is_over:
            return
        size_bytes = min(QUANTUM_BYTES, self._size_bytes - self.sent_bytes)
        if self._source.is_ready(self.sent_bytes, size_bytes):
            self._push()
        else:
            if self._is_waiting:
                self._socket.unwatch()
                self._is_waiting = False
            self._source.when_ready(self.sent_bytes, size_bytes, self._push)

    def _push(self) -> None:
        if self._is_over:
            return
        try:
            if self._head:
                sent_bytes = self._socket.send(self._head, _MORE)
                self._head = self._head[sent_bytes:]
            quantum_bytes = min(self.sent_bytes + QUANTUM_BYTES, self._size_bytes)
            while not self._head and self.sent_bytes < quantum_bytes:
                self.sent_bytes += self._source.send(
                    self._socket, self.sent_bytes, quantum_bytes - self.sent_bytes
                )
        except BlockingIOError:
            if not self._is_waiting:
                self._is_waiting = True
                self._socket.watch(self._go_on)
                self._on_wait(True)
        except OSError:
            self._let_go()
            self._done(False)
        else:
            if not self._head and self.sent_bytes == self._size_bytes:
                self._let_go()
                self._done(True)
            elif not self._is_waiting:  # else the loop calls again by itself
                self._handle = self._loop.call_soon(self._go_on)

    def _let_go(self) -> None:
        self._is_over = True
        self._socket.unwatch()
        if self._handle is not None:
            self._handle.cancel()
        self._source.release()


class Outlet(Protocol):
    """What a BodySender needs of its connection."""

    is_paused: bool
    """Whether the transport holds back more than it should."""

    def write(self, data: Buffer) -> None: ...

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
        if self._head:
            # One segment for both; what comes after the first piece of a large body is not copied.
            data, self._head = b"".join((self._head, data)), b""
        self._outlet.write(data)

    def _flush_head(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._outlet.write(head)

    def _end(self, *, is_whole: bool) -> None:
        if is_whole and self._is_chunked:
            head, self._head = self._head, b""
            self._outlet.write(head + format_last_chunk())
        else:
            self._flush_head()
        self._let_go()
        self._done(is_whole)

    def _let_go(self) -> None:
        self._is_over = True
        if self._handle is not None:
            self._handle.cancel()
        self._body.close()
