"""A store whose disk is full, read-only, failing, or out of descriptors: the node serves on."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.drivers.bodies import Bodies
from edge.drivers.body import BodyBroken, BodyMissing, next_piece
from edge.drivers.store import health
from edge.drivers.store.checksums import BLOCK_BYTES
from edge.drivers.store.disk import DiskStore
from edge.effects import Commit, DropObject, StoredObject
from edge.events import Event, FillFailed, ObjectLost
from tests.e2e.test_edge_bodies import room_in
from tests.store_victim import body_of, described

if TYPE_CHECKING:
    from tests.e2e.conftest import FaultyOrigin, StartEdge

LIMIT_S = 20.0
LARGE = bytes(range(256)) * 4096 * 3


class World:
    """Bodies on a real store, and what they tell the core."""

    def __init__(self, folder: Path, **settings: int) -> None:
        self.events: list[Event] = []
        self.store = DiskStore(folder)
        self.store.open()
        self.bodies = Bodies(self.store, self.events.append, memory_object_bytes_max=0, **settings)
        self.found = self.bodies.restore()
        self._fill_id = 0

    async def fetch(self, object_id: str, body: bytes | None = None) -> StoredObject | None:
        """Fill and store as the core would; None when the core was told not to."""
        content = body_of(object_id) if body is None else body
        stored = described(object_id, content)
        self._fill_id += 1
        growing = self.bodies.fills.begin(self._fill_id)
        reader = growing.reader()
        for first in range(0, len(content), 100_000):
            growing.append(content[first : first + 100_000])
            await room_in(growing)
        growing.finish()
        got = b""
        while piece := await next_piece(reader, 1 << 20):
            got += piece
        reader.close()
        assert got == content  # whatever the disk does
        failed = [one for one in self.events if isinstance(one, FillFailed)]
        if any(one.fill_id == self._fill_id for one in failed):
            self.bodies.fills.end(self._fill_id)
            return None
        self.bodies.commit(Commit(fill_id=self._fill_id, stored=stored, in_memory=False))
        await self.settled()
        lost = {one.object_id for one in self.events if isinstance(one, ObjectLost)}
        return None if object_id in lost else stored

    async def settled(self) -> None:
        while not self.bodies.is_settled:  # noqa: ASYNC110 - that is what is asked about
            await asyncio.sleep(0.001)

    async def read(self, object_id: str) -> bytes:
        body = await self.bodies.open(object_id)
        parts = []
        try:
            while piece := await next_piece(body, 100_000):
                parts.append(bytes(piece))
        finally:
            body.close()
        return b"".join(parts)


def within_limit(work: Coroutine[Any, Any, None]) -> None:
    async def main() -> None:
        async with asyncio.timeout(LIMIT_S):
            await work

    asyncio.run(main())


@contextmanager
def failing_writes(code: int) -> Iterator[None]:
    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwritev", fail)
        patch.setattr(os, "pwrite", fail)
        yield


@pytest.mark.parametrize(
    ("code", "state"),
    [(errno.ENOSPC, "full"), (errno.EROFS, "read-only"), (errno.EIO, "failing")],
)
@pytest.mark.parametrize("is_large", [False, True])
def test_store_that_takes_nothing_is_left_alone_said_once_and_tried_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: int,
    state: str,
    is_large: bool,
) -> None:
    caplog.set_level(logging.WARNING)
    body = LARGE if is_large else b"small"

    async def main() -> None:
        world = World(tmp_path / "store")
        assert await world.fetch("0a" * 8) is not None
        monkeypatch.setattr(health, "RETRY_S", 1000.0)
        with failing_writes(code):
            for number in range(20):
                assert await world.fetch(f"{number:016x}", body) is None
                assert world.bodies.health.state == state
            assert await world.read("0a" * 8) == body_of("0a" * 8)
        told = [one for one in world.events if isinstance(one, FillFailed)]
        assert len(told) >= 19  # after the first, the core hears before it makes room for them
        said = [one.getMessage() for one in caplog.records if "store." in one.getMessage()]
        assert len(said) == 1, said
        monkeypatch.setattr(health, "RETRY_S", 0.0)
        world.bodies.health._retry_s = 0.0
        assert await world.fetch("0b" * 8, body) is not None
        assert world.bodies.health.state == "ok"
        assert "store.recovered" in caplog.records[-1].getMessage()
        assert await world.read("0b" * 8) == body
        await world.bodies.close()

    within_limit(main())


def test_full_disk_goes_on_taking_drops_so_that_room_returns(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path / "store")
        await world.fetch("0a" * 8, bytes(50_000))
        await world.fetch("0b" * 8, bytes(50_000))
        (volume,) = (tmp_path / "store" / "bodies").iterdir()
        before = volume.stat().st_blocks
        with failing_writes(errno.ENOSPC):
            world.bodies.drop(DropObject(object_id="0a" * 8))
            await world.fetch("0c" * 8)
        assert volume.stat().st_blocks <= before - 90
        await world.bodies.close()
        again = World(tmp_path / "store")
        assert [stored.object_id for stored in again.found] == ["0b" * 8]
        await again.bodies.close()

    within_limit(main())


def test_no_client_waits_for_a_disk_that_does_not_keep_up(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path / "store")
        goes_on = threading.Event()
        thread = world.bodies._thread
        assert thread is not None
        thread.patience_s = 0.0
        thread.submit(goes_on.wait, size_bytes=20 << 20)
        assert await world.fetch("0a" * 8, LARGE) is None  # its reader got all of it
        goes_on.set()
        while thread.queued_bytes:  # noqa: ASYNC110 - it is the figure that is asked about
            await asyncio.sleep(0.001)
        assert world.bodies.health.state == "ok"
        assert await world.fetch("0b" * 8, LARGE) is not None
        await world.bodies.close()

    within_limit(main())


def test_room_of_a_dropped_object_is_given_back_only_behind_its_last_reader(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        world = World(tmp_path / "store")
        names = ["0a" * 8, "0b" * 8, "0c" * 8]
        for name in names:
            await world.fetch(name, LARGE[:100_000])
        slow = await world.bodies.open(names[0])
        held = world.bodies.held_file(names[1])
        assert held is not None
        held.acquire()
        (volume,) = (tmp_path / "store" / "bodies").iterdir()
        before = volume.stat().st_blocks
        for name in names[:2]:
            world.bodies.drop(DropObject(object_id=name))
            assert world.bodies.held_file(name) is None
        await world.fetch("0d" * 8, b"")  # what was asked before is done when this is
        assert volume.stat().st_blocks == before
        assert os.pread(held.fd, held.size_bytes, held.start) == LARGE[:100_000]
        assert bytes(await next_piece(slow, 1 << 20)) == LARGE[:100_000]
        slow.close()
        held.release()
        await world.fetch("0e" * 8, b"")
        assert volume.stat().st_blocks <= before - 2 * 190
        assert await world.read(names[2]) == LARGE[:100_000]
        await world.bodies.close()

    within_limit(main())


def test_disk_that_cannot_be_read_loses_the_object_and_not_the_node(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path / "store")
        await world.fetch("0a" * 8)
        await world.bodies.close()
        world = World(tmp_path / "store")

        def fail(*_: object) -> bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "pread", fail)
            with pytest.raises(BodyMissing, match="Input/output error"):
                await world.read("0a" * 8)
        assert [type(event) for event in world.events] == [ObjectLost]
        assert world.bodies.health.damaged_count == 1
        await world.bodies.close()

    within_limit(main())


def test_damage_behind_the_first_block_cuts_a_large_body_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.drivers.stored_bodies.CHECKED_AHEAD_BYTES_MAX", len(LARGE) - 1)

    async def main() -> None:
        world = World(tmp_path / "store")
        await world.fetch("0a" * 8, LARGE)
        await world.bodies.close()
        (path,) = (tmp_path / "store" / "bodies").iterdir()
        with path.open("r+b") as file:
            file.seek(BLOCK_BYTES + 5)
            file.write(b"!")
        world = World(tmp_path / "store")
        body = await world.bodies.open("0a" * 8)
        got = b"".join([bytes(await next_piece(body, BLOCK_BYTES // 4)) for _ in range(4)])
        assert got == LARGE[:BLOCK_BYTES]
        with pytest.raises(BodyBroken, match="checksum"):
            await next_piece(body, 300_000)
        body.close()
        assert [type(event) for event in world.events] == [ObjectLost]
        late = await world.bodies.open("0a" * 8, 2 * BLOCK_BYTES, 10)  # another block is good
        assert bytes(late.take(100)) == LARGE[:10]
        late.close()
        await world.bodies.close()

    within_limit(main())


def test_rot_under_a_running_node_is_found_by_samples_scrubbing_and_before_a_peer_gets_it(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        world = World(tmp_path / "store", verify_every=3)
        names = [f"{number:016x}" for number in range(3)]
        for name in names:
            await world.fetch(name, LARGE)
            assert await world.bodies.verify(name)
        for path in (tmp_path / "store" / "bodies").iterdir():
            with path.open("r+b") as file:
                file.seek(100)
                file.write(b"!")
        assert not await world.bodies.verify(names[0])
        assert await world.read(names[1]) != LARGE  # not every opening checks
        assert await world.read(names[1]) != LARGE
        with pytest.raises(BodyMissing):
            await world.read(names[1])
        world.bodies.begin_upkeep(1e12)
        while world.bodies.health.damaged_count < 3:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.001)
        lost = [one.object_id for one in world.events if isinstance(one, ObjectLost)]
        assert sorted(lost) == names
        await world.bodies.close()

    within_limit(main())


_FEW_DESCRIPTORS = """
import asyncio, os, resource, sys
from pathlib import Path
from tests.e2e.test_edge_store_faults import World, LARGE

