"""The object store: bodies and what is known of them, in a folder that only this node uses.

    <folder>/nearcast-store          marks the folder as ours; locked while a node uses it
    <folder>/index.journal           which objects there are (edge.drivers.store.journal)
    <folder>/bodies/<number>.body    their bytes (edge.drivers.store.volumes)

An object exists exactly if its last record is intact and its file reaches to its end. Bodies are
written first and records after them, so a process that is killed between any two steps leaves an
object whole or not at all. What no record speaks of is cleared away by `sweep` after the start.

Changes are collected and carried out by `flush`: one write for the bodies of many objects, one for
their records. Nothing is flushed to the device: fdatasync costs 20-40 % of a fill's CPU and 10 ms
for 2 MB, and what a power cut damages is found by checksum, dropped and fetched again.

All calls block. One thread makes them; `location` and `open_file` may be called from any.
"""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from edge.drivers.body import Buffer
from edge.drivers.store.checksums import BLOCK_BYTES, block_count, sums_of
from edge.drivers.store.folder import StoreFolder
from edge.drivers.store.journal import (
    DROP,
    PUT,
    Frame,
    Journal,
    PutRecord,
    decode_put,
    drop_frame,
    put_frame,
)
from edge.drivers.store.types import Flushed, Location, failure_of, translated
from edge.drivers.store.volumes import ALIGN_BYTES, BodyWriter, Volumes
from edge.effects import StoredObject
from nearcast.errors import ConfigError

logger = logging.getLogger(__name__)


class _Put(msgspec.Struct):
    stored: StoredObject
    sums: tuple[int, ...]
    chunks: Sequence[Buffer] | None
    """None: the body is written."""
    place: tuple[int, int] = (0, 0)


