"""The library folder: where titles' files are, and how they come and go whole.

    <library>/catalog.db            origin.drivers.catalog_database
    <library>/media/<id>.<token>/   one folder per title: <rendition>/init.mp4, 1.m4s, ...
    <library>/staging/<token>/      titles being made, each with a lock file beside it
    <library>/models/               origin.drivers.model_store
    <library>/change.lock           held while folders and catalogue change together

An ingest works in a staging folder and holds a lock on `<token>.lock`; the kernel lets that lock go
when the process dies, however it dies. At the end the folder is renamed into `media` and the title
put into the catalogue, under `change.lock`. So a folder in `staging` whose lock is free, and a
folder in `media` that the catalogue does not name, are leftovers of the dead, and the next ingest
removes them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import secrets
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Final

import google_crc32c
import msgspec

from nearcast.errors import InputError
from nearcast.units import format_size
from origin.catalog import INIT_NAME, RenditionEntry, Title, rendition_folder, segment_name
from origin.drivers.catalog_database import CatalogDatabase

MEDIA_NAME: Final = "media"
_STAGING_NAME: Final = "staging"
_LOCK_NAME: Final = "change.lock"
_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is not what the catalogue says."""

    title_id: str
    path: str
    reason: str


class LibraryFolder:
    """A library on disk. Creates it unless `must_exist`."""

    def __init__(self, folder: Path, *, must_exist: bool) -> None:
        self.folder = folder
        self.media = folder / MEDIA_NAME
        self._staging = folder / _STAGING_NAME
        if must_exist and not folder.is_dir():
            raise InputError(
                f"there is no library at {folder}; make one with: nearcast origin ingest FILE "
                f"--library {folder}"
            )
        if not must_exist:
            with disk_errors(folder):
                self.media.mkdir(parents=True, exist_ok=True)
                self._staging.mkdir(exist_ok=True)
        self.database = CatalogDatabase(folder, must_exist=must_exist)

    def close(self) -> None:
        self.database.close()

    def stage(self) -> StagingFolder:
        """A folder for a title in the making."""
        with disk_errors(self.folder), self.changing():
            return StagingFolder(self._staging, secrets.token_hex(6))

    def commit(self, staged: StagingFolder, title: Title, *, replace: bool) -> Title:
        """Turn a staged folder into a title, all or nothing; `title` gets its folder and edition.

        Rendition ids of later editions get a suffix (see origin.catalog), and so do their folders.
        """
        with disk_errors(self.folder), self.changing():
            title = self.prepare(staged, title)
            staged.folder.rename(self.media / title.folder)
            try:
                replaced = self.database.add(title, replace=replace)
            except BaseException:
                shutil.rmtree(self.media / title.folder, ignore_errors=True)
                raise
            if replaced is not None:
                shutil.rmtree(self.media / replaced, ignore_errors=True)
            return title

    def prepare(self, staged: StagingFolder, title: Title) -> Title:
        """The title with a folder of its own and the edition it would be now; the staged
        renditions are named after it. One that is made anew keeps its genre, unless it was given
        another. To be called while `changing`."""
        edition_no = self.database.next_edition_no(title.id)
        renditions = tuple(_renamed(entry, edition_no, staged.folder) for entry in title.renditions)
        folder = f"{title.id}.{secrets.token_hex(4)}"
        return msgspec.structs.replace(
            title,
            edition_no=edition_no,
            folder=folder,
            renditions=renditions,
            genre=title.genre or self.database.genre(title.id),
        )

    def remove(self, title_id: str) -> None:
        with disk_errors(self.folder), self.changing():
            folder = self.database.remove(title_id)
            shutil.rmtree(self.media / folder, ignore_errors=True)

    def sweep(self) -> int:
        """Remove what dead ingests left behind; returns how many folders."""
        count = 0
        with disk_errors(self.folder), self.changing():
            for lock_file in sorted(self._staging.glob("*.lock")):
                with lock_file.open("a") as lock:
                    if not _try_lock(lock):
                        continue
                    folder = lock_file.with_suffix("")
                    count += folder.exists()
                    shutil.rmtree(folder, ignore_errors=True)
                    lock_file.unlink(missing_ok=True)
            for folder in sorted(self._staging.iterdir()):
                # Folder and lock come and go under change.lock: one without the other is left over.
                if folder.suffix != ".lock" and not folder.with_suffix(".lock").exists():
                    count += 1
                    shutil.rmtree(folder, ignore_errors=True)
            known = {line.folder for line in self.database.lines()}
            for folder in sorted(self.media.iterdir()):
                if folder.name not in known:
                    count += 1
                    shutil.rmtree(folder, ignore_errors=True)
        return count

    def verify(
        self, elsewhere: Callable[[str], bytes] | None = None
    ) -> Iterator[tuple[Title, tuple[Damage, ...]]]:
        """Read every file of every title and compare size and checksum. `elsewhere` gives those
        that are not in the folder, by their path below `media`; it raises ObjectsError."""
        for line in self.database.lines():
            title = self.database.title(line.entry.id)
            if title is not None:
                yield title, tuple(self._damages(title, elsewhere))

    def _damages(self, title: Title, elsewhere: Callable[[str], bytes] | None) -> Iterator[Damage]:
        for entry in title.renditions:
            expected = [(INIT_NAME, entry.init_size_bytes, entry.init_crc32c)]
            expected += [
                (segment_name(number), segment.size_bytes, segment.crc32c)
                for number, segment in enumerate(entry.segments, start=1)
            ]
            for name, size_bytes, crc32c in expected:
                path = f"{title.folder}/{entry.rendition.id}/{name}"
                file = self.media / path
                read = file.read_bytes
                if elsewhere is not None and not file.exists():
                    read = partial(elsewhere, path)
                reason = _damage(read, size_bytes, crc32c)
                if reason is not None:
                    yield Damage(title_id=title.id, path=path, reason=reason)

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """One process at a time changes what is in the library."""
        with (self.folder / _LOCK_NAME).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class StagingFolder:
    """A title in the making; gone when left, unless it was committed."""

    def __init__(self, staging: Path, token: str) -> None:
        self.folder = staging / token
        self._lock_file = staging / f"{token}.lock"
        self._lock: IO[str] = self._lock_file.open("a")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.folder.mkdir()

    def __enter__(self) -> StagingFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock_file.unlink(missing_ok=True)
        self._lock.close()


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns what the disk refuses into words for the user."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, folder) from error


def disk_error(error: OSError, folder: Path) -> InputError:
    if error.errno in _FULL:
        free_bytes = 0
        with contextlib.suppress(OSError):
            free_bytes = shutil.disk_usage(folder).free
        return InputError(
            f"the disk under {folder} is full ({format_size(free_bytes)} free); nothing was added. "
            "Make room, or choose another --library"
        )
    return InputError(f"cannot write to {error.filename or folder}: {error.strerror or error}")


def _renamed(entry: RenditionEntry, edition_no: int, folder: Path) -> RenditionEntry:
    old_id = entry.rendition.id
    new_id = rendition_folder(old_id, edition_no)
    if new_id != old_id:
        (folder / old_id).rename(folder / new_id)
    rendition = msgspec.structs.replace(entry.rendition, id=new_id)
    return msgspec.structs.replace(entry, rendition=rendition)


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _damage(read: Callable[[], bytes], size_bytes: int, crc32c: int) -> str | None:
    try:
        data = read()
    except OSError as error:
        return (error.strerror or str(error)).lower()
    if len(data) != size_bytes:
        return f"{len(data)} bytes instead of {size_bytes}"
    found = google_crc32c.value(data)
    return None if found == crc32c else f"checksum {found:08x} instead of {crc32c:08x}"
