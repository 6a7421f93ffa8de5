"""The one thread that changes the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

QUEUE_BYTES_MAX: Final = 32 << 20
"""Waiting for the disk, of all fills together; above it fetching waits."""

ResultT = TypeVar("ResultT")


class StoreThread:
    """The one thread that changes the store. Work is done in the order it was handed over."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edge-store")
        self._queued_bytes = 0
        self._waiting: list[Callable[[], None]] = []

    @property
    def queued_bytes(self) -> int:
        return self._queued_bytes

    def submit(
        self, work: Callable[..., ResultT], *arguments: Any, size_bytes: int = 0
    ) -> asyncio.Future[ResultT]:
        """Run it in the thread; `size_bytes` counts as queued until it has run."""
        self._queued_bytes += size_bytes
        future = asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)
        if size_bytes:
            future.add_done_callback(lambda _: self._done(size_bytes))
        return future

    @property
    def has_room(self) -> bool:
        return self._queued_bytes <= QUEUE_BYTES_MAX

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call back once, when the disk has caught up."""
        self._waiting.append(callback)

    async def close(self) -> None:
        """Return when all that was handed over is done."""
        await asyncio.get_running_loop().run_in_executor(self._executor, lambda: None)
        self._executor.shutdown()

    def _done(self, size_bytes: int) -> None:
        self._queued_bytes -= size_bytes
        if self.has_room and self._waiting:
            waiting, self._waiting = self._waiting, []
            for callback in waiting:
                callback()
