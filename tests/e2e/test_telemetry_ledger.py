"""From an edge's events to the origin's sums: each event has a name of its own and counts once.

The way between is as bad as it can be: requests and answers get lost, origins end and begin, the
edge is killed. What is lost is what the edge says that it dropped, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import numpy as np
import pytest
import sqlalchemy as sql

from edge.config import TelemetryConfig
from edge.drivers.telemetry.carriers import OverHttp
from edge.drivers.telemetry.shipping import Shipping
from edge.drivers.telemetry.spool import Spool
from nearcast.errors import RemoteProtocolError
from nearcast.fleet import Refused
from nearcast.telemetry import Demand
from origin.drivers.state import ControlStore
from origin.drivers.state.tables import demand
from origin.drivers.telemetry.intake import Intake
from origin.telemetry.pieces import inflate

NOW_S = 1_790_000_000.0
RUNS = tuple(f"{no:016x}" for no in range(1, 9))


def events(first: int, count: int, edge: str) -> bytes:
    """Each is about a title of its own, so that the sums tell how often each has counted."""
    return b"".join(
        msgspec.json.encode(
            Demand(wall_s=NOW_S, title=f"{edge}/{no}", rendition="r", client_bytes=1)
        )
        + b"\n"
        for no in range(first, first + count)
    )


class BadWay:
    """The connection to two origins, of which either may be away; loses requests and answers."""

    def __init__(self, edge: str, intakes: list[Intake | None], *, loss: float, seed: int) -> None:
        self.edge = edge
        self.intakes = intakes
        self.loss = loss
        self.random = np.random.default_rng(seed)
        self.request_count = 0
        self.is_busy = asyncio.Event()
        """Two requests have been made."""

    async def post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        self.request_count += 1
        if self.request_count == 2:
            self.is_busy.set()
        intake = self.intakes[int(self.random.integers(len(self.intakes)))]
        if intake is None or self.random.random() < self.loss:
            raise RemoteProtocolError("no origin answered")
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        answer = await intake.receive(
            edge=self.edge,
            boot_id=query["boot"],
            segment_no=int(query["segment"]),
            offset_bytes=int(query["offset"]),
            first_segment_no=int(query["first"]),
            body=inflate(body, headers["Content-Encoding"]),
            received_wall_s=NOW_S,
        )
        if self.random.random() < self.loss:
            raise RemoteProtocolError("the answer was lost")
        return (429 if isinstance(answer, Refused) else 200), msgspec.json.encode(answer)


def shipping(spool: Spool, way: BadWay) -> Shipping:
    return Shipping(
        spool,
        OverHttp(way),
        TelemetryConfig(),
        now_s=lambda: 0.0,
        jitter=np.random.default_rng(1),
        lock=asyncio.Lock(),
    )


def make_spool(folder: Path, run: int = 0, **settings: int) -> Spool:
    config = TelemetryConfig(**{"segment_bytes": 10_000, **settings})  # type: ignore[arg-type]
    spool = Spool(folder, RUNS[run], config)
    spool.open()
    return spool


async def ship_all(spool: Spool, way: BadWay) -> None:
    """Try until everything was taken; pauses are skipped."""
    sender = shipping(spool, way)
    while spool.waiting_bytes:
        await sender.step()


async def counted(store: ControlStore) -> dict[str, int]:
    """How often each event has counted."""
    async with store.database.reading() as connection:
        found = await connection.execute(sql.select(demand.c.title, demand.c.client_bytes))
        return {title: int(count) for title, count in found}


@contextlib.asynccontextmanager
async def opened(url: str, folder: Path) -> AsyncIterator[ControlStore]:
    store = await ControlStore.open(url, folder)
    try:
        yield store
    finally:
        await store.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60.0))


def test_lost_requests_and_answers_lose_and_double_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened("", tmp_path) as store:
            intake = Intake(store.database, gather_s=0.0)

            async def edge(no: int) -> None:
                name = f"edge-{no}"
                spool = make_spool(tmp_path / name)
                way = BadWay(name, [intake, None], loss=0.3, seed=no)
                for first in range(0, 400, 50):
                    spool.append(events(first, 50, name), 0.0)
                    await shipping(spool, way).step()
                await ship_all(spool, way)
                assert spool.dropped_count == 0

            await asyncio.gather(*(edge(no) for no in range(4)))
            ledger = {f"edge-{no}/{one}": 1 for no in range(4) for one in range(400)}
            assert await counted(store) == ledger
            assert intake.figures.repeated_count > 0

    run(main())


def test_one_of_two_origins_is_killed(
    postgres_url: str, postgres_server: Any, tmp_path: Path
) -> None:
    """Both write to one PostgreSQL; the connections of one are cut in the middle of its work."""

    async def main() -> None:
        async with opened(postgres_url, tmp_path) as store, opened(postgres_url, tmp_path) as other:
            ways = [
                BadWay(
                    f"edge-{no}",
                    [Intake(store.database, gather_s=0.0), Intake(other.database, gather_s=0.0)],
                    loss=0.1,
                    seed=no,
                )
                for no in range(4)
            ]

            async def edge(no: int) -> None:
                name = f"edge-{no}"
                spool = make_spool(tmp_path / name)
                spool.append(events(0, 300, name), 0.0)
                spool.append(events(300, 300, name), 0.0)
                await ship_all(spool, ways[no])

            work = asyncio.gather(*(edge(no) for no in range(4)))
            await asyncio.gather(*(way.is_busy.wait() for way in ways))
            database = urlsplit(postgres_url).path.lstrip("/")
            await asyncio.to_thread(postgres_server.kill_connections, database)
            for way in ways:
                way.intakes[1] = None  # it does not come back
            await work
            ledger = {f"edge-{no}/{one}": 1 for no in range(4) for one in range(600)}
            assert await counted(store) == ledger

    run(main())


def test_an_hour_without_an_origin_costs_nothing_within_the_budget(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened("", tmp_path) as store:
            spool = make_spool(tmp_path / "edge")
            away = BadWay("edge", [None], loss=0.0, seed=1)
            sender = shipping(spool, away)
            pauses_s = []
            for first in range(0, 3600, 10):  # one event a second, told each ten
                spool.append(events(first, 10, "edge"), float(first))
                pauses_s.append(await sender.step())
            assert max(pauses_s) <= 90.0
            assert min(pauses_s[10:]) >= 30.0  # it does not hammer
            segments = len(list((tmp_path / "edge").iterdir()))
            assert segments > 10
            back = BadWay("edge", [Intake(store.database, gather_s=0.0)], loss=0.0, seed=1)
            await ship_all(spool, back)
            assert back.request_count <= segments
            assert await counted(store) == {f"edge/{no}": 1 for no in range(3600)}
            assert spool.dropped_count == 0

    run(main())


def test_beyond_the_budget_exactly_what_is_counted_is_lost(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened("", tmp_path) as store:
            spool = make_spool(tmp_path / "edge", spool_bytes_max=2_000_000, segment_bytes=50_000)
            count = 40_000
            for first in range(0, count, 1000):
                spool.append(events(first, 1000, "edge"), 0.0)
            await ship_all(
                spool, BadWay("edge", [Intake(store.database, gather_s=0.0)], loss=0.2, seed=5)
            )
            got = await counted(store)
            assert set(got.values()) == {1}
            assert spool.dropped_count > 0
            assert len(got) + spool.dropped_count == count

    run(main())


VICTIM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.e2e.test_telemetry_ledger import events, make_spool
spool = make_spool(Path(sys.argv[1]), 0)
first = 0
while True:
    spool.append(events(first, 7, "edge"), 0.0)
    first += 7
    print(first, flush=True)
"""


