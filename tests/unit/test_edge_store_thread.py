"""The thread that changes the store: whom it gives way to, and when it counts as behind."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

import pytest

from edge.drivers.store.thread import NICENESS, QUEUE_BYTES_MAX, StoreThread
from edge.drivers.store.types import Flushed


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness on Linux alone")
def test_thread_gives_way_and_the_loop_stays_as_it_was() -> None:
    async def main() -> int:
        found: list[int] = []
        thread = StoreThread(Flushed, lambda flushed: None)
        thread.submit(lambda: found.append(os.getpriority(os.PRIO_PROCESS, 0)))
        await thread.close()
        return found[0]

    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert asyncio.run(main()) == min(NICENESS, 19)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_disk_is_behind_when_much_has_waited_for_long() -> None:
    async def main() -> None:
        goes_on = threading.Event()
        thread = StoreThread(Flushed, lambda flushed: None)
        thread.submit(goes_on.wait, size_bytes=QUEUE_BYTES_MAX // 2 + 1)
        assert not thread.is_behind  # a burst is no slow disk
        thread.patience_s = 0.0
        assert thread.is_behind
        goes_on.set()
        await thread.close()
        assert not thread.is_behind
        assert thread.queued_bytes == 0

    asyncio.run(main())


def test_little_that_waits_long_is_not_behind() -> None:
    async def main() -> None:
        goes_on = threading.Event()
        thread = StoreThread(Flushed, lambda flushed: None)
        thread.patience_s = 0.0
        thread.submit(goes_on.wait, size_bytes=1 << 20)
        assert not thread.is_behind
        goes_on.set()
        await thread.close()

    asyncio.run(main())
