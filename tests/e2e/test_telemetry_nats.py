"""Telemetry by way of a real NATS server: at least once on the way, once in the sums."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import sqlalchemy as sql

from edge.config import TelemetryConfig as EdgeTelemetry
from edge.drivers.telemetry.carriers import NotCarried, OverNats
from edge.drivers.telemetry.shipping import Shipping
from edge.drivers.telemetry.spool import Spool
from nearcast.errors import ConfigError
from nearcast.nats_login import nats_login
from nearcast.telemetry import NATS_SUBJECT, Demand
from origin.config import TelemetryConfig
from origin.drivers.keeper import Keeper
from origin.drivers.state import ControlStore
from origin.drivers.state.tables import demand
from origin.drivers.telemetry.intake import Intake
from origin.drivers.telemetry.nats_intake import STREAM, NatsIntake
from tests.ports import free_port
from tests.servers import NatsServer

NOW_S = 1_790_000_000.0
RUN = "00000000000000aa"


def events(first: int, count: int, edge: str) -> bytes:
    return b"".join(
        msgspec.json.encode(
            Demand(wall_s=NOW_S, title=f"{edge}/{no}", rendition="r", client_bytes=1)
        )
        + b"\n"
        for no in range(first, first + count)
    )


class Sending:
    """An edge's spool that is sent by NATS."""

    def __init__(self, url: str, folder: Path, edge: str) -> None:
        config = EdgeTelemetry(segment_bytes=10_000)
        self.edge = edge
        self.spool = Spool(folder, RUN, config)
        self.spool.open()
        self.carrier = OverNats(url, edge)
        self.shipping = Shipping(
            self.spool,
            self.carrier,
            config,
            now_s=lambda: 0.0,
            jitter=np.random.default_rng(1),
            lock=asyncio.Lock(),
        )

    async def send(self, first: int, count: int) -> None:
        for at in range(first, first + count, 20):
            self.spool.append(events(at, 20, self.edge), 0.0)
            await self.shipping.step()
        while self.spool.waiting_bytes:
            await self.shipping.step()


@contextlib.asynccontextmanager
async def taking(intake: Intake, url: str, **how: float) -> AsyncIterator[NatsIntake]:
    taker = NatsIntake(
        intake,
        TelemetryConfig(nats_url=url, nats_bytes_max=10_000_000),
        wall_s=lambda: NOW_S,
        is_known=lambda edge: edge.startswith("edge"),
        **how,
    )
    keeper = Keeper()
    keeper.keep("nats", taker.run)
    try:
        yield taker
    finally:
        await keeper.close()


async def counted(store: ControlStore) -> dict[str, int]:
    async with store.database.reading() as connection:
        found = await connection.execute(sql.select(demand.c.title, demand.c.client_bytes))
        return {title: int(count) for title, count in found}


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """`run` has the deadline."""
    while not await is_so():  # noqa: ASYNC110 - other processes know when, and do not tell
        await asyncio.sleep(0.02)


async def until_counted(store: ControlStore, count: int) -> dict[str, int]:
    async def is_so() -> bool:
        return len(await counted(store)) >= count

    await until(is_so)
    return await counted(store)


async def until_connected(taker: NatsIntake) -> None:
    async def is_so() -> bool:
        return taker.figures.is_connected

    await until(is_so)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30.0))


def test_everything_that_edges_publish_counts_once(nats_url: str, tmp_path: Path) -> None:
    async def main() -> None:
        store = await ControlStore.open("", tmp_path)
        try:
            edges = [Sending(nats_url, tmp_path / f"edge-{no}", f"edge-{no}") for no in range(3)]
            with pytest.raises(NotCarried):  # no origin has made the stream yet
                await edges[0].carrier.carry(_piece(edges[0]))
            async with taking(Intake(store.database, gather_s=0.0), nats_url) as taker:
                await until_connected(taker)
                await asyncio.gather(*(edge.send(0, 300) for edge in edges))
                got = await until_counted(store, 900)
            assert set(got.values()) == {1}
            for edge in edges:
                await edge.carrier.close()
        finally:
            await store.close()

    run(main())


def _piece(edge: Sending) -> Any:
    edge.spool.append(events(0, 20, edge.edge), 0.0)
    piece = edge.spool.next_piece(0.0)
    assert piece is not None
    edge.spool.taken(piece.boot_id, piece.segment_no, 0)
    edge.spool.give_up(piece)
    return piece


