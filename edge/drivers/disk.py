"""The object store: bodies and what is known of them, in a folder that only this node uses.

    <folder>/nearcast-store           marks the folder as ours; locked while a node uses it
    <folder>/tmp/<number>.part        being written; deleted when the store is opened
    <folder>/objects/ab/cd/<id>.body  the bytes of an object, as they go out
    <folder>/objects/ab/cd/<id>.meta  magic, version, length, msgpack of StoredObject, crc32c

An object exists exactly if its meta file is intact and its body has the size that it says. The
body is renamed into place first and the meta file last; dropping goes the other way round; so a
process that is killed between any two steps leaves an object whole or not at all, and `scan` clears
up the rest. The meta file is apart from the body so that a revalidation replaces it in one rename
without copying the body, and so that a body is sent from offset 0.

Nothing is flushed to the device on the way: fdatasync costs 20-40 % of a fill's CPU and 10 ms for
2 MB, and what a power cut damages is found by size or checksum, dropped and fetched again. File
names come from object ids alone, never from a URL.

All calls block. Whoever owns a store makes them from one thread; `open_body`, `read` and `verify`
may also be called from others.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import google_crc32c
import msgspec

from edge.events import StoredObject
from nearcast.errors import ConfigError, LocalProtocolError, NearcastError

FORMAT_VERSION: Final = 1
META_BYTES_MAX: Final = 1 << 20
"""Far above any header block we accept; a larger meta file is not ours."""
READ_BYTES: Final = 1 << 20

_MARKER: Final = "nearcast-store"
_MAGIC: Final = b"NCST"
_HEAD: Final = struct.Struct(">4sHI")
_CRC: Final = struct.Struct(">I")
_OBJECT_ID: Final = re.compile(r"[0-9a-f]{8,128}")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# What a freshly made file system may contain.
_HARMLESS: Final = frozenset({"lost+found"})
# These say nothing about the file at hand: it must not be taken for damaged and deleted.
_NOT_DAMAGE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR})


class StoreError(NearcastError):
    """The store cannot do what was asked; the message names file and reason.

    `is_full`: there is no room, which evicting something cures.
    """

    def __init__(self, message: str, *, is_full: bool = False) -> None:
        super().__init__(message)
        self.is_full = is_full


class ObjectMissing(StoreError):
    """There is no such object, or what is left of it is damaged."""


class OpenBody(msgspec.Struct, frozen=True):
    """An open body; it can be read even after the object is dropped. Whoever asked for it closes
    `fd`. The bytes start at offset 0 and are `stored.size_bytes` long."""

    fd: int
    stored: StoredObject


class DiskStore:
    """The store in one folder. `open` first, `close` last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged_count = 0
        """Objects that `scan` or `verify` found damaged since the store was opened."""
        self._objects = folder / "objects"
        self._tmp = folder / "tmp"
        self._numbers = itertools.count()
        self._lock_fd: int | None = None

    def open(self) -> None:
        """Make the folder ours. Raises ConfigError when it cannot be: in use by another node, not
        writable, or full of somebody else's files."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            names = sorted(os.listdir(self.folder))
            if _MARKER not in names and not _HARMLESS.issuperset(names):
                raise ConfigError(
                    f"{self.folder} is not empty and no store of ours (found {names[0]!r}); "
                    "name an empty or a new folder"
                )
            self._lock()
            self._tmp.mkdir(exist_ok=True)
            self._objects.mkdir(exist_ok=True)
            for leftover in sorted(self._tmp.glob("*.part")):
                leftover.unlink()
        except OSError as error:
            self.close()
            raise ConfigError(
                f"cannot use {self.folder} as store: {error.strerror} ({error.filename})"
            ) from error

    def _lock(self) -> None:
        lock_fd = os.open(self.folder / _MARKER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock_fd)
            raise ConfigError(
                f"the store {self.folder} is in use by another edge; give each its own --store"
            ) from None
        self._lock_fd = lock_fd

    def close(self) -> None:
        """Let another node have the folder."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def scan(self) -> tuple[StoredObject, ...]:
        """Every whole object, by time received and id. What is not whole is deleted and counted.

        Reads no bodies: `verify` tells whether a body of the right size has the right bytes.
        Raises StoreError when the folder cannot be read.
        """
        found: list[StoredObject] = []
        with _translated("scan the store", self._objects):
            for folder in _subfolders(self._objects):
                names = set(os.listdir(folder))
                for name in sorted(names):
                    object_id, _, suffix = name.rpartition(".")
                    if not _OBJECT_ID.fullmatch(object_id) or suffix not in ("body", "meta"):
                        continue
                    if suffix == "meta" and f"{object_id}.body" in names:
                        continue  # judged with its body
                    stored = self._whole(object_id)
                    if stored is None:
                        self.damaged_count += 1
                        self.drop(object_id)
                    else:
                        found.append(stored)
        return tuple(sorted(found, key=lambda one: (one.received_wall_s, one.object_id)))

    def begin(self) -> Writer:
        """Start writing a body. Raises StoreError."""
        path = self._tmp / f"{next(self._numbers)}.part"
        with _translated("write", path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            return Writer(self, path, os.open(path, flags, 0o644))

    def update(self, stored: StoredObject) -> None:
        """Replace what is known of an object (a 304 refreshed it); the body stays.

        Raises ObjectMissing when there is no body of that size, StoreError when it cannot be
        written; the earlier state then stays.
        """
        if self.body_size(stored.object_id) != stored.size_bytes:
            raise ObjectMissing(f"no body of {stored.size_bytes} bytes for {stored.object_id}")
        self._write_meta(stored)

    def drop(self, object_id: str) -> bool:
        """Delete an object; descriptors that are open can go on reading. False: not there."""
        is_there = False
        for suffix in ("meta", "body"):
            path = self._path(object_id, suffix)
            with _translated("delete", path), contextlib.suppress(FileNotFoundError):
                path.unlink()
                is_there = True
        return is_there

    def open_body(self, object_id: str) -> OpenBody:
        """Raises ObjectMissing when the object is not there or not whole."""
        stored = self._read_meta(object_id)
        path = self._path(object_id, "body")
        if stored is None:
            raise ObjectMissing(f"{object_id} is not in {self.folder}")
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ObjectMissing(f"{path} is missing") from None
        except OSError as error:
            raise StoreError(f"cannot open {path}: {error.strerror}") from error
        size_bytes = os.fstat(fd).st_size
        if size_bytes != stored.size_bytes:
            os.close(fd)
            raise ObjectMissing(f"{path} has {size_bytes} bytes instead of {stored.size_bytes}")
        return OpenBody(fd, stored)

    def read(self, object_id: str) -> bytes:
        """The whole body, unverified. Raises ObjectMissing as `open_body` does."""
        body = self.open_body(object_id)
        with os.fdopen(body.fd, "rb") as file, _translated("read", file.name):
            return file.read()

    def verify(self, object_id: str) -> bool:
        """Whether the body has the checksum it was stored with. Damage is counted, not deleted.

        Raises StoreError when that cannot be told, for want of descriptors or memory.
        """
        is_intact = False
        with contextlib.suppress(ObjectMissing):
            body = self.open_body(object_id)
            is_intact = _crc32c(body.fd) == body.stored.crc32c
        self.damaged_count += not is_intact
        return is_intact

    def body_size(self, object_id: str) -> int | None:
        """The size of the body on disk; None when there is none."""
        path = self._path(object_id, "body")
        with _translated("look at", path):
            try:
                return path.stat().st_size
            except FileNotFoundError:
                return None

    def _whole(self, object_id: str) -> StoredObject | None:
        stored = self._read_meta(object_id)
        if stored is None or self.body_size(object_id) != stored.size_bytes:
            return None
        return stored

    def _path(self, object_id: str, suffix: str) -> Path:
        if not _OBJECT_ID.fullmatch(object_id):
            raise LocalProtocolError(f"{object_id!r} is no object id (8 to 128 hex digits)")
        return self._objects / object_id[:2] / object_id[2:4] / f"{object_id}.{suffix}"

    def _read_meta(self, object_id: str) -> StoredObject | None:
        """None when the meta file is missing, damaged, of another version or another object."""
        path = self._path(object_id, "meta")
        try:
            with open(path, "rb") as file:
                text = file.read(META_BYTES_MAX + 1)
        except OSError as error:
            if error.errno in _NOT_DAMAGE:
                raise StoreError(f"cannot read {path}: {error.strerror}") from error
            return None
        stored = _decode_meta(text)
        return stored if stored is not None and stored.object_id == object_id else None

    def _write_meta(self, stored: StoredObject) -> None:
        path = self._path(stored.object_id, "meta")
        part = self._tmp / f"{next(self._numbers)}.part"
        text = _encode_meta(stored)
        try:
            with _translated("write", part):
                fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
                try:
                    _write_all(fd, text)
                finally:
                    os.close(fd)
                os.rename(part, path)
        except StoreError:
            _unlink_quietly(part)
            raise

    def _place(self, part: Path, stored: StoredObject) -> None:
        """Make a finished body an object; on failure neither old nor new object is left."""
        path = self._path(stored.object_id, "body")
        try:
            with _translated("store", path):
                path.parent.mkdir(parents=True, exist_ok=True)
                # An older meta file must never describe the new body.
                self._path(stored.object_id, "meta").unlink(missing_ok=True)
                os.rename(part, path)
            self._write_meta(stored)
        except StoreError:
            _unlink_quietly(part)
            _unlink_quietly(path)
            raise


class Writer:
    """A body being written. End it with `finish` or `abort`; after an error it has aborted."""

    def __init__(self, store: DiskStore, path: Path, fd: int) -> None:
        self.size_bytes = 0
        self._store = store
        self._path = path
        self._fd: int | None = fd

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append. Raises StoreError, `is_full` when there is no room."""
        if self._fd is None:
            raise LocalProtocolError("this writer has ended")
        try:
            with _translated("write", self._path):
                self.size_bytes += _write_all(self._fd, chunk)
        except StoreError:
            self.abort()
            raise

    def open_for_reading(self) -> int:
        """A descriptor for what is written so far and from now on; whoever asked for it closes it.

        It stays usable after `finish` and `abort`. Raises StoreError.
        """
        with _translated("open", self._path):
            return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)

    def finish(self, stored: StoredObject) -> None:
        """The body is complete: from now on the object exists, in place of an older one.

        Raises LocalProtocolError when `stored` announces another size, StoreError when the disk
        fails; nothing is left then.
        """
        if self._fd is None:
            raise LocalProtocolError("this writer has ended")
        if stored.size_bytes != self.size_bytes:
            self.abort()
            raise LocalProtocolError(
                f"{stored.object_id} has {self.size_bytes} bytes, not {stored.size_bytes}"
            )
        fd, self._fd = self._fd, None
        try:
            with _translated("close", self._path):
                os.close(fd)
        except StoreError:
            _unlink_quietly(self._path)
            raise
        self._store._place(self._path, stored)

    def abort(self) -> None:
        """Leave nothing behind. Aborting twice, or after an error, does nothing."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            with contextlib.suppress(OSError):
                os.close(fd)
            _unlink_quietly(self._path)


def _encode_meta(stored: StoredObject) -> bytes:
    payload = msgspec.msgpack.encode(stored)
    text = _HEAD.pack(_MAGIC, FORMAT_VERSION, len(payload)) + payload
    return text + _CRC.pack(google_crc32c.value(text))


def _decode_meta(text: bytes) -> StoredObject | None:
    if not _HEAD.size + _CRC.size <= len(text) <= META_BYTES_MAX:
        return None
    magic, version, length = _HEAD.unpack_from(text)
    if (magic, version, length) != (_MAGIC, FORMAT_VERSION, len(text) - _HEAD.size - _CRC.size):
        return None
    if _CRC.unpack_from(text, len(text) - _CRC.size)[0] != google_crc32c.value(text[: -_CRC.size]):
        return None
    try:
        return msgspec.msgpack.decode(text[_HEAD.size : -_CRC.size], type=StoredObject)
    except msgspec.DecodeError:  # an older layout of StoredObject under the same version
        return None


def _write_all(fd: int, chunk: bytes | bytearray | memoryview) -> int:
    """os.write may take less than it is given, at a size limit or on a full disk."""
    view = memoryview(chunk).cast("B")
    written = 0
    while written < len(view):
        written += os.write(fd, view[written:])
    return written


def _crc32c(fd: int) -> int | None:
    """Of all bytes from here on; closes the descriptor. None when the device cannot read them."""
    crc32c = 0
    try:
        with os.fdopen(fd, "rb", buffering=0) as file:
            while chunk := file.read(READ_BYTES):
                crc32c = google_crc32c.extend(crc32c, chunk)
    except OSError:
        return None
    return crc32c


def _subfolders(folder: Path) -> Iterator[Path]:
    for outer in sorted(folder.iterdir()):
        if outer.is_dir() and not outer.is_symlink():
            yield from (
                inner
                for inner in sorted(outer.iterdir())
                if inner.is_dir() and not inner.is_symlink()
            )


def _unlink_quietly(path: Path) -> None:
    """Best effort: what stays behind is found when the store is opened next."""
    with contextlib.suppress(OSError):
        path.unlink()


@contextlib.contextmanager
def _translated(verb: str, path: Path | str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot {verb} {path}: {error.strerror}", is_full=error.errno in _FULL
        ) from error
