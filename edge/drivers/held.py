"""Open files of stored objects: what the server sends from.

A `HeldFile` is an object's place in an open file. While anybody has acquired it, its descriptor
stays open and its bytes stay where they are, also after the object is dropped.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from edge.drivers.body import Buffer
from edge.drivers.file_reads import FileReads

COLD_READ_BYTES: Final = 512 * 1024


class HeldFile:
    """A stored body that can be sent with `os.sendfile(out, held.fd, held.start + offset, count)`.

    Valid within the loop turn that gave it, and from `acquire` to `release`. Offsets are the
    body's own: its first byte is at `start` of the file, and other bodies lie around it.
    """

    __slots__ = ("_on_idle", "_reads", "fd", "holder_count", "size_bytes", "start")

    def __init__(
        self,
        fd: int,
        start: int,
        size_bytes: int,
        reads: FileReads,
        on_idle: Callable[[HeldFile], None],
    ) -> None:
        self.fd = fd
        self.start = start
        self.size_bytes = size_bytes
        self.holder_count = 0
        self._reads = reads
        self._on_idle = on_idle

    def acquire(self) -> None:
        self.holder_count += 1

    def release(self) -> None:
        self.holder_count -= 1
        if self.holder_count == 0:
            self._on_idle(self)

    def is_cached(self, first: int, size_bytes: int) -> bool:
        """Whether these bytes of the body can be sent without waiting for the disk."""
        return self._reads.is_cached(self.fd, self.start + first, size_bytes)

    def when_cached(self, first: int, size_bytes: int, callback: Callable[[], None]) -> None:
        """Read these bytes into the page cache in a thread, then call back; also when that failed:
        sending will then say why. Send without probing again."""
        self.acquire()
        fd, place = self.fd, self.start + first

        def done(touched: asyncio.Future[None]) -> None:
            touched.exception()  # seen: the sender will meet it again
            self.release()
            callback()

        self._reads.start(lambda: _touch(fd, place, size_bytes), done)


class FileBody:
    """A part of a stored object, as edge.drivers.body.Body."""

    def __init__(self, held: HeldFile, first: int, size_bytes: int, reads: FileReads) -> None:
        held.acquire()
        self._held = held
        self._reads = reads
        self._position = first
        self._end = first + size_bytes
        self._ready: Buffer = b""
        self._callback: Callable[[], None] | None = None
        self._is_reading = False
        self._is_closed = False
        self.failure: str | None = None

    @property
    def is_over(self) -> bool:
        return self._position >= self._end

    def take(self, limit_bytes: int) -> Buffer:
        if not self._ready:
            self._fetch(min(limit_bytes, self._end - self._position))
        piece, self._ready = self._ready[:limit_bytes], self._ready[limit_bytes:]
        self._position += len(piece)
        return piece

    def when_more(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        if not self._is_reading:
            asyncio.get_running_loop().call_soon(self._wake)

    def close(self) -> None:
        """A read under way in its thread ends first: the number could be another file's by then."""
        if not self._is_closed:
            self._is_closed = True
            self._callback = None
            if not self._is_reading:
                self._held.release()

    def _fetch(self, size_bytes: int) -> None:
        if self._is_reading or self.failure is not None or size_bytes <= 0:
            return
        fd, place = self._held.fd, self._held.start + self._position
        try:
            piece = self._reads.read_now(fd, place, size_bytes)
        except OSError as error:
            self.failure = f"cannot read it: {error.strerror}"
            return
        if piece:
            self._ready = piece
            return
        self._is_reading = True
        size_bytes = min(COLD_READ_BYTES, self._end - self._position)
        self._reads.start(lambda: os.pread(fd, size_bytes, place), self._arrived)

    def _arrived(self, done: asyncio.Future[bytes]) -> None:
        self._is_reading = False
        error = done.exception()
        if self._is_closed:
            self._held.release()
            return
        if isinstance(error, OSError):
            self.failure = f"cannot read it: {error.strerror}"
        elif error is not None:
            raise error
        else:
            self._ready = done.result()
            if not self._ready:
                self.failure = "the file has become shorter"
        self._wake()

    def _wake(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


def _touch(fd: int, offset: int, size_bytes: int) -> None:
    """Read and forget: afterwards the kernel has it."""
    scratch = bytearray(min(size_bytes, COLD_READ_BYTES))
    while size_bytes > 0:
        count = os.preadv(fd, [memoryview(scratch)[:size_bytes]], offset)
        if count == 0:
            return
        offset += count
        size_bytes -= count
