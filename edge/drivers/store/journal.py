"""The index on disk: what the store holds, as an append-only file of checked records.

    head     magic, version, crc32c
    record   magic, kind, length, crc32c of kind, length and payload; payload
      put    msgpack of [stored, file_no, start, sums]: the object exists, or is known anew
      drop   the object's id: it exists no more

Later records win. A record counts only whole: what a kill left at the end is cut off, and behind
damage in the middle reading goes on at the next magic that begins an intact record. When more than
half of the file is of no use any more, what counts is copied to a new file that replaces it in one
rename.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import google_crc32c
import msgspec

from edge.effects import StoredObject
from nearcast.errors import ConfigError

FORMAT_VERSION: Final = 2
"""1 was a file of its own for each object."""
RECORD_BYTES_MAX: Final = 1 << 20
"""Far above any header block we accept; what claims to be longer is damage."""
FILE_MODE: Final = 0o600
"""For nobody else's eyes: URLs may be signed, and answers meant for those who may ask."""
COMPACT_BYTES_MIN: Final = 4 << 20
CHUNK_BYTES: Final = 1 << 20

PUT: Final = 1
DROP: Final = 2

_HEAD: Final = struct.Struct(">6sHI")
_HEAD_MAGIC: Final = b"NCINDX"
_FRAME: Final = struct.Struct(">4sBII")
_MAGIC: Final = b"\xf1NC\x9e"
_CHECKED: Final = struct.Struct(">BI")


class PutRecord(msgspec.Struct, frozen=True, array_like=True):
    """An object and where its body lies."""

    stored: StoredObject
    file_no: int
    start: int
    sums: tuple[int, ...]
    """One crc32c for each block of the body."""


class Frame(NamedTuple):
    """One intact record in the file."""

    kind: int
    payload: bytes
    offset: int
    size_bytes: int


class Journal:
    """One index file. Calls raise OSError as it comes, and `open` ConfigError."""

    def __init__(self, path: Path) -> None:
        self.damaged_bytes = 0
        """What `replay` had to skip in the middle."""
        self._path = path
        self._fd = -1
        self._end = 0

    @property
    def size_bytes(self) -> int:
        return self._end

    def open(self) -> None:
        """Make the file if it is not there. Raises ConfigError when a newer Nearcast wrote it."""
        self._path.with_suffix(".new").unlink(missing_ok=True)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        os.fchmod(self._fd, FILE_MODE)  # it may be of an earlier version
        head = os.pread(self._fd, _HEAD.size, 0)
        if len(head) < _HEAD.size:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, _head(), 0)
        else:
            magic, version, crc32c = _HEAD.unpack(head)
            is_intact = magic == _HEAD_MAGIC and crc32c == google_crc32c.value(head[:-4])
            if is_intact and version != FORMAT_VERSION:
                self.close()
                raise ConfigError(
                    f"the store's {self._path} has format {version}, this Nearcast reads "
                    f"{FORMAT_VERSION}: name another folder, or delete this one"
                )
        self._end = max(os.fstat(self._fd).st_size, _HEAD.size)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def replay(self) -> Iterator[Frame]:
        """Every intact record, oldest first; afterwards what follows the last one is cut off."""
        end = _HEAD.size
        skipped_bytes = 0
        for frame in _frames(self._fd):
            skipped_bytes += frame.offset - end
            end = frame.offset + frame.size_bytes
            yield frame
        self.damaged_bytes += skipped_bytes
        if self._end > end:
            os.ftruncate(self._fd, end)
        self._end = end

    def append(self, frames: Iterable[bytes]) -> int:
        """Write records at the end, all in one go; the offset of the first.

        When it fails nothing of them counts: the next records take their place.
        """
        text = b"".join(frames)
        first = self._end
        _write_all(self._fd, text, first)
        self._end += len(text)
        return first

    def is_wasteful(self, live_bytes: int) -> bool:
        return self._end > COMPACT_BYTES_MIN and live_bytes < self._end // 2

    def compact(self, live: list[tuple[int, int]]) -> list[int]:
        """Keep these records (offset and size, by offset) alone; their new offsets."""
        path = self._path.with_suffix(".new")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
        try:
            _write_all(fd, _head(), 0)
            end = _HEAD.size
            offsets = []
            for first, size_bytes in _runs(live):
                for place in range(first, first + size_bytes, CHUNK_BYTES):
                    length = min(CHUNK_BYTES, first + size_bytes - place)
                    text = os.pread(self._fd, length, place)
                    _write_all(fd, text, end + place - first)
                end += size_bytes
            place = _HEAD.size
            for _, size_bytes in live:
                offsets.append(place)
                place += size_bytes
            os.rename(path, self._path)
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        os.close(self._fd)
        self._fd = fd
        self._end = end
        return offsets


