"""Events on the disk until the origin has them: append-only segment files of JSON lines.

    000003-89abcdef01234567-000012.jsonl     run of the node, its id, segment

A run begins with the process. Whatever earlier runs left is sent first, and nothing is added to it.
A segment ends by size or age; it is deleted when all of it was taken. When all segments together
are over the budget the oldest that are closed go, and what was in them is counted.

Writes are not synced: they outlive the process, and a power cut may cost the last seconds. What it
leaves torn is cut off after the last whole line. A disk that is full or read-only costs the events
that it does not take; they are counted, and each later batch tries again.

Everything here blocks, and is called from one thread at a time (`driver`).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import OrderedDict
from pathlib import Path
from typing import Final

import msgspec

from edge.config import TelemetryConfig
from nearcast.telemetry import PIECE_BYTES_MAX

PIECE_BYTES: Final = 250_000
"""Read at a time, unless one line is longer; what a retry costs at most."""
_NAME: Final = re.compile(r"(\d{6,9})-([0-9a-f]{16})-(\d{6,9})\.jsonl")
_READ_BYTES: Final = 1 << 16


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Whole lines of a segment."""

    boot_id: str
    segment_no: int
    offset_bytes: int
    first_segment_no: int
    """There is none before it any more of this run."""
    body: bytes

    @property
    def end_bytes(self) -> int:
        return self.offset_bytes + len(self.body)


class _Segment:
    def __init__(self, path: Path, boot_id: str, segment_no: int, size_bytes: int) -> None:
        self.path = path
        self.boot_id = boot_id
        self.segment_no = segment_no
        self.size_bytes = size_bytes
        """Whole lines; what is behind them is not ours."""
        self.taken_bytes = 0
        self.is_closed = True


