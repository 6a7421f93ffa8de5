"""What fetches under way hold in RAM, with clients that ask for much and take nothing."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from edge.drivers.bodies import Bodies
from edge.drivers.growing_room import FLOOR_BYTES
from edge.drivers.store.disk import DiskStore
from edge.effects import StreamOnly
from edge.events import Event, FillFailed

if TYPE_CHECKING:
    from tests.e2e.conftest import Exchange, FaultyOrigin, StartEdge

CHUNK = bytes(64 * 1024)
BUDGET = 40 * FLOOR_BYTES
WINDOW = 8 << 20


def test_passing_bodies_share_one_budget_and_each_has_its_floor() -> None:
    async def main() -> None:
        bodies = Bodies(
            None, lambda event: None, memory_object_bytes_max=0, growing_bytes_max=BUDGET
        )
        readers, held = [], 0
        for fill_id in range(60):
            body = bodies.fills.begin(fill_id)
            readers.append(body.reader())
            bodies.fills.stream_only(StreamOnly(fill_id=fill_id))
            while body.has_room:
                body.append(CHUNK)
            assert FLOOR_BYTES <= body.size_bytes <= WINDOW
            held += body.size_bytes
        assert held <= BUDGET + 60 * (FLOOR_BYTES + len(CHUNK))
        for fill_id, reader in enumerate(readers):
            while reader.take(1 << 20):
                pass
            bodies.fills.end(fill_id)
            reader.close()
        readers.clear()
        del body, reader
        alone = bodies.fills.begin(99)
        alone.reader()
        alone.become_passing()
        while alone.has_room:
            alone.append(CHUNK)
        assert alone.size_bytes >= WINDOW  # what the others held was given back
        await bodies.close()

    asyncio.run(main())


def test_bodies_to_be_kept_in_memory_are_not_once_they_are_too_many() -> None:
    async def main() -> None:
        told: list[Event] = []
        bodies = Bodies(
            None,
            told.append,
            memory_object_bytes_max=0,
            growing_bytes_max=BUDGET,
            kept_bytes_max=BUDGET,
        )
        readers = []
        for fill_id in range(12):
            body = bodies.fills.begin(fill_id)
            readers.append(body.reader())
            for _ in range(10 * FLOOR_BYTES // len(CHUNK)):
                if body.has_room:
                    body.append(CHUNK)
        given_up = [event.fill_id for event in told if isinstance(event, FillFailed)]
        assert given_up == [7, 8, 9, 10, 11]
        assert bodies.fills.get(6).whole() is not None  # type: ignore[union-attr]
        assert sum(reader.growing.size_bytes for reader in readers) <= 2 * BUDGET + 12 * (
            FLOOR_BYTES + len(CHUNK)
        )
        await bodies.close()

    asyncio.run(main())


def test_what_is_on_disk_leaves_memory_when_others_need_the_room(tmp_path: Path) -> None:
    async def main() -> None:
        store = DiskStore(tmp_path / "store")
        store.open()
        store.scan()
        bodies = Bodies(
            store, lambda event: None, memory_object_bytes_max=0, growing_bytes_max=BUDGET
        )
        bodies_begun = [bodies.fills.begin(fill_id) for fill_id in range(20)]
        for body in bodies_begun:
            for _ in range(4 << 20 >> 16):
                body.append(CHUNK)
        is_written = asyncio.Event()
        bodies.when_recorded(is_written.set)
        await is_written.wait()
        for body in bodies_begun:
            body.append(CHUNK)
        in_memory = sum(
            body.piece(place, 1) is not None
            for body in bodies_begun
            for place in range(0, 4 << 20, len(CHUNK))
        ) * len(CHUNK)
        assert in_memory <= BUDGET + 20 * (FLOOR_BYTES + (1 << 20))
        await bodies.close()

    asyncio.run(main())


def test_clients_that_ask_for_much_and_take_nothing_cost_no_window_each(
    origin: FaultyOrigin, start_edge: StartEdge
) -> None:
    def endless(exchange: Exchange) -> None:
        exchange.head(content_length=400_000_000, cache_control="max-age=60")
        for _ in range(100):
            exchange.send(bytes(4_000_000))

    count = 30
    settings = ("--set", "memory_bytes=50MB", "--set", "growing_bytes_max=8MB")
    with start_edge(origin.url, *settings) as edge, ExitStack() as clients:
        before = edge.status()["process_rss_bytes"]
        for number in range(count):
            origin.routes[f"/much/{number}"] = endless
            client = clients.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", edge.port))
            client.sendall(f"GET /much/{number} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        fetched: list[int] = []

        def stands_still(status: dict[str, int]) -> bool:
            fetched.append(status["origin_bytes"])
            return fetched[-1] >= count * FLOOR_BYTES and len(set(fetched[-20:])) == 1

        status = edge.wait_status(stands_still)
        # The budget, a floor for each, and what the kernel's socket buffers take: more on a busy
        # machine. A window each would be 120 MB.
        assert status["origin_bytes"] < 40_000_000
        assert status["process_rss_bytes"] - before < 100_000_000
