"""Bodies that are read while they grow.

One fetch, one `GrowingBody`, any number of readers, each at an offset of its own. A `Spool` carries
the same bytes to the store's thread in large batches. Nothing is written before a whole batch is
there, so a small body that is not stored never touches the disk. What is on disk and lies
further back than a window is let go from memory; a reader that is so far behind reads the file.

A body that will not be stored, because it is too large or the disk is full, and that nobody new may
read is *passing*: what all its readers have taken is let go, and fetching waits for the slowest.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from edge.drivers.disk import DiskStore, StoreError, Writer
from edge.events import StoredObject
from nearcast.errors import NearcastError

BATCH_BYTES: Final = 1 << 20
"""One write per chunk as it comes costs far more CPU than one per megabyte."""
QUEUE_BYTES_MAX: Final = 32 << 20
"""Waiting for the disk, of all fills together; above it fetching waits."""

ResultT = TypeVar("ResultT")
Buffer = bytes | memoryview


class BodyBroken(NearcastError):
    """The rest of this body will not come."""


class StoreThread:
    """The one thread that changes the store. Work is done in the order it was handed over."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edge-store")
        self._queued_bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    @property
    def queued_bytes(self) -> int:
        return self._queued_bytes

    def submit(
        self, work: Callable[..., ResultT], *arguments: Any, size_bytes: int = 0
    ) -> asyncio.Future[ResultT]:
        """Run it in the thread; `size_bytes` counts as queued until it has run."""
        self._queued_bytes += size_bytes
        if self._queued_bytes > QUEUE_BYTES_MAX:
            self._room.clear()
        future = asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)
        if size_bytes:
            future.add_done_callback(lambda _: self._done(size_bytes))
        return future

    async def room(self) -> None:
        """Return when the disk has caught up."""
        await self._room.wait()

    async def close(self) -> None:
        """Return when all that was handed over is done."""
        await asyncio.get_running_loop().run_in_executor(self._executor, lambda: None)
        self._executor.shutdown()

    def _done(self, size_bytes: int) -> None:
        self._queued_bytes -= size_bytes
        if self._queued_bytes <= QUEUE_BYTES_MAX:
            self._room.set()


class Spool:
    """Writes one body. `on_failure` is called once, on the loop, when the disk cannot take it."""

    def __init__(
        self,
        store: DiskStore,
        thread: StoreThread,
        *,
        on_written: Callable[[int], None],
        on_failure: Callable[[str], None],
    ) -> None:
        self.failure: str | None = None
        self.read_fd: int | None = None
        """The written part, for readers that lag; open from the first batch to `close`."""
        self._store = store
        self._thread = thread
        self._on_written = on_written
        self._on_failure = on_failure
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._handed_bytes = 0
        self._writer: Writer | None = None  # the store thread's alone
        self._is_over = False
        self._is_abandoned = False

    def add(self, chunk: bytes) -> None:
        if self.failure is not None:
            return
        self._batch.append(chunk)
        self._batch_bytes += len(chunk)
        if self._batch_bytes >= BATCH_BYTES:
            batch = self._take_batch()
            self._handed_bytes += len(batch)
            written = self._thread.submit(self._write, batch, size_bytes=len(batch))
            written.add_done_callback(self._written)

    def commit(self, stored: StoredObject) -> asyncio.Future[None]:
        """Make it an object. The future raises StoreError when it could not be."""
        batch = self._take_batch()
        self._is_over = True
        return self._thread.submit(self._finish, batch, stored, size_bytes=len(batch))

    def abandon(self) -> None:
        """Leave nothing on disk; a read descriptor stays usable until `close`."""
        self._batch.clear()
        if not self._is_over:
            self._is_over = self._is_abandoned = True
            self._thread.submit(self._abort)

    def close(self) -> None:
        if self.read_fd is not None:
            os.close(self.read_fd)
            self.read_fd = None

    def _take_batch(self) -> bytes:
        batch = b"".join(self._batch)
        self._batch.clear()
        self._batch_bytes = 0
        return batch

    def _write(self, batch: bytes) -> tuple[int, int | None]:
        """How much is on disk now, and a new descriptor to read it."""
        if self._is_abandoned:
            return 0, None
        read_fd = None
        if self._writer is None:
            self._writer = self._store.begin()
            read_fd = self._writer.open_for_reading()
        self._writer.write(batch)
        return self._writer.size_bytes, read_fd

    def _finish(self, batch: bytes, stored: StoredObject) -> None:
        if self.failure is not None:
            raise StoreError(self.failure)
        if self._writer is None:
            self._writer = self._store.begin()
        if batch:
            self._writer.write(batch)
        self._writer.finish(stored)

    def _abort(self) -> None:
        if self._writer is not None:
            self._writer.abort()

    def _written(self, future: asyncio.Future[tuple[int, int | None]]) -> None:
        error = future.exception()
        if error is None:
            written_bytes, read_fd = future.result()
            self.read_fd = read_fd if read_fd is not None else self.read_fd
            self._on_written(written_bytes)
        elif self.failure is None:
            self.failure = str(error)
            self._batch.clear()
            self._on_failure(self.failure)