class Spool:
    """The segments of one folder. `open` it first."""

    def __init__(self, folder: Path, boot_id: str, config: TelemetryConfig) -> None:
        self._folder = folder
        self._boot_id = boot_id
        self._segment_bytes = config.segment_bytes
        self._segment_s = config.segment_s
        self._bytes_max = config.spool_bytes_max
        self._segments: OrderedDict[tuple[str, int], _Segment] = OrderedDict()  # oldest first
        self._run_no = 1
        self._last_segment_no = 0
        self._current: _Segment | None = None
        self._began_s = 0.0
        self._fd: int | None = None
        self.dropped_count = 0
        """Events that were lost: no disk for them, no room, or nobody who takes them."""
        self.failure = ""
        """What the disk said last; empty: it works."""

    @property
    def waiting_bytes(self) -> int:
        """What the origin has not taken yet."""
        return sum(one.size_bytes - one.taken_bytes for one in tuple(self._segments.values()))

    @property
    def size_bytes(self) -> int:
        return sum(one.size_bytes for one in self._segments.values())

    def open(self) -> None:
        """Find what earlier runs left. A folder that cannot be read holds nothing."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            names = sorted(os.listdir(self._folder))
        except OSError as error:
            self.failure = str(error)
            return
        for name in names:
            match = _NAME.fullmatch(name)
            if match is None:
                continue
            path = self._folder / name
            self._run_no = max(self._run_no, int(match[1]) + 1)
            try:
                size_bytes = _cut(path)
            except OSError as error:
                self.failure = str(error)
                continue
            segment = _Segment(path, match[2], int(match[3]), size_bytes)
            if size_bytes:
                self._segments[segment.boot_id, segment.segment_no] = segment
            else:
                self._delete(segment)
        self._make_room(0)

    def append(self, lines: bytes, now_s: float) -> None:
        """Write whole lines. Never raises for what a disk may do: it counts."""
        self._make_room(len(lines))
        try:
            segment = self._writable(now_s)
            assert self._fd is not None
            view = memoryview(lines)
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self.failure = str(error)
            self.dropped_count += lines.count(b"\n")
            self._mend()
            return
        self.failure = ""
        segment.size_bytes += len(lines)
        if segment.size_bytes >= self._segment_bytes:
            self._close_current()

    def next_piece(self, now_s: float) -> Piece | None:
        """What is to be sent next; None: the origin has everything."""
        if self._current is not None and now_s - self._began_s >= self._segment_s:
            self._close_current()
        for segment in tuple(self._segments.values()):
            if segment.taken_bytes >= segment.size_bytes:
                self._finish(segment)
                continue
            body = self._read(segment)
            if body:
                return Piece(
                    boot_id=segment.boot_id,
                    segment_no=segment.segment_no,
                    offset_bytes=segment.taken_bytes,
                    first_segment_no=self._first_of(segment.boot_id),
                    body=body,
                )
            self._drop(segment)  # it cannot be read, or is no lines: nobody could take it
        return None

    def taken(self, boot_id: str, segment_no: int, offset_bytes: int) -> None:
        """The origin has this segment up to there: further than was sent, or not so far."""
        segment = self._segments.get((boot_id, segment_no))
        if segment is not None:
            segment.taken_bytes = min(max(offset_bytes, 0), segment.size_bytes)
            self._finish(segment)

    def give_up(self, piece: Piece) -> None:
        """Nobody will ever take this: lose the segment rather than all that come after it."""
        segment = self._segments.get((piece.boot_id, piece.segment_no))
        if segment is not None:
            if segment is self._current:
                self._close_current()
            self._drop(segment)

    def close(self) -> None:
        self._close_current()

    # -- parts

    def _writable(self, now_s: float) -> _Segment:
        if self._current is not None and now_s - self._began_s >= self._segment_s:
            self._close_current()
        if self._current is None:
            self._last_segment_no += 1
            name = f"{self._run_no:06d}-{self._boot_id}-{self._last_segment_no:06d}.jsonl"
            path = self._folder / name
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            segment = _Segment(path, self._boot_id, self._last_segment_no, 0)
            segment.is_closed = False
            self._segments[segment.boot_id, segment.segment_no] = segment
            self._current, self._began_s = segment, now_s
        return self._current

    def _mend(self) -> None:
        """Cut off what was written of a line. The segment goes on where that can be done."""
        if self._current is None or self._fd is None:
            return
        try:
            os.ftruncate(self._fd, self._current.size_bytes)
        except OSError:
            self._close_current()

    def _close_current(self) -> None:
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.close(self._fd)
        if self._current is not None:
            self._current.is_closed = True
            self._finish(self._current)
        self._fd = self._current = None

    def _read(self, segment: _Segment) -> bytes:
        """Whole lines from where it was taken up to; nothing if there are none."""
        left_bytes = segment.size_bytes - segment.taken_bytes
        try:
            with segment.path.open("rb") as file:
                file.seek(segment.taken_bytes)
                body = file.read(min(PIECE_BYTES, left_bytes))
                end = body.rfind(b"\n") + 1
                if not end:
                    body += file.read(min(PIECE_BYTES_MAX, left_bytes) - len(body))
                    end = body.rfind(b"\n") + 1
        except OSError as error:
            self.failure = str(error)
            return b""
        return body[:end]

    def _first_of(self, boot_id: str) -> int:
        return min(segment_no for boot, segment_no in self._segments if boot == boot_id)

    def _finish(self, segment: _Segment) -> None:
        """Delete it when all of it was taken and nothing more will come."""
        if segment.is_closed and segment.taken_bytes >= segment.size_bytes:
            self._segments.pop((segment.boot_id, segment.segment_no), None)
            self._delete(segment)

    def _make_room(self, wanted_bytes: int) -> None:
        for segment in tuple(self._segments.values()):
            if self.size_bytes + wanted_bytes <= self._bytes_max:
                return
            if segment.is_closed:
                self._drop(segment)

    def _drop(self, segment: _Segment) -> None:
        """Lose what the origin has not taken of it, and count that."""
        self._segments.pop((segment.boot_id, segment.segment_no), None)
        self.dropped_count += _count_lines(segment)
        self._delete(segment)

    def _delete(self, segment: _Segment) -> None:
        try:
            segment.path.unlink(missing_ok=True)
        except OSError as error:
            self.failure = str(error)


def _count_lines(segment: _Segment) -> int:
    """How many events of it the origin has not taken; at least one where it cannot be read."""
    count = 0
    try:
        with segment.path.open("rb") as file:
            file.seek(segment.taken_bytes)
            while chunk := file.read(_READ_BYTES):
                count += chunk.count(b"\n")
    except OSError:
        return max(count, 1)
    return count


def _cut(path: Path) -> int:
    """Cut off what is behind the last whole line; the size that is left."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        at = end
        while at > 0:
            start = max(at - _READ_BYTES, 0)
            file.seek(start)
            found = file.read(at - start).rfind(b"\n")
            if found >= 0:
                at = start + found + 1
                break
            at = start
        if at < end:
            file.truncate(at)
        return at