async def main():
    world = World(Path(sys.argv[1]))
    names = [f"{number:016x}" for number in range(40)]
    for name in names:
        assert await world.fetch(name, LARGE[: 2 << 20]) is not None
    for name in names:
        await world.read(name)
    spare = []
    try:
        while True:
            spare.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    for name in names:  # with those that are open already, one after the other
        assert await world.read(name) == LARGE[: 2 << 20]
    assert len(world.bodies._stored.files) <= 16
    await world.fetch("0b" * 8, LARGE)  # it is served all the same
    for fd in spare:
        os.close(fd)
    world.bodies.health._retry_s = 0.0
    assert await world.fetch("0c" * 8, LARGE) is not None
    assert world.bodies.health.state == "ok"
    await world.bodies.close()

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
asyncio.run(main())
print("served")
"""


def test_out_of_descriptors_what_is_stored_is_served_with_those_there_are(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _FEW_DESCRIPTORS, str(tmp_path / "store")],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=LIMIT_S * 2,
        check=False,
    )
    assert done.stdout == "served\n", done.stderr


def test_no_more_files_are_open_than_a_share_of_what_the_process_may(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def main() -> None:
        world = World(tmp_path / "store")
        for number in range(30):
            name = f"{number:016x}"
            await world.fetch(name, LARGE[: 2 << 20])
            await world.read(name)
        assert world.bodies._stored is not None
        assert len(world.bodies._stored.files) == 16
        await world.bodies.close()

    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        within_limit(main())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_disk_that_fills_up_and_gets_room_again_under_a_real_node(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path: Path
) -> None:
    # The limit on the size of a file stands in for a full disk: a large body does not fit, the
    # shared file ends early and the next one takes over.
    origin.serve("/large", LARGE)
    for number in range(30):
        origin.serve(f"/small/{number}", bytes([number]) * 90_000)
    store = ("--store", str(tmp_path / "store"))
    with start_edge(origin.url, *store, file_bytes_max=1_000_000) as process:
        assert process.get("/large").body == LARGE
        for number in range(30):
            assert process.get(f"/small/{number}").body == bytes([number]) * 90_000
        process.wait_status(lambda status: status["store_queued_bytes"] == 0)
        hits = sum(process.get(f"/small/{number}").is_hit for number in range(30))
        assert hits >= 20
        assert process.status()["store_state"] == "ok"
        assert process.stop() == 0
    with start_edge(origin.url, *store) as process:
        assert sum(process.get(f"/small/{number}").is_hit for number in range(30)) >= hits