class DiskStore:
    """The store in one folder. `open` first, `close` last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._folder = StoreFolder(folder)
        self.damaged_count = 0
        """Objects that `scan` found damaged."""
        self._journal = Journal(folder / "index.journal")
        self._volumes = Volumes(folder / "bodies")
        self._locations: dict[str, Location] = {}
        self._live: dict[int, int] = {}  # bodies in each file, dead ones that are still read too
        self._live_record_bytes = 0
        self._staged: list[_Put | StoredObject | str] = []  # put, update, drop
        self._freed: list[Location] = []
        self._unread: list[str] = []
        self._dead: dict[str, Location] = {}
        self._swept: dict[int, list[tuple[int, int]]] = {}

    def __len__(self) -> int:
        return len(self._locations)

    # Opening

    def open(self) -> None:
        """Make the folder ours. Raises ConfigError when it cannot be: in use by another node, not
        writable, full of somebody else's files, or written by a newer Nearcast."""
        try:
            self._folder.open()
            self._volumes.open()
            self._journal.open()
        except OSError as error:
            self.close()
            raise ConfigError(
                f"cannot use {self.folder} as store: {error.strerror} ({error.filename})"
            ) from error
        except ConfigError:
            self.close()
            raise

    def clear_trash(self) -> None:
        """Delete what an older layout left; call it from any thread."""
        self._folder.clear_trash()

    def close(self) -> None:
        """Let another node have the folder. What was not flushed is lost."""
        self._volumes.seal()
        self._journal.close()
        for table in (self._locations, self._live, self._dead, self._swept):
            table.clear()
        for changes in (self._staged, self._freed, self._unread):
            changes.clear()
        self._live_record_bytes = 0
        self._folder.close()

    def scan(self) -> tuple[StoredObject, ...]:
        """Every whole object, by time received and id; call it once, after `open`.

        Reads no bodies: each block is unchecked until somebody checks it. Raises StoreError when
        the folder cannot be read.
        """
        found: dict[str, tuple[Frame, PutRecord]] = {}
        with translated("read the index of", self.folder), _no_garbage_collection():
            sizes = self._volumes.scan()
            for frame in self._journal.replay():
                if frame.kind == DROP:
                    found.pop(frame.payload.decode("ascii", "replace"), None)
                elif frame.kind == PUT and (record := decode_put(frame.payload)) is not None:
                    self._volumes.skip_to(record.file_no)
                    found[record.stored.object_id] = frame._replace(payload=b""), record
        if self._journal.damaged_bytes:
            logger.warning("store.index_damaged skipped_bytes=%d", self._journal.damaged_bytes)
        for object_id, (frame, record) in found.items():
            stored = record.stored
            end = record.start + stored.size_bytes
            is_whole = len(record.sums) == block_count(stored.size_bytes)
            if not is_whole or (stored.size_bytes and sizes.get(record.file_no, -1) < end):
                self.damaged_count += 1
                self._staged.append(object_id)
                continue
            location = _location(record, frame.offset, frame.size_bytes)
            location.doubt()
            self._add(object_id, location)
            self._swept.setdefault(record.file_no, []).append((record.start, end))
        for file_no, size_bytes in sizes.items():
            parts = self._swept.setdefault(file_no, [])
            if parts:  # what was being written when the node ended lies behind the last
                parts.append((size_bytes, size_bytes))
        if self._staged:
            self.flush()
        known = [record.stored for key, (_, record) in found.items() if key in self._locations]
        return tuple(sorted(known, key=lambda one: (one.received_wall_s, one.object_id)))

    def sweep(self) -> bool:
        """Clear away what no record speaks of, in one file. False: all files are done."""
        if not self._swept:
            return False
        file_no, ranges = self._swept.popitem()
        with translated("sweep", self.folder):
            if not ranges and not self._live.get(file_no):
                self._volumes.remove(file_no)
            elif ranges:
                with contextlib.suppress(FileNotFoundError):
                    self._volumes.punch(file_no, _gaps(ranges))
        return True

    # Asking, from any thread

    def location(self, object_id: str) -> Location | None:
        return self._locations.get(object_id)

    def object_ids(self) -> tuple[str, ...]:
        """All of this moment."""
        return tuple(self._locations)

    def open_file(self, file_no: int) -> int:
        """A descriptor of a body file. Raises StoreError."""
        with translated("open a body in", self.folder):
            return self._volumes.open_for_reading(file_no)

    # Changing, all at the next flush

    def begin(self) -> BodyWriter:
        """Write a large body as it comes; `finish` makes it an object. Raises StoreError."""
        with translated("write to", self.folder):
            return self._volumes.begin()

    def write(self, writer: BodyWriter, chunks: Sequence[Buffer]) -> None:
        """Raises StoreError; the writer can only be aborted then."""
        with translated("write to", self.folder):
            writer.write(chunks)

    def put(self, stored: StoredObject, chunks: Sequence[Buffer]) -> None:
        """The object with this body, in place of an older one."""
        is_one_block = 0 < stored.size_bytes <= BLOCK_BYTES
        sums = (stored.crc32c,) if is_one_block else sums_of(chunks)
        self._staged.append(_Put(stored, sums, chunks))

    def finish(self, writer: BodyWriter, stored: StoredObject, sums: tuple[int, ...]) -> None:
        """What was written is the object's body."""
        writer.finish()
        self._staged.append(_Put(stored, sums, None, (writer.no, 0)))

    def update(self, stored: StoredObject) -> None:
        """Replace what is known of an object (a 304 refreshed it); the body stays."""
        self._staged.append(stored)

    def drop(self, object_id: str) -> None:
        """The object exists no more. Its bytes stay until `free`, for those who read them."""
        self._staged.append(object_id)

    def free(self, object_id: str) -> None:
        """Nobody reads the dropped object any more."""
        self._unread.append(object_id)

    def flush(self) -> Flushed:
        """Carry out what was collected, in its order."""
        flushed = Flushed()
        staged, self._staged = self._staged, []
        puts = [one for one in staged if isinstance(one, _Put) and one.chunks]
        if puts:
            try:
                places = self._volumes.append([one.chunks or () for one in puts])
            except OSError as error:
                flushed.error = failure_of("write to", self.folder, error)
                failed = set(map(id, puts))
                staged = [one for one in staged if id(one) not in failed]
                flushed.failed += [(one.stored.object_id, str(flushed.error)) for one in puts]
            else:
                for put, place in zip(puts, places, strict=True):
                    put.place = place
        if staged:
            self._record(staged, flushed)
        self._give_back(flushed)
        return flushed

    def _record(self, staged: Sequence[_Put | StoredObject | str], flushed: Flushed) -> None:
        records: list[tuple[_Put | StoredObject | str, PutRecord | None, bytes]] = []
        coming: dict[str, PutRecord] = {}
        for one in staged:
            if isinstance(one, str):
                coming.pop(one, None)
                records.append((one, None, drop_frame(one)))
                continue
            record = self._put_record(one, coming)
            if record is None:
                assert isinstance(one, StoredObject)
                flushed.failed.append((one.object_id, f"no body of {one.size_bytes} bytes"))
                continue
            coming[record.stored.object_id] = record
            records.append((one, record, put_frame(record)))
        try:
            offset = self._journal.append([frame for _, _, frame in records])
        except OSError as error:
            flushed.error = failure_of("write to the index in", self.folder, error)
            self._unrecorded(staged, flushed)
            return
        for one, record, frame in records:
            if record is None:
                assert isinstance(one, str)
                self._remove(one)
            else:
                location = _location(record, offset, len(frame))
                if isinstance(one, _Put):
                    self._replace(record.stored.object_id, location)
                    flushed.committed.append(record.stored.object_id)
                else:
                    self._renew(record.stored.object_id, location)
            offset += len(frame)
        self._compact(flushed)

    def _put_record(
        self, one: _Put | StoredObject, coming: dict[str, PutRecord]
    ) -> PutRecord | None:
        if isinstance(one, _Put):
            return PutRecord(one.stored, one.place[0], one.place[1], one.sums)
        before = coming.get(one.object_id)
        if before is not None and before.stored.size_bytes == one.size_bytes:
            return PutRecord(one, before.file_no, before.start, before.sums)
        known = self._locations.get(one.object_id)
        if known is not None and known.size_bytes == one.size_bytes:
            return PutRecord(one, known.file_no, known.start, known.sums)
        return None

    def _unrecorded(self, staged: Sequence[_Put | StoredObject | str], flushed: Flushed) -> None:
        """The index took nothing: new objects do not exist; drops are recorded at the next try."""
        for one in staged:
            if isinstance(one, str):
                self._remove(one)
                self._staged.append(one)
            elif isinstance(one, _Put):
                flushed.failed.append((one.stored.object_id, str(flushed.error)))
                self._freed.append(Location(*one.place, one.stored.size_bytes, one.sums, 0, 0))
                if one.place[0]:
                    self._live[one.place[0]] = self._live.get(one.place[0], 0) + 1

    def _compact(self, flushed: Flushed) -> None:
        if not self._journal.is_wasteful(self._live_record_bytes):
            return
        live = sorted(self._locations.values(), key=lambda location: location.record_offset)
        try:
            offsets = self._journal.compact(
                [(location.record_offset, location.record_bytes) for location in live]
            )
        except OSError as error:
            flushed.error = failure_of("rewrite the index in", self.folder, error)
            return
        for location, offset in zip(live, offsets, strict=True):
            location.record_offset = offset

    # The table

    def _add(self, object_id: str, location: Location) -> None:
        self._locations[object_id] = location
        self._live_record_bytes += location.record_bytes
        if location.file_no:
            self._live[location.file_no] = self._live.get(location.file_no, 0) + 1

    def _replace(self, object_id: str, location: Location) -> None:
        old = self._locations.pop(object_id, None)
        if old is not None:
            self._live_record_bytes -= old.record_bytes
            self._freed.append(old)
        self._add(object_id, location)

    def _renew(self, object_id: str, location: Location) -> None:
        """A newer record for the same body."""
        known = self._locations[object_id]
        self._live_record_bytes += location.record_bytes - known.record_bytes
        known.record_offset, known.record_bytes = location.record_offset, location.record_bytes

    def _remove(self, object_id: str) -> None:
        location = self._locations.pop(object_id, None)
        if location is not None:
            self._live_record_bytes -= location.record_bytes
            self._dead[object_id] = location

    def _give_back(self, flushed: Flushed) -> None:
        """The room of what is freed."""
        freed, self._freed = self._freed, []
        unread, self._unread = self._unread, []
        freed += [one for name in unread if (one := self._dead.pop(name, None)) is not None]
        ranges: dict[int, list[tuple[int, int]]] = {}
        for location in freed:
            if location.file_no:
                end = location.start + location.size_bytes
                ranges.setdefault(location.file_no, []).append((location.start, end))
        for file_no, parts in ranges.items():
            left = self._live.get(file_no, 0) - len(parts)
            self._live[file_no] = left
            try:
                if left > 0:
                    self._volumes.punch(file_no, parts)
                    continue
                del self._live[file_no]
                if file_no == self._volumes.filling_no:
                    self._volumes.seal()
                self._volumes.remove(file_no)
            except FileNotFoundError:
                pass  # somebody has deleted it: its objects are found missing one by one
            except OSError as error:
                flushed.error = failure_of("give back room in", self.folder, error)
            if left <= 0:
                flushed.removed_files.append(file_no)


def _location(record: PutRecord, offset: int, record_bytes: int) -> Location:
    return Location(
        record.file_no, record.start, record.stored.size_bytes, record.sums, offset, record_bytes
    )


def _gaps(ranges: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What lies before and between these parts."""
    end = 0
    for first, part_end in sorted(ranges):
        if first > end:
            yield end, first
        end = max(end, part_end + -part_end % ALIGN_BYTES)


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """It would look again and again at all that is being read; without it 100,000 records take
    1.0 s of CPU instead of 2.3."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
