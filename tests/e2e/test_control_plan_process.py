"""The process that plans are made in: kept, ended, and begun anew."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from origin.drivers.control import plan_process
from origin.drivers.control.admin.routes import ApiError
from origin.drivers.control.plan_process import PlanProcess

WAIT_S = 20.0


@contextlib.contextmanager
def processes(kept_bytes_max: int = 10**12) -> Iterator[PlanProcess]:
    process = PlanProcess(kept_bytes_max)
    try:
        yield process
    finally:
        process.close()


def is_over(process_id: int) -> bool:
    """A killed one stays a zombie until it is waited for."""
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


async def ends(process_id: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while not is_over(process_id):  # noqa: ASYNC110 - the kernel sets no event
            await asyncio.sleep(0.01)


def test_one_process_does_one_piece_after_the_other_and_may_be_killed_between() -> None:
    async def story() -> None:
        with processes() as process:
            first, again = await asyncio.gather(*(process.work(os.getpid) for _ in range(2)))
            assert again == first != os.getpid()
            os.kill(first, signal.SIGKILL)
            await ends(first)
            assert await process.work(os.getpid) != first

    asyncio.run(story())


def test_a_piece_that_fails_ends_its_process() -> None:
    async def story() -> None:
        with processes() as process:
            first = await process.work(os.getpid)
            with pytest.raises(ZeroDivisionError):
                await process.work(divmod, 1, 0)
            await ends(first)

    asyncio.run(story())


def test_a_piece_that_takes_too_long_ends_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        with processes() as process:
            first = await process.work(os.getpid)
            monkeypatch.setattr(plan_process, "WORK_S_MAX", 0.05)
            with pytest.raises(ApiError, match="took more than") as caught:
                await process.work(time.sleep, 600)
            assert caught.value.status == 504
            await ends(first)

    asyncio.run(story())


def test_a_process_that_has_grown_is_ended() -> None:
    async def story() -> None:
        with processes(kept_bytes_max=1) as process:
            first = await process.work(os.getpid)
            await ends(first)
            assert await process.work(os.getpid) != first

    asyncio.run(story())


def test_a_process_that_is_no_longer_waited_for_is_ended() -> None:
    async def story() -> None:
        with processes() as process:
            first = await process.work(os.getpid)
            asking = asyncio.ensure_future(process.work(time.sleep, 600))
            await asyncio.sleep(0)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await ends(first)

    asyncio.run(story())


def test_what_is_asked_as_an_origin_ends_begins_no_process() -> None:
    async def story() -> None:
        with processes() as process:
            first = await process.work(os.getpid)
            process.close()
            with pytest.raises(ApiError, match="about to end"):
                await process.work(os.getpid)
            await ends(first)

    asyncio.run(story())
