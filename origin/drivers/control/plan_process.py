"""Runs a piece of `plan_worker` in a process of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final, TypeVar

from origin.drivers.control import plan_worker
from origin.drivers.control.admin.routes import ApiError

WORK_S_MAX: Final = 600.0

ResultT = TypeVar("ResultT")


async def work_apart(work: Callable[..., ResultT], *arguments: Any) -> ResultT:
    """What `work` returns. Raises ApiError when it takes too long or ends before its time, and
    what `work` raises."""
    # A fresh process each time: plans are rare, and its memory is given back.
    pool = ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn"), initializer=plan_worker.begin
    )
    try:
        async with asyncio.timeout(WORK_S_MAX):
            return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)
    except TimeoutError as error:
        raise ApiError(504, "slow", f"the plan took more than {WORK_S_MAX:.0f} s") from error
    except BrokenProcessPool as error:
        raise ApiError(500, "failed", "the planner's process ended before its time") from error
    finally:
        for process in tuple((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
