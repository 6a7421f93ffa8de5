"""Runs pieces of `plan_worker` in a process of their own, which is kept from one to the next.

One piece at a time: others wait for their turn.

A plan goes on from what the one before has taken in, so the process stays. It is ended when a piece
of work fails, takes too long or is no longer waited for, and when it has grown beyond
`KEPT_BYTES_MAX`; the next piece then has a fresh one, which takes everything in anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final, TypeVar

from origin.drivers.control import plan_worker
from origin.drivers.control.admin.routes import ApiError

WORK_S_MAX: Final = 600.0
KEPT_BYTES_MAX: Final = 2_000_000_000
"""Of memory that a process may have while it waits for the next plan."""

ResultT = TypeVar("ResultT")


class PlanProcess:
    """`work`; then `close`, after which nothing is begun."""

    def __init__(self, kept_bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._kept_bytes_max = kept_bytes_max
        self._turn = asyncio.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._is_closed = False

    async def work(self, work: Callable[..., ResultT], *arguments: Any) -> ResultT:
        """What `work` returns. Raises ApiError when it takes too long or ends before its time, and
        what `work` raises."""
        async with self._turn:
            if self._pool is not None:
                # It may have been ended while it waited, or by this: then a fresh one is, too.
                with contextlib.suppress(BrokenProcessPool):
                    return await self._do(work, *arguments)
            try:
                return await self._do(work, *arguments)
            except BrokenProcessPool as error:
                raise ApiError(
                    500, "failed", "the planner's process ended before its time"
                ) from error

    def close(self) -> None:
        self._is_closed = True
        self._end()

    def _end(self) -> None:
        if self._pool is not None:
            _terminate(self._pool)
            self._pool = None

    async def _do(self, work: Callable[..., ResultT], *arguments: Any) -> ResultT:
        if self._is_closed:
            raise ApiError(503, "closing", "this origin is about to end: ask again in a moment")
        loop = asyncio.get_running_loop()
        pool = self._pool = self._pool or _begun()
        is_kept = False
        try:
            async with asyncio.timeout(WORK_S_MAX):
                result = await loop.run_in_executor(pool, work, *arguments)
                size_bytes = await loop.run_in_executor(pool, plan_worker.memory_bytes)
            is_kept = 0 < size_bytes <= self._kept_bytes_max
            return result
        except TimeoutError as error:
            raise ApiError(504, "slow", f"the plan took more than {WORK_S_MAX:.0f} s") from error
        finally:
            if not is_kept:
                self._end()


def _begun() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn"), initializer=plan_worker.begin
    )


def _terminate(pool: ProcessPoolExecutor) -> None:
    for process in tuple((pool._processes or {}).values()):
        process.terminate()
    pool.shutdown(wait=False, cancel_futures=True)
