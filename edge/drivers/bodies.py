"""Where bodies are: growing, in memory, on disk. Carries out what the core decides about them.

Between `Commit` and the rename on disk the growing body itself serves the object, so an object can
be asked for from the moment the core knows it. Without a store every object lives in memory.
"""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Final

import google_crc32c

from edge.drivers.body import Body, BodyMissing, MemoryBody
from edge.drivers.disk import DiskStore, ObjectMissing, OpenBody, StoreError
from edge.drivers.file_reads import FileReads
from edge.drivers.growing import GrowingBody
from edge.drivers.held import FileBody, HeldFile
from edge.drivers.spool import Spool
from edge.drivers.store_thread import StoreThread
from edge.events import (
    Commit,
    DropObject,
    Event,
    FillFailed,
    ObjectLost,
    ObjectRead,
    ReadObject,
    SetInMemory,
    StoredObject,
    StreamOnly,
    UpdateStored,
)

logger = logging.getLogger(__name__)

WINDOW_BYTES_MIN: Final = 8 << 20
VERIFY_BYTES_MAX: Final = 16 << 20
"""Larger objects are not read through before their first use; that would keep a client waiting."""

Tell = Callable[[Event], None]


class Bodies:
    """All bodies of one edge. `store` None keeps every object in memory."""

    def __init__(
        self,
        store: DiskStore | None,
        tell: Tell,
        *,
        memory_object_bytes_max: int,
    ) -> None:
        self.store_failures = 0
        """Times the disk did not take or give what it should."""
        self.store_failure_last: str | None = None
        self._store = store
        self._tell = tell
        self._thread = StoreThread()
        self._reads = FileReads()
        self._window_bytes = max(WINDOW_BYTES_MIN, memory_object_bytes_max)
        self._fills: dict[int, GrowingBody] = {}
        self._memory: dict[str, bytes] = {}
        self._committing: dict[str, GrowingBody] = {}
        self._loading: set[str] = set()
        self._trusted: set[str] = set()  # written or verified since the node started
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def queued_bytes(self) -> int:
        """Waiting to be written."""
        return self._thread.queued_bytes

    # Fills

    def begin(self, fill_id: int) -> GrowingBody:
        body = GrowingBody(window_bytes=self._window_bytes, reads=self._reads, thread=self._thread)
        if self._store is not None:
            body.spool = Spool(
                self._store,
                self._thread,
                on_written=_weakly(body.trim),
                on_failure=lambda detail: self._spool_failed(fill_id, detail),
            )
        self._fills[fill_id] = body
        return body

    def fill(self, fill_id: int) -> GrowingBody | None:
        return self._fills.get(fill_id)

    def end(self, fill_id: int) -> None:
        """The fill is over and not kept; its readers still get what is there."""
        body = self._fills.pop(fill_id, None)
        if body is not None and body.spool is not None:
            body.spool.abandon()

    def stream_only(self, effect: StreamOnly) -> None:
        """Keep no more of this fill than its readers need."""
        body = self._fills.get(effect.fill_id)
        if body is not None:
            body.become_passing()

    def commit(self, effect: Commit) -> None:
        stored = effect.stored
        body = self._fills.pop(effect.fill_id, None)
        if body is None or not body.is_complete:
            self._lost(stored.object_id, "the fill has ended before it was stored")
            return
        content = body.whole() if effect.in_memory or body.spool is None else None
        if content is not None:
            self._memory[stored.object_id] = content
        if body.spool is None:
            if content is None:
                self._lost(stored.object_id, "it was not kept whole")
            return
        self._trusted.add(stored.object_id)
        self._committing[stored.object_id] = body
        done = body.spool.commit(stored)
        done.add_done_callback(lambda future: self._committed(stored.object_id, body, future))
        if effect.in_memory and content is None:
            self.set_in_memory(SetInMemory(object_id=stored.object_id, in_memory=True))

    def _committed(self, object_id: str, body: GrowingBody, done: asyncio.Future[None]) -> None:
        if self._committing.get(object_id) is body:
            del self._committing[object_id]
        error = done.exception()
        if error is not None:
            self._memory.pop(object_id, None)
            self._note(str(error))
            self._lost(object_id, str(error))
            if not isinstance(error, StoreError):
                raise error

    def _spool_failed(self, fill_id: int, detail: str) -> None:
        self._note(detail)
        body = self._fills.get(fill_id)
        if body is not None:
            self._tell(FillFailed(fill_id=fill_id, cause="disk", detail=detail))
            body.become_passing()

    # Objects

    def update(self, effect: UpdateStored) -> None:
        if self._store is not None:
            done = self._thread.submit(self._store.update, effect.stored)
            self._watch(effect.stored.object_id, done)

    def drop(self, effect: DropObject) -> None:
        self._memory.pop(effect.object_id, None)
        self._committing.pop(effect.object_id, None)
        self._loading.discard(effect.object_id)
        self._trusted.discard(effect.object_id)
        if self._store is not None:
            self._watch(None, self._thread.submit(self._store.drop, effect.object_id))

    def _watch(self, object_id: str | None, done: asyncio.Future[Any]) -> None:
        def over(future: asyncio.Future[Any]) -> None:
            error = future.exception()
            if isinstance(error, ObjectMissing) and object_id is not None:
                self._lost(object_id, str(error))
            elif isinstance(error, StoreError):
                self._note(str(error))
            elif error is not None:
                raise error

        done.add_done_callback(over)

    def set_in_memory(self, effect: SetInMemory) -> None:
        object_id = effect.object_id
        if self._store is None:
            return
        if not effect.in_memory:
            self._loading.discard(object_id)
            self._memory.pop(object_id, None)
        elif object_id not in self._memory and object_id not in self._loading:
            self._loading.add(object_id)
            self._spawn(self._load(object_id))

    async def _load(self, object_id: str) -> None:
        content = await self._read(object_id)
        if object_id in self._loading:
            self._loading.discard(object_id)
            if content is not None:
                self._memory[object_id] = content

    def read(self, effect: ReadObject) -> None:
        self._spawn(self._hand_over(effect.object_id))

    async def _hand_over(self, object_id: str) -> None:
        text = self._memory.get(object_id)
        if text is None:
            text = await self._read(object_id)
        self._tell(ObjectRead(object_id=object_id, text=text))

    async def _read(self, object_id: str) -> bytes | None:
        """The bytes from disk, checked; None when they are not there any more."""
        if (growing := self._committing.get(object_id)) is not None:
            content = growing.whole()
            if content is not None:
                return content
        assert self._store is not None
        # In the store's thread, so that a commit under way comes first.
        try:
            return await self._thread.submit(_read_checked, self._store, object_id)
        except ObjectMissing as error:
            self._lost(object_id, str(error))
        except StoreError as error:
            self._note(str(error))
        return None

    def in_memory(self, object_id: str) -> bytes | None:
        """The bytes if they are in RAM."""
        return self._memory.get(object_id)

    def held_file(self, object_id: str) -> HeldFile | None:
        """The object's bytes in an open file, known to be undamaged. None: `open` it."""
        return None

    async def open(self, object_id: str, first: int = 0, size_bytes: int | None = None) -> Body:
        """The body, wherever it is, or the part of it. Raises BodyMissing, after the core was
        told."""
        content = self._memory.get(object_id)
        if content is not None:
            return MemoryBody(content, first, size_bytes)
        growing = self._committing.get(object_id)
        if growing is not None:
            return growing.reader(first)
        if self._store is None:
            self._lost(object_id, "not in memory")
            raise BodyMissing(object_id)
        is_new_to_us = object_id not in self._trusted
        store = self._store
        opening = self._reads.submit(lambda: _open(store, object_id, is_new_to_us))
        try:
            body = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_opened)
            raise
        except ObjectMissing as error:
            self._lost(object_id, str(error))
            raise BodyMissing(object_id) from error
        except StoreError as error:
            self._note(str(error))
            raise BodyMissing(object_id) from error
        whole_bytes = body.stored.size_bytes
        if whole_bytes <= VERIFY_BYTES_MAX:
            self._trusted.add(object_id)
        held = HeldFile(body.fd, 0, whole_bytes, self._reads, lambda held: os.close(held.fd))
        return FileBody(
            held, first, whole_bytes - first if size_bytes is None else size_bytes, self._reads
        )

    def restore(self) -> tuple[StoredObject, ...]:
        """What the store holds; call it before anything else. Blocks while it looks."""
        return self._store.scan() if self._store is not None else ()

    async def close(self) -> None:
        """Finish what is being written, let the store go."""
        for fill_id in tuple(self._fills):
            self.end(fill_id)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._thread.close()
        self._reads.close()
        if self._store is not None:
            self._store.close()

    def _lost(self, object_id: str, detail: str) -> None:
        logger.warning("object.lost object=%s detail=%s", object_id, detail)
        self._tell(ObjectLost(object_id=object_id, detail=detail))

    def _note(self, detail: str) -> None:
        self.store_failures += 1
        if detail != self.store_failure_last:
            logger.error("store.failed detail=%s", detail)
        self.store_failure_last = detail

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _weakly(method: Callable[[int], None]) -> Callable[[int], None]:
    """A body and its spool that held each other would keep their bytes until the garbage collector
    comes by: hundreds of bodies later, where the disk is slower than the misses."""
    held = weakref.WeakMethod(method)

    def call(count_bytes: int) -> None:
        if (found := held()) is not None:
            found(count_bytes)

    return call


def _open(store: DiskStore, object_id: str, is_new_to_us: bool) -> OpenBody:
    """In a reader thread. Bytes from before the node started are checked at their first use."""
    body = store.open_body(object_id)
    if is_new_to_us and body.stored.size_bytes <= VERIFY_BYTES_MAX:
        try:
            is_intact = store.verify(object_id)
        except StoreError:
            os.close(body.fd)
            raise
        if not is_intact:
            os.close(body.fd)
            raise ObjectMissing(f"{object_id} does not have the checksum it was stored with")
    return body


def _close_opened(opening: asyncio.Future[OpenBody]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result().fd)


def _read_checked(store: DiskStore, object_id: str) -> bytes:
    body = store.open_body(object_id)
    os.close(body.fd)
    content = store.read(object_id)
    if google_crc32c.value(content) != body.stored.crc32c:
        raise ObjectMissing(f"{object_id} does not have the checksum it was stored with")
    return content
