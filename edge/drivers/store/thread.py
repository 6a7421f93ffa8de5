"""The one thread that changes the store.

Work is handed over in lists: the thread is woken once for many jobs, carries them out with one
flush, and reports once. Waking it for each would cost more than the work (20 us and two fights
for the interpreter, against 35 us for 64 KB). Nobody waits for a commit, so the few milliseconds
of collecting cost nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final

import msgspec

from edge.drivers.store.types import Flushed, StoreError

QUEUE_BYTES_MAX: Final = 32 << 20
"""Waiting for the disk, of all fills together; above it fetching waits."""
BATCH_BYTES: Final = 1 << 20
BATCH_DELAY_S: Final = 0.004
"""The thread is woken when so much is waiting, or the first job is so old."""
PATIENCE_S: Final = 0.25
"""A disk that makes work wait longer does not keep up; a burst is through before."""
NICENESS: Final = 5
"""Of the thread. While it writes, a loop on the same core whose socket becomes readable would wait
for the end of its time slice, some 3 ms; a nicer thread is interrupted at once. Where the core is
never idle it gets a quarter: at 10 it got too little to store all misses of 64 KB."""

Done = Callable[[Any, StoreError | None], None]
"""What the work returned, or why it could not be done."""


class _Job(msgspec.Struct, gc=False):
    work: Callable[[], Any]
    size_bytes: int
    done: Done | None
    result: Any = None
    error: BaseException | None = None


class StoreThread:
    """Does work in the order it was handed over. `on_flushed` is told on the loop what came of it,
    before the jobs' own `done` are called."""

    def __init__(self, flush: Callable[[], Flushed], on_flushed: Callable[[Flushed], None]) -> None:
        self._flush = flush
        self._on_flushed = on_flushed
        self._jobs: list[_Job] = []
        self._jobs_bytes = 0
        self._queued_bytes = 0
        self._handed_s: deque[float] = deque()  # when each list under way was handed over
        self.patience_s = PATIENCE_S
        self._timer: asyncio.TimerHandle | None = None
        self._queue: SimpleQueue[list[_Job] | None] = SimpleQueue()
        self._waiting: list[Callable[[], None]] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Future[None] | None = None

    @property
    def queued_bytes(self) -> int:
        return self._queued_bytes

    @property
    def has_room(self) -> bool:
        return self._queued_bytes <= QUEUE_BYTES_MAX

    @property
    def is_behind(self) -> bool:
        """Whether the disk does not keep up: much is waiting, and has been for long."""
        if self._queued_bytes <= QUEUE_BYTES_MAX // 2 or not self._handed_s:
            return False
        return asyncio.get_running_loop().time() - self._handed_s[0] >= self.patience_s

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call back once, when the disk has caught up."""
        self._waiting.append(callback)

    def submit(
        self, work: Callable[[], Any], *, size_bytes: int = 0, done: Done | None = None
    ) -> None:
        """Do it in the thread; `size_bytes` counts as queued until it is done."""
        self._jobs.append(_Job(work, size_bytes, done))
        self._jobs_bytes += size_bytes
        self._queued_bytes += size_bytes
        if self._jobs_bytes >= BATCH_BYTES:
            self._hand_over()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BATCH_DELAY_S, self._hand_over)

    def when_done(self, callback: Callable[[], None]) -> None:
        """Do all that was submitted so far now, and call back once it is done and flushed."""
        self._jobs.append(_Job(_nothing, 0, lambda _, __: callback()))
        self._hand_over()

    async def close(self) -> None:
        """Return when all that was handed over is done and reported."""
        self._hand_over()
        if self._thread is not None:
            self._ended = asyncio.get_running_loop().create_future()
            self._queue.put(None)
            await self._ended
            self._thread.join()
            self._thread = None
            if self._jobs:  # what was reported led to more
                await self.close()

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._jobs:
            return
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._run, name="edge-store", daemon=True)
            self._thread.start()
        self._handed_s.append(asyncio.get_running_loop().time())
        self._queue.put(self._jobs)
        self._jobs = []
        self._jobs_bytes = 0

    def _run(self) -> None:
        assert self._loop is not None
        _give_way()
        while (jobs := self._queue.get()) is not None:
            broken: BaseException | None = None
            for job in jobs:
                try:
                    job.result = job.work()
                except BaseException as error:
                    job.error = error
            try:
                flushed = self._flush()
            except BaseException as error:
                broken, flushed = error, Flushed()
            self._loop.call_soon_threadsafe(self._report, jobs, flushed, broken)
        self._loop.call_soon_threadsafe(self._end)

    def _report(self, jobs: list[_Job], flushed: Flushed, broken: BaseException | None) -> None:
        self._handed_s.popleft()
        self._queued_bytes -= sum(job.size_bytes for job in jobs)
        self._on_flushed(flushed)
        for job in jobs:
            error = job.error
            if error is not None and not isinstance(error, StoreError):
                broken = error
                error = StoreError(f"internal error: {error}")
            if job.done is not None:
                job.done(job.result, error)
        if self.has_room and self._waiting:
            waiting, self._waiting = self._waiting, []
            for callback in waiting:
                callback()
        if broken is not None:
            raise broken

    def _end(self) -> None:
        if self._ended is not None:
            self._ended.set_result(None)


def _nothing() -> None:
    pass


def _give_way() -> None:
    """Let this thread be interrupted by the others; only Linux has niceness of threads."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
