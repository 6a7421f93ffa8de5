"""Bodies that are read while they grow.

One fetch, one `GrowingBody`, any number of readers, each at an offset of its own. A `Spool` carries
the same bytes to the store's thread. What is on disk and lies further back than a window is let go
from memory; a reader that is so far behind reads the file.

A body that will not be stored, because it is too large or the disk is full, and that nobody new may
read is *passing*: what all its readers have taken is let go, and fetching waits for the slowest.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
import os
from collections.abc import Callable

import google_crc32c

from edge.drivers.body import Buffer
from edge.drivers.file_reads import FileReads
from edge.drivers.growing_room import FLOOR_BYTES, GrowingRoom
from edge.drivers.spool import Spool
from edge.drivers.store.checksums import as_bytes
from edge.drivers.store.thread import StoreThread
from edge.pacing import SPOOL_BYTES
from nearcast.http1 import Headers

LAG_READ_BYTES = 256 * 1024
"""What a reader that lags behind the window gets from the disk at a time."""
WAKES_AT_ONCE = 64
"""Readers that send what has come in one turn of the loop. A crowd of a thousand takes 15 ms,
and whoever comes meanwhile would wait for all of them."""


class GrowingBody:
    """The bytes of a fetch under way, from the first to what has arrived."""

    def __init__(
        self,
        *,
        window_bytes: int,
        reads: FileReads,
        thread: StoreThread | None = None,
        room: GrowingRoom | None = None,
    ) -> None:
        self.size_bytes = 0
        self.crc32c = 0
        """Of all bytes so far."""
        self.is_complete = False
        self.is_passing = False
        self.failure: str | None = None
        self.trailers: Headers = ()
        self.make_spool: Callable[[GrowingBody], Spool] | None = None
        """Begins to write it, once it is too large to be kept in memory until it is whole."""
        self.on_not_stored: Callable[[], None] | None = None
        """Called once when it is whole or too large to keep: there is no store for it."""
        self.on_crowded: Callable[[], None] | None = None
        """Called once when it was to be kept in memory, and there is no room for that."""
        self.spool: Spool | None = None
        self.reads = reads
        self._room = room
        self._is_counted = False
        self._window_bytes = window_bytes
        self._thread = thread
        self._chunks: list[Buffer] = []
        self._offsets: list[int] = []  # where each chunk in memory starts
        self._first = 0  # what lies before this is on disk alone, or nowhere
        self._written_bytes = 0
        self._readers: set[GrowingReader] = set()
        self._waiting: dict[GrowingReader, None] = {}  # in the order they came
        self._waking: dict[GrowingReader, None] = {}  # before anyone who waits
        self._is_waking = False
        self._has_own_room = True
        self._when_room: Callable[[], None] | None = None

    # For whoever fetches

    def append(self, chunk: Buffer) -> None:
        self._offsets.append(self.size_bytes)
        self._chunks.append(chunk)
        self.size_bytes += len(chunk)
        self.crc32c = google_crc32c.extend(self.crc32c, as_bytes(chunk))
        if self._is_counted or self.size_bytes > FLOOR_BYTES:
            self._count(len(chunk))
        if self.is_passing:
            self.let_go()
        elif self.spool is not None:
            self.spool.add(chunk)
        elif self.size_bytes > SPOOL_BYTES:
            self._outgrow()
        self._wake()

    def finish(self, trailers: Headers = ()) -> None:
        self.is_complete = True
        self.trailers = trailers
        if self.on_not_stored is not None and not self.is_passing:
            self.on_not_stored()
        self._wake()

    def fail(self, detail: str) -> None:
        """Readers get what is here and then see the failure."""
        if not self.is_complete and self.failure is None:
            self.failure = detail
            self._wake()

    @property
    def has_room(self) -> bool:
        """Whether more should be fetched now: the disk and the readers keep up."""
        return self._has_own_room and (self._thread is None or self._thread.has_room)

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call back once when there is room; soon, if there is already. A second call replaces the
        first."""
        self._when_room = callback
        if self._has_own_room:
            self._room_came()

    def become_passing(self) -> None:
        """From now on nothing is stored, and what all readers have taken is let go. Before there
        is a reader nothing is: the first is on its way."""
        if not self.is_passing:
            self.is_passing = True
            if self.spool is not None:
                self.spool.abandon()
            self.let_go()

    # For whoever sends and stores

    def reader(self, first: int = 0) -> GrowingReader:
        """For one client, from that byte on."""
        reader = GrowingReader(self, first)
        self._readers.add(reader)
        return reader

    def chunks(self) -> list[Buffer] | None:
        """All pieces, if they are all in memory."""
        return self._chunks if self._first == 0 else None

    def whole(self) -> bytes | None:
        """All bytes, if they are all in memory."""
        return b"".join(self._chunks) if self._first == 0 else None

    def trim(self, written_bytes: int) -> None:
        """The first `written_bytes` can be read from disk: let go what is out of the window."""
        self._written_bytes = written_bytes
        self.narrow()

    def narrow(self) -> None:
        """Let go what is on disk and does not fit into the window of this moment."""
        self._drop_before(min(self._written_bytes, self.size_bytes - self._window()))

    def let_go(self, closed: GrowingReader | None = None) -> None:
        """A reader moved on or closed."""
        if closed is not None:
            self._readers.discard(closed)
            self._waiting.pop(closed, None)
            self._waking.pop(closed, None)
        if not self.is_passing:
            return
        slowest = min((reader.position for reader in self._readers), default=self._first)
        self._drop_before(slowest)
        self._has_own_room = self.size_bytes - slowest < self._window()
        if self._has_own_room:
            self._room_came()

    def piece(self, offset: int, limit_bytes: int) -> Buffer | None:
        """Bytes in memory from `offset` on; None when they are on disk alone."""
        if offset < self._first:
            return None
        number = bisect.bisect_right(self._offsets, offset) - 1
        if offset >= self.size_bytes or number < 0:
            return b""
        chunk, start = self._chunks[number], offset - self._offsets[number]
        if start == 0 and len(chunk) <= limit_bytes:
            return chunk
        return memoryview(chunk)[start : start + limit_bytes]

    def written(self, offset: int, limit_bytes: int) -> tuple[int | None, int]:
        """A descriptor to read `offset` from, and how much at most; None when it is gone."""
        fd = self.spool.read_fd if self.spool is not None else None
        return fd, min(limit_bytes, self._first - offset)

    def wait(self, reader: GrowingReader) -> None:
        """Wake this reader at the next change."""
        self._waiting[reader] = None

    def __del__(self) -> None:
        # The last reader may outlive the fill by far, and only it knows that it was the last.
        if self.spool is not None:
            self.spool.close()
        if self._is_counted and self._room is not None:
            self._room.used_bytes -= self.size_bytes - self._first

    def _count(self, added_bytes: int) -> None:
        """It is large enough to be counted. Where it is all kept there may be no room for more."""
        room = self._room
        if room is None:
            return
        if not self._is_counted:
            self._is_counted = True
            added_bytes = self.size_bytes - self._first
            room.join(self)
        room.used_bytes += added_bytes
        if self.on_crowded is not None and not self.is_passing and room.is_full_of_kept:
            self.on_crowded()
            self.become_passing()

    def _window(self) -> int:
        if self._room is None or not self._is_counted:
            return self._window_bytes
        return min(self._window_bytes, self._room.share_bytes)

    def _outgrow(self) -> None:
        """It is large: begin to write it, or keep no more than its readers need."""
        if self.make_spool is not None:
            self.spool = self.make_spool(self)
            for chunk in self._chunks:
                self.spool.add(chunk)
        elif self.on_not_stored is not None and self.size_bytes > self._window():
            self.on_not_stored()
            self.become_passing()

    def _drop_before(self, offset: int) -> None:
        """Let go the chunks that end at or before `offset`."""
        count = bisect.bisect_right(self._offsets, offset) - 1
        if self._chunks and offset >= self.size_bytes:
            count = len(self._chunks)
        if count > 0:
            before = self._first
            self._first = self._offsets[count] if count < len(self._offsets) else self.size_bytes
            if self._is_counted and self._room is not None:
                self._room.used_bytes -= self._first - before
            del self._chunks[:count], self._offsets[:count]

    def _wake(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            self._waking.update(waiting)
            if not self._is_waking:
                self._wake_some()

    def _wake_some(self) -> None:
        self._is_waking = False
        for reader in tuple(itertools.islice(self._waking, WAKES_AT_ONCE)):
            if reader in self._waking:
                del self._waking[reader]
                reader.wake()
        if self._waking and not self._is_waking:
            self._is_waking = True
            asyncio.get_running_loop().call_soon(self._wake_some)

    def _room_came(self) -> None:
        if self._when_room is None:
            return
        if self._thread is not None and not self._thread.has_room:
            self._thread.when_room(self._room_came)
            return
        callback, self._when_room = self._when_room, None
        asyncio.get_running_loop().call_soon(callback)


class GrowingReader:
    """One client's way through a growing body, as edge.drivers.body.Body."""

    def __init__(self, growing: GrowingBody, first: int) -> None:
        self.growing = growing
        self.position = first
        self._callback: Callable[[], None] | None = None
        self._is_reading = False
        self._is_closed = False
        self._from_disk: Buffer = b""
        self._disk_failure: str | None = None

    @property
    def is_over(self) -> bool:
        return self.growing.is_complete and self.position >= self.growing.size_bytes

    @property
    def failure(self) -> str | None:
        if self._disk_failure is not None or self.position < self.growing.size_bytes:
            return self._disk_failure
        return self.growing.failure

    @property
    def trailers(self) -> Headers:
        return self.growing.trailers

    def take(self, limit_bytes: int) -> Buffer:
        piece: Buffer | None
        if self._from_disk:
            piece = self._from_disk[:limit_bytes]
            self._from_disk = self._from_disk[limit_bytes:]
        else:
            piece = self.growing.piece(self.position, limit_bytes)
            if piece is None:
                piece = self._lagging(limit_bytes)
        if piece:
            self.position += len(piece)
            if self.growing.is_passing:
                self.growing.let_go()
        return piece

    def when_more(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        if self._is_reading:
            return  # the thread will wake it
        if self.position < self.growing.size_bytes or self.is_over or self.failure is not None:
            asyncio.get_running_loop().call_soon(self.wake)
        else:
            self.growing.wait(self)

    def wake(self) -> None:
        callback, self._callback = self._callback, None
        if callback is None:
            return
        try:
            callback()
        except Exception as error:  # one client's trouble must not reach the others
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a reader of a growing body failed", "exception": error}
            )

    def close(self) -> None:
        self._is_closed = True
        self._callback = None
        self.growing.let_go(self)

    def _lagging(self, limit_bytes: int) -> Buffer:
        """What has left memory: from the page cache, or through a thread."""
        if self._is_reading or self._disk_failure is not None:
            return b""
        fd, size_bytes = self.growing.written(self.position, limit_bytes)
        if fd is None:
            self._disk_failure = "its first part is no longer here"
            return b""
        try:
            piece = self.growing.reads.read_now(fd, self.position, size_bytes)
        except OSError as error:
            self._disk_failure = f"cannot read what was written: {error.strerror}"
            return b""
        if piece:
            return piece
        size_bytes = self.growing.written(self.position, LAG_READ_BYTES)[1]
        position = self.position
        self._is_reading = True
        self.growing.reads.start(
            lambda: os.pread(fd, size_bytes, position), lambda done: self._read(position, done)
        )
        return b""

    def _read(self, position: int, done: asyncio.Future[bytes]) -> None:
        self._is_reading = False
        error = done.exception()
        if self._is_closed:
            return
        if isinstance(error, OSError):
            self._disk_failure = f"cannot read what was written: {error.strerror}"
        elif error is not None:
            raise error
        elif position == self.position:
            self._from_disk = done.result()
            if not self._from_disk:
                self._disk_failure = "what was written is gone"
        self.wake()