def test_two_origins_share_the_work_and_one_is_killed(nats_url: str, tmp_path: Path) -> None:
    async def main() -> None:
        store = await ControlStore.open("", tmp_path)
        try:
            edge = Sending(nats_url, tmp_path / "edge", "edge")
            quick = {"ack_s": 1.0, "early_s": 0.05}

            class Dying(Intake):
                """Commits, and ends before it can say so."""

                count = 0

                async def take(self, piece: Any) -> Any:
                    verdict = await super().take(piece)
                    Dying.count += 1
                    if Dying.count > 3:
                        await asyncio.Event().wait()
                    return verdict

            async def is_stuck() -> bool:
                return Dying.count > 3

            async def is_acknowledged() -> bool:
                return await _waiting(nats_url) == 0

            async with taking(Intake(store.database, gather_s=0.0), nats_url, **quick) as living:
                async with taking(Dying(store.database, gather_s=0.0), nats_url, **quick) as dying:
                    await until_connected(living)
                    await until_connected(dying)
                    await edge.send(0, 2_000)
                    await until(is_stuck)
                await edge.send(2_000, 400)
                got = await until_counted(store, 2_400)
                await until(is_acknowledged)
            assert set((await counted(store)).values()) == {1}
            assert len(got) == 2_400
            await edge.carrier.close()
        finally:
            await store.close()

    run(main())


async def _waiting(url: str) -> int:
    import nats

    client = await nats.connect(url)
    try:
        info = await client.jetstream().stream_info(STREAM)
        return int(info.state.messages)
    finally:
        await client.close()


def test_what_is_no_telemetry_is_refused_and_holds_up_nothing(
    nats_url: str, tmp_path: Path
) -> None:
    async def main() -> None:
        import nats

        store = await ControlStore.open("", tmp_path)
        client = await nats.connect(nats_url)
        try:
            async with taking(Intake(store.database, gather_s=0.0), nats_url) as taker:
                await until_connected(taker)
                stream = client.jetstream()
                good = {"boot": RUN, "segment": "1", "offset": "0", "first": "0"}
                for edge, headers, body in (
                    ("stranger", good, events(0, 1, "stranger")),
                    ("edge", {}, events(0, 1, "edge")),
                    ("edge", {**good, "offset": "-1"}, events(0, 1, "edge")),
                    ("edge", good, b"torn"),
                    ("edge", {**good, "Content-Encoding": "gzip"}, b"no gzip\n"),
                ):
                    await stream.publish(f"{NATS_SUBJECT}.{edge}", body, headers=headers)
                await stream.publish(f"{NATS_SUBJECT}.edge", events(7, 1, "edge"), headers=good)
                assert await until_counted(store, 1) == {"edge/7": 1}

                async def are_refused() -> bool:
                    return taker.figures.refused_count == 5

                await until(are_refused)
        finally:
            await client.close()
            await store.close()

    run(main())


def test_a_server_that_comes_and_goes_is_found_again(
    nats_server: NatsServer, nats_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each time it goes is told once, and the pauses begin anew."""

    async def main() -> None:
        store = await ControlStore.open("", tmp_path)
        try:
            intake = Intake(store.database, gather_s=0.0)
            async with taking(intake, nats_url, pause_s=0.001) as taker:
                for _ in range(2):
                    await until_connected(taker)
                    nats_server.stop()
                    gone_count = taker.figures.away_count + 3

                    async def has_tried(count: int = gone_count) -> bool:
                        return taker.figures.away_count >= count

                    await until(has_tried)
                    nats_server.start()
                await until_connected(taker)
        finally:
            await store.close()

    run(main())
    told = [record for record in caplog.messages if "telemetry.nats_away" in record]
    assert len(told) == 2


def test_a_server_that_never_comes_is_tried_for_ever(tmp_path: Path) -> None:
    async def main() -> None:
        store = await ControlStore.open("", tmp_path)
        try:
            intake = Intake(store.database, gather_s=0.0)
            url = f"nats://127.0.0.1:{free_port()}"
            async with taking(intake, url, pause_s=0.0) as taker:
                taker._failures = 1_100  # 2.0**1_024 is more than a float can be

                async def has_tried() -> bool:
                    return taker.figures.away_count >= 2

                await until(has_tried)
        finally:
            await store.close()

    run(main())


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("ann:s3cret", {"user": "ann", "password": "s3cret"}), ("t0ken\n", {"token": "t0ken"})],
)
def test_credentials_come_from_a_file(tmp_path: Path, text: str, wanted: dict[str, str]) -> None:
    file = tmp_path / "nats"
    file.write_text(text)
    assert nats_login(str(file)) == wanted
    file.write_text("two\nlines")
    with pytest.raises(ConfigError):
        nats_login(str(file))
    with pytest.raises(ValueError, match="credentials_file"):
        EdgeTelemetry(url="nats://ann:s3cret@host:4222")
