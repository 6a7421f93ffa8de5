"""Open files of stored objects: what the server sends from.

A `HeldFile` is an object's place in an open file. While anybody has acquired it, its descriptor
stays open and its bytes stay where they are, also after the object is dropped. Open files are
kept for the next one who asks, the least recently used are closed when there are too many.

All of it runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from edge.drivers.file_reads import FileReads
from edge.drivers.store.types import Location

TOUCH_BYTES: Final = 512 * 1024
HELD_MAX: Final = 50_000
"""Objects remembered with their open files; one costs some 200 bytes."""


class OpenFile:
    """A body file that is open, and how many hold something in it."""

    __slots__ = ("fd", "file_no", "held", "holder_count", "is_kept", "is_removed")

    def __init__(self, file_no: int, fd: int) -> None:
        self.file_no = file_no
        self.fd = fd
        self.holder_count = 0
        self.is_kept = True
        self.is_removed = False
        self.held: dict[str, HeldFile] = {}


class HeldFile:
    """A stored body that can be sent with `os.sendfile(out, held.fd, held.start + offset, count)`.

    Valid within the loop turn that gave it, and from `acquire` to `release`. Offsets are the
    body's own: its first byte is at `start` of the file, and other bodies lie around it.
    """

    __slots__ = (
        "_files",
        "_open",
        "fd",
        "holder_count",
        "is_dropped",
        "location",
        "object_id",
        "size_bytes",
        "start",
        "warm_until_s",
    )

    def __init__(
        self, object_id: str, location: Location, open_file: OpenFile, files: HeldFiles
    ) -> None:
        self.object_id = object_id
        self.location = location
        self.fd = open_file.fd
        self.start = location.start
        self.size_bytes = location.size_bytes
        self.holder_count = 0
        self.is_dropped = False
        self.warm_until_s = 0.0
        """The sender's: until then it need not ask whether the bytes are in the page cache."""
        self._open = open_file
        self._files = files

    def acquire(self) -> None:
        self.holder_count += 1
        self._open.holder_count += 1

    def release(self) -> None:
        self.holder_count -= 1
        self._open.holder_count -= 1
        if self.holder_count == 0:
            self._files.let_go(self, self._open)

    def is_cached(self, first: int, size_bytes: int) -> bool:
        """Whether these bytes of the body can be sent without waiting for the disk."""
        return self._files.reads.is_cached(self.fd, self.start + first, size_bytes)

    def when_cached(self, first: int, size_bytes: int, callback: Callable[[], None]) -> None:
        """Read these bytes into the page cache in a thread, then call back; also when that failed:
        sending will then say why. Send without probing again."""
        self.acquire()
        fd, place = self.fd, self.start + first

        def done(touched: asyncio.Future[None]) -> None:
            touched.exception()  # seen: the sender will meet it again
            self.release()
            callback()

        self._files.reads.start(lambda: _touch(fd, place, size_bytes), done)


class HeldFiles:
    """The open files of one store, at most so many that nobody uses."""

    def __init__(
        self,
        reads: FileReads,
        open_max: int,
        *,
        on_free: Callable[[str], None],
        close_later: Callable[[Callable[[], None]], None],
    ) -> None:
        """`on_free`: nobody reads this dropped object any more. `close_later` does it in a thread:
        the last descriptor of a large deleted file gives its room back, which takes its time."""
        self.reads = reads
        self._open_max = open_max
        self._on_free = on_free
        self._close_later = close_later
        self._held: OrderedDict[str, HeldFile] = OrderedDict()
        self._files: OrderedDict[int, OpenFile] = OrderedDict()

    def __len__(self) -> int:
        return len(self._files)

    def get(self, object_id: str) -> HeldFile | None:
        """As it was held last, if its file is still open."""
        return self._held.get(object_id)

    def hold(self, object_id: str, location: Location) -> HeldFile | None:
        """None when the file is not open: `add` it."""
        held = self._held.get(object_id)
        if held is not None:
            self._files.move_to_end(location.file_no)
            return held
        open_file = self._files.get(location.file_no)
        if open_file is None:
            return None
        self._files.move_to_end(location.file_no)
        held = HeldFile(object_id, location, open_file, self)
        self._held[object_id] = held
        open_file.held[object_id] = held
        if len(self._held) > HELD_MAX:
            oldest = next(iter(self._held.values()))
            if oldest.holder_count == 0:
                self._forget(oldest)
            else:  # `drop` must find it
                self._held.move_to_end(oldest.object_id)
        return held

    def add(self, file_no: int, fd: int) -> None:
        """This body file is open now; the descriptor is ours."""
        if file_no in self._files:
            os.close(fd)
            return
        self._files[file_no] = OpenFile(file_no, fd)
        if len(self._files) > self._open_max:
            self.close_idle(len(self._files) - self._open_max)

    def close_idle(self, count: int) -> int:
        """Close so many files that nobody uses, the longest unused first; how many there were."""
        idle = [one for one in self._files.values() if one.holder_count == 0][:count]
        for open_file in idle:
            self._close(open_file)
        return len(idle)

    def drop(self, object_id: str) -> bool:
        """The object exists no more. Whether somebody still reads it; `on_free` is called then."""
        held = self._held.get(object_id)
        if held is None:
            return False
        self._forget(held)
        held.is_dropped = held.holder_count > 0
        return held.is_dropped

    def file_removed(self, file_no: int) -> None:
        """The file was deleted: keep it only for those who read it."""
        open_file = self._files.get(file_no)
        if open_file is not None:
            open_file.is_removed = True
            self._close(open_file)

    def let_go(self, held: HeldFile, open_file: OpenFile) -> None:
        """Nobody uses this object's place any more."""
        if held.is_dropped:
            self._on_free(held.object_id)
        if open_file.holder_count == 0 and not open_file.is_kept:
            self._close_fd(open_file)

    def close(self) -> None:
        for open_file in tuple(self._files.values()):
            self._close(open_file)

    def _close(self, open_file: OpenFile) -> None:
        for held in tuple(open_file.held.values()):
            self._forget(held)
        del self._files[open_file.file_no]
        open_file.is_kept = False
        if open_file.holder_count == 0:
            self._close_fd(open_file)

    def _close_fd(self, open_file: OpenFile) -> None:
        fd = open_file.fd
        if open_file.is_removed:
            self._close_later(lambda: os.close(fd))
        else:
            os.close(fd)

    def _forget(self, held: HeldFile) -> None:
        self._held.pop(held.object_id, None)
        held._open.held.pop(held.object_id, None)


def _touch(fd: int, offset: int, size_bytes: int) -> None:
    """Read and forget: afterwards the kernel has it."""
    scratch = bytearray(min(size_bytes, TOUCH_BYTES))
    while size_bytes > 0:
        count = os.preadv(fd, [memoryview(scratch)[:size_bytes]], offset)
        if count == 0:
            return
        offset += count
        size_bytes -= count