class GrowingBody:
    """The bytes of a fetch under way, from the first to what has arrived."""

    def __init__(self, *, window_bytes: int, executor: ThreadPoolExecutor) -> None:
        self.size_bytes = 0
        self.is_complete = False
        self.is_passing = False
        self.failure: str | None = None
        self.spool: Spool | None = None
        self._window_bytes = window_bytes
        self._executor = executor
        self._chunks: list[bytes] = []
        self._offsets: list[int] = []  # where each chunk in memory starts
        self._first = 0  # what lies before this is on disk alone, or nowhere
        self._readers: set[GrowingReader] = set()
        self._waiting: list[asyncio.Future[None]] = []
        self._room = asyncio.Event()
        self._room.set()

    def append(self, chunk: bytes) -> None:
        self._offsets.append(self.size_bytes)
        self._chunks.append(chunk)
        self.size_bytes += len(chunk)
        if self.is_passing:
            self.let_go()
        elif self.spool is not None:
            self.spool.add(chunk)
        self._wake()

    def finish(self) -> None:
        self.is_complete = True
        self._wake()

    def fail(self, detail: str) -> None:
        """Readers get what is here and then BodyBroken."""
        if not self.is_complete and self.failure is None:
            self.failure = detail
            self._wake()

    def reader(self, offset: int = 0) -> GrowingReader:
        """For one client, from `offset` on."""
        reader = GrowingReader(self, offset)
        self._readers.add(reader)
        return reader

    def whole(self) -> bytes | None:
        """All bytes, if they are all in memory."""
        return b"".join(self._chunks) if self._first == 0 else None

    def trim(self, written_bytes: int) -> None:
        """The first `written_bytes` can be read from disk: let go what is out of the window."""
        self._drop_before(min(written_bytes, self.size_bytes - self._window_bytes))

    def become_passing(self) -> None:
        """From now on there is no new reader, and nothing is stored."""
        if not self.is_passing:
            self.is_passing = True
            if self.spool is not None:
                self.spool.abandon()
            self.let_go()

    async def room(self) -> None:
        """Return when more may be appended."""
        await self._room.wait()

    def let_go(self, closed: GrowingReader | None = None) -> None:
        """A reader moved on or closed."""
        if closed is not None:
            self._readers.discard(closed)
        if not self.is_passing:
            return
        slowest = min((reader.position for reader in self._readers), default=self.size_bytes)
        self._drop_before(slowest)
        if self.size_bytes - slowest < self._window_bytes:
            self._room.set()
        else:
            self._room.clear()

    async def read(self, offset: int, limit_bytes: int) -> Buffer:
        """As GrowingReader.read."""
        while offset >= self.size_bytes:
            if self.is_complete:
                return b""
            if self.failure is not None:
                raise BodyBroken(self.failure)
            await self._grown()
        if offset < self._first:
            return await self._read_part(offset, min(limit_bytes, self._first - offset))
        number = bisect.bisect_right(self._offsets, offset) - 1
        chunk, start = self._chunks[number], offset - self._offsets[number]
        if start == 0 and len(chunk) <= limit_bytes:
            return chunk
        return memoryview(chunk)[start : start + limit_bytes]

    def __del__(self) -> None:
        # The last reader may outlive the fill by far, and only it knows that it was the last.
        if self.spool is not None:
            self.spool.close()

    def _drop_before(self, offset: int) -> None:
        """Let go the chunks that end at or before `offset`."""
        count = bisect.bisect_right(self._offsets, offset) - 1
        if self._chunks and offset >= self.size_bytes:
            count = len(self._chunks)
        if count > 0:
            self._first = self._offsets[count] if count < len(self._offsets) else self.size_bytes
            del self._chunks[:count], self._offsets[:count]

    async def _grown(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            with contextlib.suppress(ValueError):  # woken: the list is a new one
                self._waiting.remove(future)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def _read_part(self, offset: int, limit_bytes: int) -> bytes:
        fd = self.spool.read_fd if self.spool is not None else None
        if fd is None:
            raise BodyBroken("its first part is no longer here")
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._executor, os.pread, fd, limit_bytes, offset)
        except OSError as error:
            raise BodyBroken(f"cannot read what was written: {error.strerror}") from error


class GrowingReader:
    """One client's way through a growing body."""

    def __init__(self, body: GrowingBody, offset: int) -> None:
        self._body = body
        self.position = offset

    @property
    def failure(self) -> str | None:
        return self._body.failure

    async def read(self, offset: int, limit_bytes: int) -> Buffer:
        """Some bytes from `offset` on, at most so many, as soon as there are any; none at the end.

        What lies before `offset` is not asked for again. Raises BodyBroken when the fetch failed.
        """
        self.position = offset
        self._body.let_go()
        return await self._body.read(offset, limit_bytes)

    def close(self) -> None:
        self._body.let_go(self)
