"""Bytes of media and models: from the library's folder, or else from the object store.

The folder is asked first, so what is in it is served as if there were no store. Files are read in
threads, one bounded piece at a time, so that a cold disk never stops the loop and a slow client
never fills memory; a store sends as fast as the client reads.
"""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from nearcast.errors import NearcastError
from origin.config import ObjectsConfig
from origin.drivers.metrics import OriginMetrics
from origin.drivers.shelves import DiskLibrary
from origin.library import Resource

if TYPE_CHECKING:
    from origin.drivers.objects import ObjectStore

PIECE_BYTES: Final = 256 * 1024
OBJECTS_PREFIX: Final = "media/"
"""Of media in the object store, as in a library's folder."""


class MediaMissing(NearcastError):
    """The catalogue names a file that is not there."""


class MediaUnavailable(NearcastError):
    """The file may be there, but cannot be read now."""


class MediaReader(Protocol):
    async def read(self) -> bytes:
        """The next piece; empty at the end. Raises NearcastError when the rest cannot be had."""

    def close(self) -> None: ...


class Media:
    """Opens what resources lead to. Without `objects` only files."""

    def __init__(
        self, library: DiskLibrary, objects: ObjectStore | None, metrics: OriginMetrics
    ) -> None:
        self._library = library
        self._objects = objects
        self._metrics = metrics

    async def open(self, resource: Resource, first: int, size_bytes: int) -> MediaReader:
        """`size_bytes` of it from `first` on. Raises MediaMissing and MediaUnavailable."""
        file = self._library.file(resource)
        try:
            return _FileReader(await asyncio.to_thread(_open_at, file, first))
        except FileNotFoundError as error:
            if self._objects is None or resource.shelf != "media":
                raise MediaMissing(f"{file}: no such file") from error
        except OSError as error:
            # Too many open files, a disk that fails: not the client's fault, and it may pass.
            raise MediaUnavailable(f"{file}: {error.strerror}") from error
        outcome = "unavailable"
        try:
            reader = await _open_object(self._objects, resource, first, size_bytes)
            outcome = "read"
        except MediaMissing:
            outcome = "missing"
            raise
        finally:
            self._metrics.object_reads.labels(outcome=outcome).inc()
        return reader


def objects_of(config: ObjectsConfig) -> ObjectStore | None:
    """The store that the settings name, if they name one. Raises ConfigError."""
    if not config.url:
        return None
    from origin.drivers.objects import ObjectStore

    return ObjectStore.of_config(config)


def read_object(config: ObjectsConfig, path: str) -> bytes:
    """All of a media file in the store. Raises FileNotFoundError and ObjectsError."""
    from origin.drivers.objects import ObjectMissing, ObjectStore

    try:
        return asyncio.run(ObjectStore.of_config(config).get(f"{OBJECTS_PREFIX}{path}"))
    except ObjectMissing as error:
        raise FileNotFoundError(errno.ENOENT, "No such object", path) from error


async def _open_object(
    objects: ObjectStore, resource: Resource, first: int, size_bytes: int
) -> MediaReader:
    from origin.drivers.objects import ObjectMissing, ObjectsError

    try:
        reader = await objects.read(f"{OBJECTS_PREFIX}{resource.file}", first, size_bytes)
    except ObjectMissing as error:
        raise MediaMissing(str(error)) from error
    except ObjectsError as error:
        raise MediaUnavailable(str(error)) from error
    if reader.object_bytes != resource.size_bytes:
        reader.close()
        raise MediaMissing(
            f"{objects.name}/{OBJECTS_PREFIX}{resource.file} has {reader.object_bytes} bytes "
            f"instead of {resource.size_bytes}"
        )
    return reader


class _FileReader:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    async def read(self) -> bytes:
        try:
            return await asyncio.to_thread(self._file.read, PIECE_BYTES)
        except OSError as error:
            raise MediaUnavailable(str(error)) from error

    def close(self) -> None:
        self._file.close()


def _open_at(path: Path, offset: int) -> BinaryIO:
    file = path.open("rb")
    file.seek(offset)
    return file
