"""Where bodies are: growing, in memory, on disk. Carries out what the core decides about them.

Between `Commit` and the record in the store's index the growing body itself serves the object, so
an object can be asked for from the moment the core knows it. Without a store every object lives in
memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from edge.drivers.body import Body, BodyBroken, BodyMissing, MemoryBody, next_piece
from edge.drivers.file_reads import FileReads
from edge.drivers.fill_bodies import FillBodies
from edge.drivers.growing import GrowingBody
from edge.drivers.growing_room import GROWING_BYTES_MAX, GrowingRoom
from edge.drivers.held import HeldFile
from edge.drivers.memory_copies import MemoryCopies
from edge.drivers.store.checksums import BLOCK_BYTES
from edge.drivers.store.disk import DiskStore
from edge.drivers.store.health import StoreHealth
from edge.drivers.store.thread import StoreThread
from edge.drivers.store.types import Flushed, StoreError
from edge.drivers.stored_bodies import StoredBodies
from edge.effects import (
    Commit,
    DropObject,
    ReadObject,
    SetInMemory,
    StoredObject,
    UpdateStored,
)
from edge.events import Event, ObjectLost, ObjectRead

COPY_BYTES_MAX: Final = 256 * 1024
"""Larger bodies that have just been fetched are not copied to be in one piece in RAM: that costs
1.3 ms for 2 MB, and what was just written is in the page cache."""
READYING_MAX: Final = 16
"""Files that are opened and checked ahead of their use at a time."""

Tell = Callable[[Event], None]


class Bodies:
    """All bodies of one edge. `store` None keeps every object in memory. Make it inside the
    running loop."""

    def __init__(
        self,
        store: DiskStore | None,
        tell: Tell,
        *,
        memory_object_bytes_max: int,
        growing_bytes_max: int = GROWING_BYTES_MAX,
        kept_bytes_max: int = 0,
        verify_every: int = 0,
    ) -> None:
        self.health = StoreHealth(asyncio.get_running_loop().time)
        self._store = store
        self._tell = tell
        self._reads = FileReads()
        self._copies = MemoryCopies(read=self._read, spawn=self._spawn)
        self.in_memory = self._copies.get
        """The bytes of an object if they are in RAM."""
        self._committing: dict[str, GrowingBody] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._readying: set[str] = set()
        self._thread: StoreThread | None = None
        self._stored: StoredBodies | None = None
        if store is not None:
            self._thread = StoreThread(store.flush, self._flushed)
            self._stored = StoredBodies(
                store,
                self._thread,
                self._reads,
                self.health,
                verify_every=verify_every,
                on_lost=self._lost,
            )
        self.fills = FillBodies(
            store,
            self._thread,
            reads=self._reads,
            health=self.health,
            room=GrowingRoom(growing_bytes_max, kept_bytes_max),
            memory_object_bytes_max=memory_object_bytes_max,
            tell=tell,
        )
        """Of what is fetched, until it is committed."""

    @property
    def queued_bytes(self) -> int:
        """Waiting to be written."""
        return self._thread.queued_bytes if self._thread is not None else 0

    @property
    def is_settled(self) -> bool:
        """Whether what was committed lies in the store, or was reported lost."""
        return not self._committing

    # From a fill to the store

    def commit(self, effect: Commit) -> None:
        stored = effect.stored
        object_id = stored.object_id
        body = self.fills.take(effect.fill_id)
        if body is None or not body.is_complete:
            self._lost(object_id, "the fill has ended before it was stored")
            return
        is_small = effect.in_memory and body.size_bytes <= COPY_BYTES_MAX
        content = body.whole() if is_small or self._store is None else None
        if content is not None:
            self._copies.put(object_id, content)
        elif effect.in_memory:
            self._copies.put_off(object_id)
        if self._store is None:
            if content is None:
                self._lost(object_id, "it was not kept whole")
            return
        if not self._store_body(body, stored):
            return
        self._committing[object_id] = body

    def _store_body(self, body: GrowingBody, stored: StoredObject) -> bool:
        store = self._store
        assert store is not None
        assert self._thread is not None
        spool = body.spool
        if spool is not None:
            if spool.failure is None:
                spool.commit(stored, lambda error: self._commit_failed(stored.object_id, error))
                return True
            self._uncommitted(stored.object_id, spool.failure)
            return False
        chunks = body.chunks()
        if chunks is None or body.make_spool is None:
            self._uncommitted(stored.object_id, "it was not kept whole")
            return False
        self._thread.submit(lambda: store.put(stored, chunks), size_bytes=body.size_bytes)
        return True

    def _commit_failed(self, object_id: str, error: StoreError) -> None:
        self.health.failed(error)
        self._uncommitted(object_id, str(error))

    def _uncommitted(self, object_id: str, detail: str) -> None:
        self._committing.pop(object_id, None)
        self._copies.drop(object_id)
        self._lost(object_id, detail)

    def _flushed(self, flushed: Flushed) -> None:
        """The store's thread has done what it was given."""
        if flushed.error is not None:
            self.health.failed(flushed.error)
        elif flushed.committed:
            self.health.worked()
        for object_id in flushed.committed:
            body = self._committing.pop(object_id, None)
            if body is not None and body.spool is not None and self._stored is not None:
                self._stored.adopt(object_id, body.spool.read_fd)
        for object_id, detail in flushed.failed:
            self._uncommitted(object_id, detail)
        for file_no in flushed.removed_files:
            assert self._stored is not None
            self._stored.files.file_removed(file_no)

    # Objects

    def update(self, effect: UpdateStored) -> None:
        if self._store is not None and self._thread is not None:
            store = self._store
            self._thread.submit(lambda: store.update(effect.stored))

    def drop(self, effect: DropObject) -> None:
        self._copies.drop(effect.object_id)
        self._committing.pop(effect.object_id, None)
        if self._stored is not None:
            self._stored.drop(effect.object_id)

    def set_in_memory(self, effect: SetInMemory) -> None:
        if self._store is None:
            return
        if effect.in_memory:
            self._copies.load(effect.object_id)
        else:
            self._copies.drop(effect.object_id)

    def copy(self, object_id: str) -> None:
        """Its file cannot be sent from, as with TLS: have it in RAM from now on if it ought to be
        there."""
        if object_id not in self._committing:
            self._copies.load_put_off(object_id)

    def read(self, effect: ReadObject) -> None:
        self._spawn(self._hand_over(effect.object_id))

    async def _hand_over(self, object_id: str) -> None:
        text = await self._read(object_id)
        self._tell(ObjectRead(object_id=object_id, text=text))

    async def _read(self, object_id: str) -> bytes | None:
        """All bytes, checked; None when they are not there any more."""
        content = self._copies.get(object_id)
        if content is not None:
            return content
        parts: list[bytes] = []
        try:
            body = await self.open(object_id)
            try:
                while piece := await next_piece(body, BLOCK_BYTES):
                    parts.append(bytes(piece))
            finally:
                body.close()
        except (BodyMissing, BodyBroken):
            return None
        return b"".join(parts)

    def held_file(self, object_id: str) -> HeldFile | None:
        """The object's bytes in an open file, known to be undamaged. None: `open` it."""
        return self._stored.held(object_id) if self._stored is not None else None

    def ready_file(self, object_id: str) -> None:
        """Open and check the object's file meanwhile, so that `held_file` will give it: what is in
        memory is mostly served from there, and its file never opened."""
        if (
            self._stored is not None
            and len(self._readying) < READYING_MAX
            and object_id not in self._readying
            and object_id not in self._committing
        ):
            self._readying.add(object_id)
            self._spawn(self._ready(object_id, self._stored))

    async def _ready(self, object_id: str, stored: StoredBodies) -> None:
        try:
            await stored.verify(object_id)
        finally:
            self._readying.discard(object_id)

    async def open(self, object_id: str, first: int = 0, size_bytes: int | None = None) -> Body:
        """The body, wherever it is, or a part of it. Raises BodyMissing, after the core was
        told. What is still being written may give more than `size_bytes`."""
        content = self._copies.get(object_id)
        if content is not None:
            return MemoryBody(content, first, size_bytes)
        growing = self._committing.get(object_id)
        if growing is not None:
            return growing.reader(first)
        if self._stored is None:
            self._lost(object_id, "not in memory")
            raise BodyMissing(object_id)
        return await self._stored.open(object_id, first, size_bytes)

    async def verify(self, object_id: str) -> bool:
        """Whether the object is all there and undamaged; if not, the core was told. For whoever
        gives objects to other nodes; nothing in this one asks."""
        if object_id in self._copies or object_id in self._committing:
            return True
        return self._stored is not None and await self._stored.verify(object_id)

    # The store as a whole

    @property
    def is_recorded(self) -> bool:
        """Whether what was dropped stays so, even if the node is killed now."""
        return self._stored is None or self._stored.is_recorded

    def when_recorded(self, callback: Callable[[], None]) -> None:
        """Call back once, when all changes so far outlive the node; now, without a store."""
        if self._thread is None:
            callback()
        else:
            self._thread.when_done(callback)

    def restore(self) -> tuple[StoredObject, ...]:
        """What the store holds; call it before anything else. Blocks while it looks."""
        if self._store is None:
            return ()
        found = self._store.scan()
        self.health.damaged_count += self._store.damaged_count
        return found

    def begin_upkeep(self, scrub_bytes_per_s: float = 0.0) -> None:
        """Clear away what nobody knows any more, and check what is there; all behind the work."""
        if self._store is None or self._stored is None:
            return
        self._reads.submit(self._store.clear_trash)
        self._sweep(True, None)
        if scrub_bytes_per_s > 0:
            self._spawn(self._stored.scrub(scrub_bytes_per_s))

    def _sweep(self, is_more: bool | None, error: StoreError | None) -> None:
        if error is not None:
            self.health.noted(error)
        if (is_more or error is not None) and self._store is not None and self._thread is not None:
            self._thread.submit(self._store.sweep, done=self._sweep)

    async def close(self) -> None:
        """Finish what is being written, let the store go."""
        self.fills.end_all()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._stored is not None:
            self._stored.close()
        if self._thread is not None:
            await self._thread.close()
        if self._store is not None:
            self._store.flush()  # drops that a full disk did not take earlier
        self._reads.close()
        if self._store is not None:
            self._store.close()

    def _lost(self, object_id: str, detail: str) -> None:
        self.health.lost(object_id, detail)
        self._tell(ObjectLost(object_id=object_id, detail=detail))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
