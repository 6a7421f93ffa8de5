"""Bodies that are read while they grow, on a real disk."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google_crc32c
import msgspec
import pytest

from edge.drivers.bodies import Bodies
from edge.drivers.body import Body, BodyBroken, BodyMissing, next_piece
from edge.drivers.file_reads import FileReads
from edge.drivers.growing import WAKES_AT_ONCE, GrowingBody
from edge.drivers.ring import HitRing
from edge.drivers.store.disk import DiskStore
from edge.effects import Commit, DropObject, ReadObject, SetInMemory, StoredObject
from edge.events import Event, Hit, HitsServed, ObjectLost, ObjectRead
from edge.pacing import HITS_MAX

if TYPE_CHECKING:
    from tests.e2e.conftest import Exchange, FaultyOrigin, StartEdge

LIMIT_S = 20.0
CHUNK = bytes(range(256)) * 256
OBJECT_ID = "0123456789abcdef"


def within_limit(work: Coroutine[Any, Any, None]) -> None:
    async def main() -> None:
        async with asyncio.timeout(LIMIT_S):
            await work

    asyncio.run(main())


def stored(body: bytes) -> StoredObject:
    return StoredObject(
        object_id=OBJECT_ID,
        url="http://origin/x",
        status=200,
        headers=(),
        size_bytes=len(body),
        crc32c=google_crc32c.value(body),
        requested_wall_s=0.0,
        received_wall_s=0.0,
    )


async def room_in(body: GrowingBody) -> None:
    while not body.has_room:
        more = asyncio.Event()
        body.when_room(more.set)
        await more.wait()


async def all_of(body: Body) -> bytes:
    parts = []
    while part := await next_piece(body, 100_000):
        parts.append(bytes(part))
    return b"".join(parts)


def test_reader_gets_what_arrives_and_the_break_only_behind_it() -> None:
    async def main() -> None:
        body = GrowingBody(window_bytes=1 << 20, reads=FileReads())
        reader = body.reader()
        waiting = asyncio.ensure_future(next_piece(reader, 10))
        await asyncio.sleep(0)
        assert not waiting.done()
        body.append(CHUNK)
        assert bytes(await waiting) == CHUNK[:10]
        body.fail("cut off")
        assert reader.failure is None  # there is still something to take
        assert bytes(await next_piece(reader, 1 << 20)) == CHUNK[10:]
        with pytest.raises(BodyBroken, match="cut off"):
            await next_piece(reader, 10)

    within_limit(main())


def test_one_reader_that_breaks_does_not_reach_the_others() -> None:
    async def main() -> None:
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: told.append(str(context["exception"]))
        )
        body = GrowingBody(window_bytes=1 << 20, reads=FileReads())

        def broken() -> None:
            raise ValueError("a bug")

        body.reader().when_more(broken)
        gone = body.reader()
        gone.when_more(lambda: told.append("closed ones are not called"))
        gone.close()
        body.reader().when_more(lambda: told.append("woken"))
        body.append(CHUNK)
        assert told == ["a bug", "woken"]

    within_limit(main())


def test_crowd_of_readers_is_woken_a_few_at_a_time_and_each_gets_all() -> None:
    async def main() -> None:
        body = GrowingBody(window_bytes=1 << 20, reads=FileReads())
        got: list[list[bytes]] = [[] for _ in range(3 * WAKES_AT_ONCE)]

        def follow(reader: Body, parts: list[bytes]) -> None:
            def more() -> None:
                while piece := reader.take(1 << 20):
                    parts.append(bytes(piece))
                if not reader.is_over:
                    reader.when_more(more)

            more()

        readers = [body.reader() for _ in got]
        for reader, parts in zip(readers, got, strict=True):
            follow(reader, parts)
        body.append(CHUNK)
        assert sum(map(bool, got)) == WAKES_AT_ONCE
        readers[-1].close()
        body.append(CHUNK)  # the next before all have been woken
        body.finish()
        while not all(reader.is_over for reader in readers[:-1]):  # noqa: ASYNC110 - one turn each
            await asyncio.sleep(0)
        assert all(b"".join(parts) == CHUNK + CHUNK for parts in got[:-1])
        assert not got[-1]

    within_limit(main())


def test_stored_body_is_let_go_without_the_garbage_collector(tmp_path: Path) -> None:
    async def main() -> None:
        store = DiskStore(tmp_path)
        store.open()
        bodies = Bodies(store, lambda event: None, memory_object_bytes_max=0)
        body = bodies.fills.begin(1)
        for _ in range(20):  # more than a batch, so that its spool reports what is written
            body.append(CHUNK)
        body.finish()
        gone = weakref.ref(body)
        content = body.whole()
        assert content is not None
        bodies.commit(Commit(fill_id=1, stored=stored(content), in_memory=False))
        del body
        await bodies.close()
        await asyncio.sleep(0)  # what waits to be told that it is stored
        assert gone() is None

    gc.collect()
    gc.disable()
    try:
        within_limit(main())
    finally:
        gc.enable()


def test_passing_body_waits_for_its_slowest_reader_and_keeps_a_window() -> None:
    async def main() -> None:
        body = GrowingBody(window_bytes=4 * len(CHUNK), reads=FileReads())
        fast, slow = body.reader(), body.reader()
        body.become_passing()
        for _ in range(4):
            body.append(CHUNK)
            await next_piece(fast, len(CHUNK))
        room = asyncio.Event()
        body.when_room(room.set)
        await asyncio.sleep(0)
        assert not room.is_set()  # the slow one has taken nothing yet
        assert not body.has_room
        assert bytes(await next_piece(slow, len(CHUNK))) == CHUNK
        await room.wait()
        assert body.has_room
        assert body.whole() is None
        slow.close()
        fast.close()
        body.append(CHUNK)  # nobody reads: nothing is held
        assert body.has_room

    within_limit(main())


def test_large_object_is_copied_to_memory_once_its_file_cannot_be_sent_from(
    tmp_path: Path,
) -> None:
    content = CHUNK * 20

    async def main() -> None:
        store = DiskStore(tmp_path / "store")
        store.open()
        bodies = Bodies(store, lambda event: None, memory_object_bytes_max=0)
        for fill_id, object_id in ((1, OBJECT_ID), (2, "f" * 32)):
            body = bodies.fills.begin(fill_id)
            for _ in range(20):
                body.append(CHUNK)
            body.finish()
            wanted = object_id == OBJECT_ID
            told = msgspec.structs.replace(stored(content), object_id=object_id)
            bodies.commit(Commit(fill_id=fill_id, stored=told, in_memory=wanted))
        while bodies.in_memory(OBJECT_ID) is None:
            bodies.copy("f" * 32)  # not to be in RAM: nothing happens
            bodies.copy(OBJECT_ID)
            await asyncio.sleep(0)
        assert bodies.in_memory(OBJECT_ID) == content
        assert bodies.in_memory("f" * 32) is None
        bodies.set_in_memory(SetInMemory(object_id=OBJECT_ID, in_memory=False))
        bodies.copy(OBJECT_ID)
        await asyncio.sleep(0)
        assert bodies.in_memory(OBJECT_ID) is None
        await bodies.close()

    within_limit(main())


def test_committed_object_is_served_before_during_and_after_its_way_to_disk(
    tmp_path: Path,
) -> None:
    content = CHUNK * 200  # thirteen megabytes: beyond the window, so partly on disk alone
    events: list[Event] = []

    async def main() -> None:
        store = DiskStore(tmp_path / "store")
        store.open()
        bodies = Bodies(store, events.append, memory_object_bytes_max=0)
        body = bodies.fills.begin(1)
        reader = body.reader()
        for _ in range(200):
            body.append(CHUNK)
            await room_in(body)
        body.finish()
        bodies.commit(Commit(fill_id=1, stored=stored(content), in_memory=True))
        during = await bodies.open(OBJECT_ID)
        assert await all_of(during) == content
        assert await all_of(reader) == content
        bodies.read(ReadObject(object_id=OBJECT_ID))
        while not events:  # noqa: ASYNC110 - it is the list that is asked about
            await asyncio.sleep(0)
        assert events.pop() == ObjectRead(object_id=OBJECT_ID, text=content)
        assert bodies.in_memory(OBJECT_ID) is None  # too large to be copied as it comes
        bodies.set_in_memory(SetInMemory(object_id=OBJECT_ID, in_memory=True))
        while bodies.in_memory(OBJECT_ID) is None:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0)
        bodies.set_in_memory(SetInMemory(object_id=OBJECT_ID, in_memory=False))
        assert bodies.in_memory(OBJECT_ID) is None
        after = await bodies.open(OBJECT_ID)
        bodies.drop(DropObject(object_id=OBJECT_ID))
        assert await all_of(after) == content  # an open body outlives its object
        after.close()
        during.close()
        with pytest.raises(BodyMissing):
            await bodies.open(OBJECT_ID)
        assert [type(event) for event in events] == [ObjectLost]
        await bodies.close()

    within_limit(main())
    again = DiskStore(tmp_path / "store")
    again.open()
    assert again.scan() == ()
    again.close()


def test_ring_tells_hits_in_order_and_in_bounded_batches() -> None:
    told: list[Event] = []

    def hit(number: int) -> Hit:
        return Hit(
            at_s=float(number),
            target="/x",
            headers=(),
            client="::1",
            object_id=OBJECT_ID,
            sent_bytes=1,
        )

    async def main() -> None:
        ring = HitRing(told.append)
        for number in range(HITS_MAX + 3):
            ring.append(hit(number))
        assert len(told) == 1
        ring.flush()
        ring.flush()

    within_limit(main())
    batches = [event.hits for event in told if isinstance(event, HitsServed)]
    assert [len(batch) for batch in batches] == [HITS_MAX, 3]
    assert [one.at_s for batch in batches for one in batch] == list(range(HITS_MAX + 3))


@pytest.mark.parametrize("is_announced", [True, False])
def test_object_over_the_limit_streams_through_without_being_kept(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path: Path, is_announced: bool
) -> None:
    parts = 40
    part = CHUNK * 16
    path = f"/huge-{is_announced}"

    def long(exchange: Exchange) -> None:
        if is_announced:
            exchange.head(content_length=parts * len(part), cache_control="max-age=60")
        else:
            exchange.head(cache_control="max-age=60")
        for _ in range(parts):
            exchange.send(part)

    origin.routes[path] = long
    settings = ("--store", str(tmp_path / "store"), "--set", "object_bytes_max=3MB")
    with start_edge(origin.url, *settings) as process:
        before_bytes = process.status()["process_rss_bytes"]
        for _ in range(2):
            answer = process.get(path)
            assert answer.body == part * parts
            assert not answer.is_hit
        status = process.wait_status(lambda status: status["fills_in_flight"] == 0)
        assert status["object_count"] == 0
        # 42 MB went through; what is held of it is a window.
        assert status["process_rss_bytes"] - before_bytes < 30_000_000
    assert not list((tmp_path / "store").rglob("*.part"))