def put_frame(record: PutRecord) -> bytes:
    return _frame(PUT, msgspec.msgpack.encode(record))


def drop_frame(object_id: str) -> bytes:
    return _frame(DROP, object_id.encode())


def decode_put(payload: bytes) -> PutRecord | None:
    """None when a version with other fields wrote it."""
    try:
        return _DECODER.decode(payload)
    except msgspec.DecodeError:
        return None


_DECODER: Final = msgspec.msgpack.Decoder(PutRecord)


def _head() -> bytes:
    text = _HEAD.pack(_HEAD_MAGIC, FORMAT_VERSION, 0)[:-4]
    crc32c: int = google_crc32c.value(text)
    return text + crc32c.to_bytes(4, "big")


def _frame(kind: int, payload: bytes) -> bytes:
    return _FRAME.pack(_MAGIC, kind, len(payload), _checksum(kind, payload)) + payload


def _checksum(kind: int, payload: bytes) -> int:
    value: int = google_crc32c.extend(
        google_crc32c.value(_CHECKED.pack(kind, len(payload))), payload
    )
    return value


def _frames(fd: int) -> Iterator[Frame]:
    """The intact records of a file, whatever lies between them; holds a chunk or two at a time."""
    text, base, at, is_end = b"", _HEAD.size, 0, False
    while True:
        wanted = at + _FRAME.size
        if len(text) >= wanted and text.startswith(_MAGIC, at):
            length = _FRAME.unpack_from(text, at)[2]
            wanted += length if length <= RECORD_BYTES_MAX else 0
        if len(text) < wanted and not is_end:
            more = os.pread(fd, CHUNK_BYTES, base + len(text))
            is_end = not more
            text, base, at = text[at:] + more, base + at, 0
            continue
        frame = _intact(text, at, base)
        if frame is not None:
            yield frame
            at += frame.size_bytes
            continue
        found = text.find(_MAGIC, at + 1)
        if found >= 0:
            at = found
        elif is_end:
            return
        else:  # the magic may begin in this chunk and end in the next
            at = max(at + 1, len(text) - len(_MAGIC) + 1)


def _intact(text: bytes, at: int, base: int) -> Frame | None:
    if len(text) - at < _FRAME.size:
        return None
    magic, kind, length, crc32c = _FRAME.unpack_from(text, at)
    first = at + _FRAME.size
    payload = text[first : first + length] if length <= RECORD_BYTES_MAX else b""
    if magic != _MAGIC or len(payload) != length or crc32c != _checksum(kind, payload):
        return None
    return Frame(kind, payload, base + at, _FRAME.size + length)


def _runs(live: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Neighbours joined."""
    first = size_bytes = 0
    for offset, length in live:
        if offset != first + size_bytes:
            if size_bytes:
                yield first, size_bytes
            first, size_bytes = offset, 0
        size_bytes += length
    if size_bytes:
        yield first, size_bytes


def _write_all(fd: int, text: bytes, offset: int) -> None:
    """os.pwrite may take less than it is given, at a size limit or on a full disk."""
    view = memoryview(text)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
