"""Titles on their way into the object store, and out of it.

    <library>/outgoing/<folder>/          a title's files, as they are to lie in the store's media/
    <library>/outgoing/<folder>/parcel.json
    <library>/outgoing/<folder>.lock      held by the ingest that uploads it
    <library>/outgoing/<folder>.delete    objects of a title that is gone, not yet deleted

A packaged title is moved here, its files are uploaded, and when all are in the store the catalogue
names it; only then the files here go. An ingest that was interrupted, killed, or found the store
down leaves the parcel: the next one uploads what is missing of it, and encodes nothing again. Keys
hold a token that is drawn for each title made, so no upload ever overwrites what is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from nearcast.errors import InputError, NearcastError
from origin.catalog import Title
from origin.config import ObjectsConfig
from origin.drivers.media import OBJECTS_PREFIX
from origin.drivers.objects import ObjectStore, ObjectsUnavailable
from origin.drivers.storage import LibraryFolder, StagingFolder, disk_errors

UPLOADS_AT_ONCE: Final = 8
_PARCEL_NAME: Final = "parcel.json"


class UploadInterrupted(NearcastError):
    """Somebody wants to end this; the parcel stays."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The file that a title was made of, well enough to know whether it is still the same."""

    path: str
    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, file: Path) -> Source:
        """One that cannot be read is like no other."""
        try:
            found = file.stat()
        except OSError:
            return cls(path=str(file.absolute()), size_bytes=-1, modified_ns=0)
        return cls(
            path=str(file.absolute()), size_bytes=found.st_size, modified_ns=found.st_mtime_ns
        )


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """A title that is to be uploaded."""

    title: Title
    source: Source
    replace: bool


