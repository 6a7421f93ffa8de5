"""The files that bodies lie in.

Small bodies are appended to a shared *volume*, many of them by one system call; a large one has a
file of its own, so that it can be written while it grows. A file of its own for every small object
costs several times as much CPU (docs/adr/0007-object-store.md). Files are numbered, a number is
never used twice, and nothing is ever written over: where a body was dropped a hole is punched, and
a file without bodies is deleted.

All calls block and raise OSError; they come from the store's thread, `open_for_reading` from any.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from edge.drivers.body import Buffer

VOLUME_BYTES_MAX: Final = 64 << 20
ALIGN_BYTES: Final = 4096
"""A hole frees whole pages only."""
WRITE_BYTES: Final = 64 * 1024
"""At a time. For longer writes the kernel looks for longer runs of free memory, which in a virtual
machine the host must often find first: at 1 MB, 64 KB objects cost 150-230 us instead of 50-80."""
WRITE_BUFFERS_MAX: Final = 1000
"""Of one system call; the kernel takes 1024."""

_NAME: Final = re.compile(r"([0-9]{10})\.body")
_PADDING: Final = bytes(ALIGN_BYTES)
_KEEP_SIZE_PUNCH_HOLE: Final = 0x01 | 0x02

Place = tuple[int, int]
"""File number, and where in the file a body begins."""


class Volumes:
    """The body files in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._next_no = 1
        self._fd = -1  # of the volume that is being filled
        self._no = 0
        self._end = 0
        self._is_shared = True

    @property
    def filling_no(self) -> int:
        """The volume that more will be written to; 0 for none."""
        return self._no

    def open(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._folder.chmod(0o700)  # it may be of an earlier version
        self._is_shared = self._can_punch()

    def scan(self) -> dict[int, int]:
        """All files with their sizes. New files will have higher numbers."""
        sizes: dict[int, int] = {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if (match := _NAME.fullmatch(entry.name)) is not None:
                    sizes[int(match[1])] = entry.stat(follow_symlinks=False).st_size
        self.skip_to(max(sizes, default=0))
        return sizes

    def skip_to(self, used_no: int) -> None:
        """This number was used, if only in a record."""
        self._next_no = max(self._next_no, used_no + 1)

    def append(self, bodies: Sequence[Sequence[Buffer]]) -> list[Place]:
        """Write whole bodies, each as its pieces. Nothing of them counts when it fails."""
        places: list[Place] = []
        buffers: list[Buffer] = []
        try:
            for body in bodies:
                if self._fd < 0 or self._end >= VOLUME_BYTES_MAX or not self._is_shared:
                    self._write(buffers)
                    self._begin()
                places.append((self._no, self._end))
                size_bytes = sum(map(len, body))
                padding = -size_bytes % ALIGN_BYTES
                buffers += body
                if padding:
                    buffers.append(memoryview(_PADDING)[:padding])
                self._end += size_bytes + padding
            self._write(buffers)
        except OSError:
            self.seal()
            raise
        return places

    def begin(self) -> BodyWriter:
        """A file of its own for one body."""
        no, fd = self._create()
        return BodyWriter(no, fd, self._path(no))

    def seal(self) -> None:
        """Write no more to the volume that was being filled."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._no, self._end = -1, 0, 0

    def punch(self, no: int, ranges: Iterable[tuple[int, int]]) -> None:
        """Give the room of these bodies (first byte and end) back to the disk."""
        fd = os.open(self._path(no), os.O_RDWR | os.O_CLOEXEC)
        try:
            for first, end in _joined(sorted(ranges)):
                _punch(fd, first, end - first)
        finally:
            os.close(fd)

    def remove(self, no: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._path(no).unlink()

    def open_for_reading(self, no: int) -> int:
        return os.open(self._path(no), os.O_RDONLY | os.O_CLOEXEC)

    def _path(self, no: int) -> Path:
        return self._folder / f"{no:010d}.body"

    def _create(self) -> tuple[int, int]:
        no = self._next_no
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(self._path(no), flags, 0o600)
        self._next_no += 1
        return no, fd

    def _begin(self) -> None:
        self.seal()
        self._no, self._fd = self._create()

    def _write(self, buffers: list[Buffer]) -> None:
        """All up to the end of the volume; empties the list."""
        if not buffers:
            return
        place = self._end - sum(map(len, buffers))
        write_all(self._fd, buffers, place)
        buffers.clear()

    def _can_punch(self) -> bool:
        path = self._folder / "probe"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, _PADDING, 0)
            _punch(fd, 0, ALIGN_BYTES)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            return False
        else:
            return True
        finally:
            os.close(fd)
            path.unlink(missing_ok=True)


class BodyWriter:
    """One body in a file of its own."""

    def __init__(self, no: int, fd: int, path: Path) -> None:
        self.no = no
        self.size_bytes = 0
        self._fd = fd
        self._path = path

    def write(self, chunks: Sequence[Buffer]) -> None:
        self.size_bytes += write_all(self._fd, chunks, self.size_bytes)

    def finish(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def abort(self) -> None:
        self.finish()
        with contextlib.suppress(OSError):  # what stays behind is found at the next start
            self._path.unlink()


def write_all(fd: int, buffers: Sequence[Buffer], offset: int) -> int:
    """Write them one behind the other; how many bytes that was."""
    end = offset
    for part in _parts(buffers):
        end += _write_part(fd, part, end)
    return end - offset


def _parts(buffers: Sequence[Buffer]) -> Iterator[list[Buffer]]:
    """What is to be written at a time."""
    part: list[Buffer] = []
    room_bytes = WRITE_BYTES
    for buffer in buffers:
        view = buffer
        while len(view) >= room_bytes:
            part.append(memoryview(view)[:room_bytes])
            view = memoryview(view)[room_bytes:]
            yield part
            part, room_bytes = [], WRITE_BYTES
        if view:
            part.append(view)
            room_bytes -= len(view)
            if len(part) == WRITE_BUFFERS_MAX:
                yield part
                part, room_bytes = [], WRITE_BYTES
    if part:
        yield part


def _write_part(fd: int, part: Sequence[Buffer], offset: int) -> int:
    """pwritev may take less than it is given, at a size limit or on a full disk."""
    total = sum(map(len, part))
    written = os.pwritev(fd, part, offset)
    if written < total:
        rest = memoryview(b"".join(part))
        while written < total:
            written += os.pwrite(fd, rest[written:], offset + written)
    return total


def _joined(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """In whole pages, neighbours as one."""
    run_first = run_end = 0
    for first, end in ranges:
        end += -end % ALIGN_BYTES
        if first != run_end:
            if run_end > run_first:
                yield run_first, run_end
            run_first = first
        run_end = end
    if run_end > run_first:
        yield run_first, run_end


def _fallocate() -> Callable[[int, int, int, int], int] | None:
    try:
        function = ctypes.CDLL(None, use_errno=True).fallocate
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    call: Callable[[int, int, int, int], int] = function
    return call


_FALLOCATE: Final = _fallocate()


def _punch(fd: int, offset: int, size_bytes: int) -> None:
    if _FALLOCATE is None:
        raise OSError(errno.ENOSYS, "no fallocate")
    if size_bytes > 0 and _FALLOCATE(fd, _KEEP_SIZE_PUNCH_HOLE, offset, size_bytes) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