def test_a_killed_edge_loses_nothing_that_it_has_written(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(tmp_path / "edge"), str(root)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
    )
    assert victim.stdout is not None
    written = 0
    for said in victim.stdout:
        written = int(said)
        if written >= 700:
            break
    os.kill(victim.pid, signal.SIGKILL)
    rest = victim.stdout.read()
    victim.stdout.close()
    victim.wait()
    written = max([written, *map(int, rest.split("\n")[:-1])])
    newest = max((tmp_path / "edge").iterdir())
    with newest.open("ab") as file:  # what a kill between two writes of one line would leave
        file.write(events(0, 1, "torn")[:-20])

    async def main() -> None:
        async with opened("", tmp_path) as store:
            spool = make_spool(tmp_path / "edge", 1)
            spool.append(events(0, 5, "after"), 0.0)
            await ship_all(
                spool, BadWay("edge", [Intake(store.database, gather_s=0.0)], loss=0.2, seed=2)
            )
            got = await counted(store)
            assert set(got.values()) == {1}
            assert {f"edge/{no}" for no in range(written)} <= set(got)
            assert {f"after/{no}" for no in range(5)} <= set(got)
            assert not any(title.startswith("torn") for title in got)

    run(main())


@pytest.mark.parametrize("answer", [400, 413])
def test_a_segment_that_is_refused_does_not_hold_up_the_others(tmp_path: Path, answer: int) -> None:
    class Refusing:
        async def post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
            refused = Refused(error="bad_request", detail="no")
            return answer, msgspec.json.encode(refused)

    async def main() -> None:
        spool = make_spool(tmp_path / "edge")
        spool.append(events(0, 5, "edge"), 0.0)
        sender = Shipping(
            spool,
            OverHttp(Refusing()),
            TelemetryConfig(),
            now_s=lambda: 0.0,
            jitter=np.random.default_rng(1),
            lock=asyncio.Lock(),
        )
        for _ in range(3):
            await sender.step()
        assert spool.waiting_bytes == 0
        assert spool.dropped_count == 5

    run(main())