class Outbox:
    """One library's way to its object store. `interrupted` ends an upload between two files."""

    def __init__(
        self, library: LibraryFolder, objects: ObjectsConfig, interrupted: threading.Event
    ) -> None:
        self._library = library
        self._objects = objects
        self._interrupted = interrupted
        self._folder = library.folder / "outgoing"
        with disk_errors(self._folder):
            self._folder.mkdir(exist_ok=True)
        ObjectStore.of_config(objects)  # a URL of no use is told before anything is encoded

    def send(self, staged: StagingFolder, title: Title, source: Source, *, replace: bool) -> Title:
        """Upload a staged title and put it into the catalogue. Raises ObjectsUnavailable when
        that has to wait for another time."""
        with contextlib.ExitStack() as stack:
            with disk_errors(self._folder), self._library.changing():
                title = self._library.prepare(staged, title)
                parcel = Parcel(title=title, source=source, replace=replace)
                (staged.folder / _PARCEL_NAME).write_bytes(msgspec.json.encode(parcel))
                # The lock before the folder: who finds the folder finds it held.
                stack.enter_context(self._locked(title.folder))
                staged.folder.rename(self._folder / title.folder)
            return self._finish(parcel)

    def waiting(self) -> tuple[Parcel, ...]:
        """What earlier ingests have left, without what another one is busy with."""
        found: list[Parcel] = []
        with disk_errors(self._folder), self._library.changing():
            for folder in sorted(self._folder.iterdir()):
                if not folder.is_dir():
                    continue
                with self._locked(folder.name) as is_free:
                    if not is_free:
                        continue
                    try:
                        data = (folder / _PARCEL_NAME).read_bytes()
                        found.append(msgspec.json.decode(data, type=Parcel))
                    except (FileNotFoundError, msgspec.MsgspecError):
                        shutil.rmtree(folder, ignore_errors=True)  # half removed, and so done
        return tuple(found)

    def resume(self, parcel: Parcel) -> Title | None:
        """Finish what an earlier ingest began; None: another one does, or has done, just that."""
        with self._locked(parcel.title.folder) as is_free:
            if not is_free or not (self._folder / parcel.title.folder).is_dir():
                return None
            return self._finish(parcel)

    def discard(self, parcel: Parcel) -> None:
        """Forget a parcel, and what of it was uploaded."""
        with self._locked(parcel.title.folder) as is_free:
            if is_free:
                self._drop(parcel)

    def remove(self, title_id: str) -> int:
        """Take a title out of the catalogue, and its files from folder and store; see `sweep`."""
        title = self._library.database.title(title_id)
        if title is not None:
            self._mark(title.folder)
        self._library.remove(title_id)
        if title is not None:
            self._mark(title.folder)  # again: a sweep in between may have found it named
        return self.sweep()

    def sweep(self) -> int:
        """Delete the objects of titles that are gone; of how many that has to wait for another
        time, because the store is away."""
        left_count = 0
        with disk_errors(self._folder), self._library.changing():
            known = {line.folder for line in self._library.database.lines()}
            marks = sorted(self._folder.glob("*.delete"))
        for mark in marks:
            folder = mark.name.removesuffix(".delete")
            if folder not in known:
                try:
                    asyncio.run(self._delete_objects(folder))
                except ObjectsUnavailable:
                    left_count += 1
                    continue
            mark.unlink(missing_ok=True)
        return left_count

    def _finish(self, parcel: Parcel) -> Title:
        title = parcel.title
        if not self._is_named(title):
            try:
                asyncio.run(self._upload(title.folder))
            except ObjectsUnavailable as error:
                raise ObjectsUnavailable(
                    f"{title.id} is packaged but not uploaded: {error}. Ingest again when the "
                    "store is there: what was uploaded stays, and nothing is encoded again"
                ) from error
            self._name(parcel)
        with disk_errors(self._folder):
            shutil.rmtree(self._folder / title.folder)
        self.sweep()
        return title

    def _name(self, parcel: Parcel) -> None:
        """Put it into the catalogue: from now on it is served."""
        title, database = parcel.title, self._library.database
        try:
            with disk_errors(self._folder), self._library.changing():
                if database.next_edition_no(title.id) != title.edition_no:
                    raise InputError(f"another ingest made {title.id!r} meanwhile; ingest it again")
                old = database.title(title.id) if parcel.replace else None
                if old is not None:
                    self._mark(old.folder)
                replaced = database.add(title, replace=parcel.replace)
                if replaced is not None:
                    shutil.rmtree(self._library.media / replaced, ignore_errors=True)
        except InputError:
            if not self._is_named(title):
                self._drop(parcel)
            raise

    def _is_named(self, title: Title) -> bool:
        return any(line.folder == title.folder for line in self._library.database.lines())

    def _drop(self, parcel: Parcel) -> None:
        self._mark(parcel.title.folder)
        shutil.rmtree(self._folder / parcel.title.folder, ignore_errors=True)
        self.sweep()

    def _mark(self, folder: str) -> None:
        with disk_errors(self._folder):
            (self._folder / f"{folder}.delete").touch()

    async def _upload(self, folder: str) -> None:
        store = ObjectStore.of_config(self._objects)
        local, prefix = self._folder / folder, f"{OBJECTS_PREFIX}{folder}"
        there = {info.key: info.size_bytes for info in await store.list(f"{prefix}/")}
        slots = asyncio.Semaphore(UPLOADS_AT_ONCE)

        async def send(file: Path, size_bytes: int) -> None:
            key = f"{prefix}/{file.relative_to(local).as_posix()}"
            async with slots:
                if self._interrupted.is_set():
                    raise UploadInterrupted(f"{folder}: interrupted")
                if there.get(key) != size_bytes:
                    await store.put(key, file)

        sending = [asyncio.ensure_future(send(file, size)) for file, size in _files(local)]
        try:
            for one in sending:
                await one
        finally:
            for one in sending:
                one.cancel()
            await asyncio.gather(*sending, return_exceptions=True)

    async def _delete_objects(self, folder: str) -> None:
        store = ObjectStore.of_config(self._objects)
        found = await store.list(f"{OBJECTS_PREFIX}{folder}/")
        await store.delete([info.key for info in found])

    @contextlib.contextmanager
    def _locked(self, folder: str) -> Iterator[bool]:
        """Whether we have the parcel to ourselves. The lock's file stays for the next."""
        file = self._folder / f"{folder}.lock"
        with disk_errors(self._folder), file.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            try:
                yield True
            finally:
                if not (self._folder / folder).exists():
                    file.unlink(missing_ok=True)


def _files(folder: Path) -> list[tuple[Path, int]]:
    """What is to be uploaded, with sizes."""
    with disk_errors(folder):
        return [
            (file, file.stat().st_size)
            for file in sorted(folder.rglob("*"))
            if file.is_file() and file.name != _PARCEL_NAME
        ]
