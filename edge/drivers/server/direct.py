"""Sending past the transport: a second descriptor of a socket, and what goes out on it.

A transport would copy a large body, or has no sendfile at all. Direct sending begins only when the
transport holds nothing back, and the connection writes nothing while it lasts. Never with TLS: the
bytes would go out in the clear, into the middle of the stream.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import Callable
from typing import Final, Protocol

from edge.drivers.body import Buffer
from edge.drivers.held import HeldFile
from edge.drivers.server.sending import Done

STILL_BYTES: Final = 2 << 20
"""Sent without looking at other connections: a quarter of a millisecond. Half of it costs a sixth
more CPU at 2 MB."""
COLD_BYTES: Final = 512 * 1024
"""The same of a file that must be probed, and perhaps read, before."""
UNSENT_WIDE_BYTES: Final = 4 << 20
"""What the kernel may take ahead of a client that has been seen to read a large body. Ahead of
others it takes little (edge.drivers.sockets), or each who never reads would pin all that is sent;
but that little doubles the CPU of a 2 MB hit for those who do."""
EVENTS_MAX: Final = 256
"""Sockets told of in one turn; the others keep until the next."""
_NOTSENT_LOWAT: Final[int | None] = getattr(socket, "TCP_NOTSENT_LOWAT", None)
_MORE: Final = getattr(socket, "MSG_MORE", 0)


class Writables:
    """Waits for many sockets to take more, with one entry in the loop.

    The loop's own watchers cost six system calls for each wait. Here a socket is entered once for
    all time, edge-triggered: it is told of only after a send found it full. Without epoll the
    loop's watchers do.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._waiting: dict[int, Callable[[], None]] = {}
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        if self._epoll is not None:
            self.loop.add_reader(self._epoll.fileno(), self._ready)

    def enter(self, fd: int) -> None:
        if self._epoll is not None:
            self._epoll.register(fd, select.EPOLLOUT | select.EPOLLET)

    def leave(self, fd: int) -> None:
        """Before the descriptor is closed."""
        self.unwatch(fd)
        if self._epoll is not None:
            self._epoll.unregister(fd)

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Call back once; a send has just found it full."""
        self._waiting[fd] = callback
        if self._epoll is None:
            self.loop.add_writer(fd, self._tell, fd)

    def unwatch(self, fd: int) -> None:
        if self._waiting.pop(fd, None) is not None and self._epoll is None:
            self.loop.remove_writer(fd)

    def close(self) -> None:
        if self._epoll is not None:
            self.loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def _ready(self) -> None:
        assert self._epoll is not None
        for fd, _ in self._epoll.poll(0, EVENTS_MAX):
            self._tell(fd)

    def _tell(self, fd: int) -> None:
        callback = self._waiting.get(fd)
        if callback is not None:
            self.unwatch(fd)
            callback()


class DirectSocket:
    """A second descriptor of a connection's socket, to send past its transport.

    It is a descriptor of its own because the loop watches none that a transport owns. The
    connection closes it when it is lost.
    """

    __slots__ = ("_end", "_is_wide", "_send", "_writables", "fileno", "loop")

    def __init__(self, transport: asyncio.Transport, writables: Writables) -> None:
        end = transport.get_extra_info("socket")
        self._end = socket.socket(end.family, end.type, end.proto, os.dup(end.fileno()))
        self._send = self._end.send
        self._writables = writables
        self._is_wide = False
        self.loop = writables.loop
        self.fileno = self._end.fileno()
        writables.enter(self.fileno)

    def send(self, data: Buffer, flags: int = 0) -> int:
        return self._end.send(data, flags)

    def send_file_at_once(
        self, head: bytes, held: HeldFile, first: int, size_bytes: int
    ) -> tuple[bytes, int]:
        """As `send_at_once`, for a part of a warm file that is no more than a quantum. It is of
        this turn of the loop alone, so the file need not be acquired."""
        sent_bytes = 0
        try:
            head = head[self._send(head, _MORE) :]
            if not head:
                sent_bytes = os.sendfile(self.fileno, held.fd, held.start + first, size_bytes)
        except OSError:
            pass
        return head, sent_bytes

    def send_at_once(self, head: bytes, source: Source, size_bytes: int) -> tuple[bytes, int]:
        """Send what goes out now, at most a quantum: what is left of the head, and how much of
        the body was sent. Mostly that is all there is."""
        sent_bytes = 0
        try:
            head = head[self._end.send(head, _MORE) :]
            if not head:
                sent_bytes = source.send(self, 0, min(size_bytes, source.quantum_bytes))
        except OSError:
            pass  # a full socket is waited for; any other error comes again and is seen then
        return head, sent_bytes

    def widen(self) -> None:
        """The client reads: from now on let the kernel take much ahead of it."""
        if not self._is_wide and _NOTSENT_LOWAT is not None:
            self._is_wide = True
            self._end.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, UNSENT_WIDE_BYTES)

    def watch(self, callback: Callable[[], None]) -> None:
        """Call back once when it takes more; a send has just found it full."""
        self._writables.watch(self.fileno, callback)

    def unwatch(self) -> None:
        self._writables.unwatch(self.fileno)

    def close(self) -> None:
        self._writables.leave(self.fileno)
        self._end.close()


class Source(Protocol):
    """A body that lies still."""

    quantum_bytes: int
    """How much of it to send at a time."""

    def send(self, end: DirectSocket, offset: int, limit_bytes: int) -> int:
        """Some bytes from `offset` on, at least one. Raises BlockingIOError when the socket is
        full, OSError when client or file are gone."""

    def is_ready(self, offset: int, size_bytes: int) -> bool:
        """Whether these bytes can be sent without waiting for the disk."""

    def when_ready(self, offset: int, size_bytes: int, callback: Callable[[], None]) -> None: ...

    def release(self) -> None: ...


class MemorySource:
    """A body in RAM."""

    __slots__ = ("_view", "quantum_bytes")

    def __init__(self, content: Buffer) -> None:
        self.quantum_bytes = STILL_BYTES
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
    """A body in a file. `is_warm`: it was found in the page cache a moment ago and is not probed
    again; that costs a system call for each 128 KB."""

    __slots__ = ("_first", "_held", "_is_warm", "quantum_bytes")

    def __init__(self, held: HeldFile, first: int, *, is_warm: bool) -> None:
        held.acquire()
        self._held = held
        self._first = first
        self._is_warm = is_warm
        self.quantum_bytes = STILL_BYTES if is_warm else COLD_BYTES

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
    `sent_bytes` of the body have been sent already, if the head has.
    """

    __slots__ = (
        "_done",
        "_handle",
        "_head",
        "_is_over",
        "_is_waiting",
        "_on_wait",
        "_size_bytes",
        "_socket",
        "_source",
        "sent_bytes",
    )

    def __init__(
        self,
        end: DirectSocket,
        head: bytes,
        source: Source,
        size_bytes: int,
        *,
        sent_bytes: int,
        done: Done,
        on_wait: Callable[[bool], None],
    ) -> None:
        self._socket = end
        self._head = head
        self._source = source
        self._size_bytes = size_bytes
        self._done = done
        self._on_wait = on_wait
        self._handle: asyncio.Handle | None = None
        self._is_over = False
        self._is_waiting = False
        self.sent_bytes = sent_bytes

    def begin(self) -> None:
        self._go_on()

    def resume(self) -> None:
        """Nothing of it goes through the transport."""

    def close(self) -> None:
        if not self._is_over:
            self._let_go()

    def _has_room(self) -> None:
        self._socket.widen()
        self._go_on()

    def _go_on(self) -> None:
        """Send about a quantum, once its bytes are in memory."""
        self._handle = None
        if self._is_over:
            return
        size_bytes = min(self._source.quantum_bytes, self._size_bytes - self.sent_bytes)
        if self._source.is_ready(self.sent_bytes, size_bytes):
            self._push()
        else:
            self._source.when_ready(self.sent_bytes, size_bytes, self._push)

    def _push(self) -> None:
        if self._is_over:
            return
        try:
            if self._head:
                sent_bytes = self._socket.send(self._head, _MORE)
                self._head = self._head[sent_bytes:]
            quantum_bytes = min(self.sent_bytes + self._source.quantum_bytes, self._size_bytes)
            while not self._head and self.sent_bytes < quantum_bytes:
                self.sent_bytes += self._source.send(
                    self._socket, self.sent_bytes, quantum_bytes - self.sent_bytes
                )
        except BlockingIOError:
            self._socket.watch(self._has_room)
            if not self._is_waiting:
                self._is_waiting = True
                self._on_wait(True)
        except OSError:
            self._let_go()
            self._done(False)
        else:
            if not self._head and self.sent_bytes == self._size_bytes:
                self._let_go()
                self._done(True)
            else:
                self._handle = self._socket.loop.call_soon(self._go_on)

    def _let_go(self) -> None:
        self._is_over = True
        self._socket.unwatch()
        if self._handle is not None:
            self._handle.cancel()
        self._source.release()
