"""A part of a stored object on its way out, as edge.drivers.body.Body.

What is in the page cache is taken at once, the rest comes through a reader thread. A block that
was not checked since the node started, or that is in doubt, is read whole and compared with its
checksum before any byte of it is given away.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from edge.drivers.body import Buffer
from edge.drivers.file_reads import FileReads
from edge.drivers.held import HeldFile
from edge.drivers.store.checksums import BLOCK_BYTES, read_block
from nearcast.http1 import Headers

COLD_READ_BYTES: Final = 512 * 1024
DAMAGED: Final = "it does not have the checksum it was stored with"


class FileBody:
    """Holds the file until it is closed. `on_failure` is told when the disk gives other bytes than
    were stored, or none."""

    def __init__(
        self,
        held: HeldFile,
        first: int,
        size_bytes: int,
        reads: FileReads,
        on_failure: Callable[[HeldFile, str], None],
    ) -> None:
        held.acquire()
        self.failure: str | None = None
        self.trailers: Headers = ()
        self._held = held
        self._reads = reads
        self._on_failure = on_failure
        self._position = first
        self._end = first + size_bytes
        self._ready: Buffer = b""
        self._callback: Callable[[], None] | None = None
        self._is_reading = False
        self._is_closed = False

    @property
    def is_over(self) -> bool:
        return self._position >= self._end

    @property
    def is_ready(self) -> bool:
        """Whether the first bytes are checked."""
        unchecked = self._held.location.unchecked
        return bool(self._ready) or not unchecked >> (self._position // BLOCK_BYTES) & 1

    def take(self, limit_bytes: int) -> Buffer:
        if not self._ready:
            self._fetch(limit_bytes)
        piece, self._ready = self._ready[:limit_bytes], self._ready[limit_bytes:]
        self._position += len(piece)
        return piece

    def when_more(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        if self._ready or self.is_over or self.failure is not None:
            asyncio.get_running_loop().call_soon(self._wake)
        else:
            self._start()

    def close(self) -> None:
        """A read under way in its thread ends first: the number could be another file's by then."""
        if not self._is_closed:
            self._is_closed = True
            self._callback = None
            if not self._is_reading:
                self._held.release()

    def _fetch(self, limit_bytes: int) -> None:
        """What can be had without waiting."""
        if self._is_reading or self.failure is not None or self.is_over or not self.is_ready:
            return
        size_bytes = min(limit_bytes, self._end - self._position)
        if self._held.location.unchecked:  # not beyond what is known to be good
            size_bytes = min(size_bytes, BLOCK_BYTES - self._position % BLOCK_BYTES)
        place = self._held.start + self._position
        try:
            self._ready = self._reads.read_now(self._held.fd, place, size_bytes) or b""
        except OSError as error:
            self._fail(f"cannot read it: {error.strerror}")

    def _start(self) -> None:
        """Read in a thread."""
        if self._is_reading or self.failure is not None or self.is_over:
            return
        self._is_reading = True
        held, position = self._held, self._position
        if not self.is_ready:
            block = position // BLOCK_BYTES
            sums = held.location.sums
            self._reads.start(
                lambda: read_block(held.fd, held.start, held.size_bytes, sums, block),
                lambda done: self._checked(block, done),
            )
            return
        size_bytes = min(COLD_READ_BYTES, self._end - position)
        if held.location.unchecked:
            size_bytes = min(size_bytes, BLOCK_BYTES - position % BLOCK_BYTES)
        self._reads.start(
            lambda: os.pread(held.fd, size_bytes, held.start + position), self._arrived
        )

    def _checked(self, block: int, done: asyncio.Future[bytes]) -> None:
        error = done.exception()
        if error is None and done.result():
            self._held.location.unchecked &= ~(1 << block)
        self._arrived(done, first=block * BLOCK_BYTES, nothing=DAMAGED)

    def _arrived(
        self, done: asyncio.Future[bytes], first: int | None = None, nothing: str = "it is cut off"
    ) -> None:
        self._is_reading = False
        error = done.exception()
        if isinstance(error, OSError):
            self._fail(f"cannot read it: {error.strerror}")
        elif error is not None:
            self._fail("internal error")
        elif not done.result():
            self._fail(nothing)
        else:
            skipped_bytes = 0 if first is None else self._position - first
            last = skipped_bytes + self._end - self._position
            self._ready = memoryview(done.result())[skipped_bytes:last]
        if self._is_closed:
            self._held.release()
        elif error is not None and not isinstance(error, OSError):
            self._wake()
            raise error
        else:
            self._wake()

    def _fail(self, detail: str) -> None:
        self.failure = detail
        self._on_failure(self._held, detail)

    def _wake(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()
