"""Stored objects, opened and checked.

Nobody is given a byte from the disk that was not compared with its checksum since the node
started, or was written by it. Of what is opened later a share is checked again, and `scrub` goes
through everything slowly: disks rot under objects that nobody restarts for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
from collections.abc import Callable
from typing import Final

from edge.drivers.body import Body, BodyMissing, MemoryBody
from edge.drivers.file_body import DAMAGED, FileBody
from edge.drivers.file_reads import FileReads
from edge.drivers.held import HeldFile, HeldFiles
from edge.drivers.store.checksums import BLOCK_BYTES, block_count, read_block
from edge.drivers.store.disk import DiskStore
from edge.drivers.store.health import StoreHealth, is_out_of_descriptors
from edge.drivers.store.thread import StoreThread
from edge.drivers.store.types import Location, StoreError

logger = logging.getLogger(__name__)

DESCRIPTORS_SHARE: Final = 4
"""One in so many of the descriptors the process may have is for body files; most are sockets."""
OPEN_FILES_MAX: Final = 4096
SCRUB_PAUSE_S: Final = 60.0
_KNOWN_DAMAGED: Final = -1
CHECKED_AHEAD_BYTES_MAX: Final = 16 << 20
"""A part of up to so much is checked before its first byte is sent: a segment takes some ms, once
after a start, and no client is left with half an answer. Larger ones are checked as they go."""


class StoredBodies:
    """Reads what a `DiskStore` holds. `on_lost` is told of objects that cannot be served."""

    def __init__(
        self,
        store: DiskStore,
        thread: StoreThread,
        reads: FileReads,
        health: StoreHealth,
        *,
        verify_every: int,
        on_lost: Callable[[str, str], None],
    ) -> None:
        """`verify_every`: one in so many opens checks the bytes again; 0 for none."""
        self._store = store
        self._thread = thread
        self._reads = reads
        self._health = health
        self._verify_every = verify_every
        self._on_lost = on_lost
        self._open_count = 0
        self._going: set[str] = set()  # dropped, and the thread has not heard of it yet
        open_max = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // DESCRIPTORS_SHARE
        self.files = HeldFiles(
            reads,
            min(open_max, OPEN_FILES_MAX),
            on_free=self._free,
            close_later=lambda close: thread.submit(close),
        )

    def held(self, object_id: str) -> HeldFile | None:
        """The object in an open file, all of it checked. None when that takes reading."""
        held = self.files.get(object_id)
        if held is None:
            location = self._location(object_id)
            if location is None or location.unchecked or not location.size_bytes:
                return None
            held = self.files.hold(object_id, location)
            if held is None:
                return None
        self._sample(held.location)
        return None if held.location.unchecked else held

    async def open(self, object_id: str, first: int, size_bytes: int | None) -> Body:
        """A part of the object; all of it is checked, or of a large one its first block. Raises
        BodyMissing; `on_lost` was told."""
        held = await self._acquired(object_id)
        if held is None:
            return MemoryBody(b"")
        try:
            self._sample(held.location)
            wanted = held.size_bytes - first if size_bytes is None else size_bytes
            if wanted <= CHECKED_AHEAD_BYTES_MAX:
                await self._check_ahead(held, first, wanted)
            body = FileBody(held, first, wanted, self._reads, self._failed)
        finally:
            held.release()
        try:
            if not body.is_ready:
                ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                body.when_more(lambda: _set(ready))
                await ready
            if body.failure is not None:
                raise BodyMissing(f"{object_id}: {body.failure}")
        except BaseException:
            body.close()
            raise
        return body

    async def verify(self, object_id: str, bytes_per_s: float | None = None) -> bool:
        """Read all of it now; False when it is not there or damaged. `on_lost` was told.

        To be asked before the object is handed to another node.
        """
        try:
            held = await self._acquired(object_id)
            if held is None:
                return True
            try:
                size_bytes = held.size_bytes
                for block in range(block_count(size_bytes)):
                    await self._check(held, block)
                    if bytes_per_s is not None:
                        await asyncio.sleep(min(BLOCK_BYTES, size_bytes) / bytes_per_s)
            finally:
                held.release()
        except BodyMissing:
            return False
        return True

    async def scrub(self, bytes_per_s: float) -> None:
        """Check all objects again and again, at this rate."""
        while True:
            for object_id in self._store.object_ids():
                if self._location(object_id) is not None:
                    await self.verify(object_id, bytes_per_s)
            await asyncio.sleep(SCRUB_PAUSE_S)

    def drop(self, object_id: str) -> None:
        """The object exists no more; who reads it goes on."""
        self._going.add(object_id)
        is_read = self.files.drop(object_id)

        def done(_: None, __: StoreError | None) -> None:
            self._going.discard(object_id)

        store = self._store
        self._thread.submit(lambda: store.drop(object_id), done=done)
        if not is_read:
            self._free(object_id)

    def adopt(self, object_id: str, fd: int | None) -> None:
        """This descriptor of the object's file is open: the first hit need not open it."""
        location = self._location(object_id)
        if fd is not None and location is not None:
            with contextlib.suppress(OSError):  # too few of them: it is opened when it is needed
                self.files.add(location.file_no, os.dup(fd))

    @property
    def is_recorded(self) -> bool:
        """Whether the index on disk knows of every drop."""
        return not self._going

    def close(self) -> None:
        self.files.close()

    def _free(self, object_id: str) -> None:
        store = self._store
        self._thread.submit(lambda: store.free(object_id))

    def _location(self, object_id: str) -> Location | None:
        return None if object_id in self._going else self._store.location(object_id)

    def _sample(self, location: Location) -> None:
        self._open_count += 1
        if self._verify_every and self._open_count % self._verify_every == 0:
            location.doubt()

    async def _acquired(self, object_id: str) -> HeldFile | None:
        """The object's place, to be released; None for an empty body. Raises BodyMissing."""
        location = self._location(object_id)
        if location is None:
            self._on_lost(object_id, "it is not in the store")
            raise BodyMissing(object_id)
        if not location.size_bytes:
            return None
        held = self.files.hold(object_id, location)
        if held is None:
            await self._open_file(object_id, location)
            if self._location(object_id) is not location:
                raise BodyMissing(object_id)  # dropped meanwhile
            held = self.files.hold(object_id, location)
            if held is None:
                self._on_lost(object_id, "too few descriptors")
                raise BodyMissing(object_id)
        held.acquire()
        return held

    async def _open_file(self, object_id: str, location: Location) -> None:
        for _ in range(2):
            opening = self._reads.submit(lambda: self._store.open_file(location.file_no))
            opening.add_done_callback(lambda done: self._opened(location.file_no, done))
            try:
                await asyncio.shield(opening)
            except StoreError as error:
                if is_out_of_descriptors(error):
                    self._health.noted(error)
                else:
                    self._health.unreadable(str(error))
                if is_out_of_descriptors(error) and self.files.close_idle(8):
                    continue
                if is_out_of_descriptors(error):
                    self._on_lost(object_id, str(error))
                else:
                    self._lost(object_id, location, str(error))
                raise BodyMissing(str(error)) from error
            return

    def _opened(self, file_no: int, opening: asyncio.Future[int]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self._health.readable()
            self.files.add(file_no, opening.result())

    async def _check_ahead(self, held: HeldFile, first: int, size_bytes: int) -> None:
        """Raises BodyMissing."""
        for block in range(first // BLOCK_BYTES, block_count(first + size_bytes)):
            if held.location.unchecked >> block & 1:
                await self._check(held, block)

    async def _check(self, held: HeldFile, block: int) -> None:
        """Raises BodyMissing; `on_lost` was told."""
        location = held.location
        reading = self._reads.submit(
            lambda: read_block(held.fd, held.start, held.size_bytes, location.sums, block)
        )
        held.acquire()
        reading.add_done_callback(lambda _: held.release())
        try:
            is_intact = bool(await asyncio.shield(reading))
            detail = DAMAGED
        except OSError as error:
            is_intact, detail = False, f"cannot read it: {error.strerror}"
            self._health.unreadable(detail)
        if not is_intact:
            self._failed(held, detail)
            raise BodyMissing(f"{held.object_id}: {detail}")
        if location.unchecked != _KNOWN_DAMAGED:
            location.unchecked &= ~(1 << block)

    def _failed(self, held: HeldFile, detail: str) -> None:
        """The disk gave other bytes than were stored, or none."""
        self._lost(held.object_id, held.location, detail)

    def _lost(self, object_id: str, location: Location, detail: str) -> None:
        if location.unchecked != _KNOWN_DAMAGED:
            location.unchecked = _KNOWN_DAMAGED
            self._health.damaged_count += 1
            self._on_lost(object_id, detail)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
