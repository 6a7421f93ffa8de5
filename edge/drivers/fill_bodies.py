"""The growing bodies of open fills, and why one of them will not be stored."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Final

from edge.drivers.file_reads import FileReads
from edge.drivers.growing import GrowingBody
from edge.drivers.growing_room import GrowingRoom
from edge.drivers.spool import Spool
from edge.drivers.store.disk import DiskStore
from edge.drivers.store.health import StoreHealth
from edge.drivers.store.thread import StoreThread
from edge.drivers.store.types import StoreError
from edge.effects import StreamOnly
from edge.events import Event, FillFailed

WINDOW_BYTES_MIN: Final = 8 << 20


class FillBodies:
    """By the fill's id, from its beginning until it is committed or over."""

    def __init__(
        self,
        store: DiskStore | None,
        thread: StoreThread | None,
        *,
        reads: FileReads,
        health: StoreHealth,
        room: GrowingRoom,
        memory_object_bytes_max: int,
        tell: Callable[[Event], None],
    ) -> None:
        """`thread`: of the store, if there is one."""
        self._store = store
        self._thread = thread
        self._reads = reads
        self._health = health
        self._room = room
        self._window_bytes = max(WINDOW_BYTES_MIN, memory_object_bytes_max)
        self._tell = tell
        self._fills: dict[int, GrowingBody] = {}

    def __len__(self) -> int:
        return len(self._fills)

    def begin(self, fill_id: int) -> GrowingBody:
        refusal = self._refusal()
        thread = self._thread if refusal is None else None
        body = GrowingBody(
            window_bytes=self._window_bytes, reads=self._reads, thread=thread, room=self._room
        )
        if refusal is not None:
            body.on_not_stored = lambda: self._not_stored(fill_id, refusal)
        elif self._store is not None:
            body.make_spool = lambda growing: self._spool(fill_id, growing)
        else:
            body.on_crowded = lambda: self._not_stored(fill_id, "too much is fetched at once")
        self._fills[fill_id] = body
        return body

    def get(self, fill_id: int) -> GrowingBody | None:
        return self._fills.get(fill_id)

    def take(self, fill_id: int) -> GrowingBody | None:
        """To be stored."""
        return self._fills.pop(fill_id, None)

    def end(self, fill_id: int) -> None:
        """The fill is over and not kept; its readers still get what is there."""
        body = self._fills.pop(fill_id, None)
        if body is not None and body.spool is not None:
            body.spool.abandon()

    def end_all(self) -> None:
        for fill_id in tuple(self._fills):
            self.end(fill_id)

    def stream_only(self, effect: StreamOnly) -> None:
        """Keep no more of this fill than its readers need."""
        body = self._fills.get(effect.fill_id)
        if body is not None:
            body.become_passing()

    def _refusal(self) -> str | None:
        """Why what is fetched now will not be stored. No client waits for a slow disk."""
        if self._thread is None:
            return None
        if self._thread.is_behind:
            return "the disk does not keep up"
        return None if self._health.may_try() else "the store takes nothing"

    def _spool(self, fill_id: int, body: GrowingBody) -> Spool:
        assert self._store is not None
        assert self._thread is not None
        return Spool(
            self._store,
            self._thread,
            on_written=_weakly(body.trim),
            on_failure=lambda error: self._spool_failed(fill_id, error),
        )

    def _spool_failed(self, fill_id: int, error: StoreError) -> None:
        self._health.failed(error)
        body = self._fills.get(fill_id)
        if body is not None:
            self._not_stored(fill_id, str(error))
            body.become_passing()

    def _not_stored(self, fill_id: int, detail: str) -> None:
        if fill_id in self._fills:
            self._tell(FillFailed(fill_id=fill_id, cause="disk", detail=detail))


def _weakly(method: Callable[[int], None]) -> Callable[[int], None]:
    """A body and its spool that held each other would keep their bytes until the garbage collector
    comes by: hundreds of bodies later, where the disk is slower than the misses."""
    held = weakref.WeakMethod(method)

    def call(count_bytes: int) -> None:
        if (found := held()) is not None:
            found(count_bytes)

    return call
