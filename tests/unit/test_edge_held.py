from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.drivers.body import next_piece
from edge.drivers.file_body import FileBody
from edge.drivers.file_reads import PROBE_STEP_BYTES, FileReads
from edge.drivers.held import HeldFile, HeldFiles
from edge.drivers.store.checksums import sums_of
from edge.drivers.store.types import Location

BODY = bytes(range(256)) * 4096
START = 4096


def run(work: Coroutine[Any, Any, None]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20.0):
            await work

    asyncio.run(main())


class World:
    """Some files with one body each, behind a page of something else."""

    def __init__(self, folder: Path, open_max: int = 2) -> None:
        self.freed: list[str] = []
        self.later: list[Callable[[], None]] = []
        self.reads = FileReads()
        self.files = HeldFiles(
            self.reads, open_max, on_free=self.freed.append, close_later=self.later.append
        )
        self._folder = folder

    def hold(self, number: int) -> HeldFile:
        path = self._folder / str(number)
        if not path.exists():
            path.write_bytes(bytes(START) + BODY)
        location = Location(number, START, len(BODY), sums_of([BODY]), 0, 0)
        held = self.files.hold(f"{number:08x}", location)
        if held is None:
            self.files.add(number, os.open(path, os.O_RDONLY))
            held = self.files.hold(f"{number:08x}", location)
        assert held is not None
        return held


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.files.close()
    world.reads.close()


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_least_recently_used_files_are_closed_and_held_ones_are_not(world: World) -> None:
    first = world.hold(1)
    first.acquire()
    second = world.hold(2)
    third = world.hold(3)
    assert is_open(first.fd)
    assert not is_open(second.fd)
    assert world.files.get("00000002") is None
    assert world.files.get("00000003") is third
    assert world.hold(1) is first
    first.release()
    assert is_open(first.fd)  # kept for the next


def test_dropped_object_is_freed_when_the_last_one_has_sent_it(world: World) -> None:
    held = world.hold(1)
    held.acquire()
    held.acquire()
    assert world.files.drop(held.object_id)
    assert world.files.get(held.object_id) is None
    held.release()
    assert world.freed == []
    held.release()
    assert world.freed == [held.object_id]
    assert not world.files.drop("00000009")


def test_only_idle_objects_are_forgotten_when_there_are_too_many(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.drivers.held.HELD_MAX", 1)
    first = world.hold(1)
    first.acquire()
    second = world.hold(2)
    assert world.files.drop(first.object_id)  # so that its room is not given away under its sender
    world.hold(1)
    assert world.files.get(second.object_id) is None
    first.release()
    assert world.freed == [first.object_id]


def test_deleted_file_stays_open_for_its_sender_and_is_closed_in_a_thread(world: World) -> None:
    held = world.hold(1)
    held.acquire()
    world.files.file_removed(1)
    assert os.pread(held.fd, 3, held.start) == BODY[:3]
    assert world.later == []
    held.release()
    assert len(world.later) == 1
    world.later[0]()
    assert not is_open(held.fd)


def test_probe_tells_what_is_cached_and_a_thread_brings_in_what_is_not(world: World) -> None:
    async def main() -> None:
        held = world.hold(1)
        os.fsync(held.fd)
        if not FileReads().is_cached(held.fd, 0, 1):
            pytest.skip("this file system cannot be asked what is in the page cache")
        os.posix_fadvise(held.fd, 0, 0, os.POSIX_FADV_DONTNEED)
        if world.reads.is_cached(held.fd, START, len(BODY)):
            pytest.skip("this file system keeps everything in memory")
        assert not held.is_cached(0, len(BODY))
        came = asyncio.Event()
        held.when_cached(0, len(BODY), came.set)
        assert held.holder_count == 1
        await came.wait()
        assert held.holder_count == 0
        assert held.is_cached(0, len(BODY))
        assert held.is_cached(len(BODY), 0)

    run(main())


def test_probes_are_few_and_reach_the_last_byte(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: list[int] = []

    def probe(_: int, __: object, offset: int, ___: int) -> int:
        places.append(offset)
        return 1

    monkeypatch.setattr(os, "preadv", probe)
    assert world.hold(1).is_cached(0, 3 * PROBE_STEP_BYTES)
    step = PROBE_STEP_BYTES
    assert places == [START, START + step, START + 2 * step, START + 3 * step - 1]


def test_file_system_that_cannot_say_is_remembered_and_always_read_in_threads(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def unsupported(*_: object) -> int:
        nonlocal calls
        calls += 1
        raise OSError(errno.EOPNOTSUPP, "not here")

    async def main() -> None:
        held = world.hold(1)
        with monkeypatch.context() as patch:
            patch.setattr(os, "preadv", unsupported)
            assert not held.is_cached(0, 100)
            assert not held.is_cached(0, 100)
            assert world.reads.read_now(held.fd, 0, 10) is None
        assert calls == 1
        body = FileBody(held, 5, 10, world.reads, _unexpected)
        assert body.take(100) == b""
        assert bytes(await next_piece(body, 100)) == BODY[5:15]
        assert body.is_over
        body.close()

    run(main())


def test_cold_read_never_runs_on_the_loops_thread(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()
    real = os.pread

    def watched(fd: int, size: int, offset: int) -> bytes:
        threads.add(threading.current_thread().name)
        return real(fd, size, offset)

    def cold(*_: object) -> int:
        raise BlockingIOError

    async def main() -> None:
        monkeypatch.setattr(os, "preadv", cold)
        monkeypatch.setattr(os, "pread", watched)
        held = world.hold(1)
        for unchecked in (0, 1):
            held.location.unchecked = unchecked
            body = FileBody(held, 7, 100_000, world.reads, _unexpected)
            got = b""
            while piece := await next_piece(body, 30_000):
                got += piece
            body.close()
            assert got == BODY[7:100_007]
        assert held.location.unchecked == 0
        assert held.holder_count == 0
        assert all(name.startswith("edge-read") for name in threads)

    run(main())


def test_body_closed_during_a_read_keeps_its_file_until_the_read_has_ended(world: World) -> None:
    async def main() -> None:
        held = world.hold(1)
        held.location.unchecked = 1
        body = FileBody(held, 0, 10, world.reads, _unexpected)
        body.when_more(_never)
        body.close()
        assert held.holder_count == 1
        while held.holder_count:  # noqa: ASYNC110 - it is the count that is asked about
            await asyncio.sleep(0)

    run(main())


def test_file_that_became_shorter_is_a_failure_and_no_end(world: World, tmp_path: Path) -> None:
    failures: list[str] = []

    async def main() -> None:
        held = world.hold(1)
        os.truncate(tmp_path / "1", START + 100)
        body = FileBody(held, 0, 1000, world.reads, lambda _, detail: failures.append(detail))
        assert bytes(await next_piece(body, 1000)) == BODY[:100]
        assert body.take(1000) == b""
        came = asyncio.Event()
        body.when_more(came.set)
        await came.wait()
        assert body.failure == "it is cut off"
        assert failures == ["it is cut off"]
        body.close()

    run(main())


def _unexpected(_: HeldFile, detail: str) -> None:
    pytest.fail(detail)


def _never() -> None:
    pytest.fail("a closed body called back")
