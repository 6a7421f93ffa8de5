"""Telemetry into a real database: everything once, whatever comes twice, late or to two origins."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import sqlalchemy as sql

from nearcast.fleet import Refused
from nearcast.telemetry import Demand, Received, SessionEnded
from origin.control.api import TitleViewings
from origin.control.viewings import viewings
from origin.drivers.state import ControlStore
from origin.drivers.state.database import Database
from origin.drivers.state.demand_rows import planned_bytes_since
from origin.drivers.state.session_rows import title_viewings
from origin.drivers.state.tables import demand, telemetry_cursors, telemetry_pieces
from origin.drivers.state.telemetry import take_pieces
from origin.drivers.state.told_rows import ToldRows
from origin.drivers.telemetry.intake import Intake
from origin.telemetry.demand import DemandColumns
from origin.telemetry.pieces import Piece

NOW_S = 1_790_000_000.0
BOOT = "0123456789abcdef"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgres_url")
    return url


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30.0))


def body(count: int, *, title: str = "t") -> bytes:
    event = Demand(wall_s=NOW_S, title=title, rendition="r", client_bytes=1)
    return (msgspec.json.encode(event) + b"\n") * count


async def ship(
    intake: Intake,
    data: bytes,
    *,
    edge: str = "a",
    boot_id: str = BOOT,
    segment_no: int = 1,
    offset: int = 0,
    first: int = 0,
) -> Received | Refused:
    return await intake.receive(
        edge=edge,
        boot_id=boot_id,
        segment_no=segment_no,
        offset_bytes=offset,
        first_segment_no=first,
        body=data,
        received_wall_s=NOW_S,
    )


async def total(store: ControlStore) -> int:
    """Client bytes in all sums: here one for each event."""
    async with store.database.reading() as connection:
        found = await connection.execute(sql.select(sql.func.sum(demand.c.client_bytes)))
        return int(found.scalar() or 0)


def test_pieces_shipped_twice_and_out_of_order_count_once(
    database_url: str, tmp_path: Path
) -> None:
    async def main() -> None:
        store = await ControlStore.open(database_url, tmp_path)
        try:
            intake = Intake(store.database, gather_s=0.0)
            pieces = [
                (f"edge-{edge_no}", segment_no, 0)
                for edge_no in range(5)
                for segment_no in range(4)
            ]
            order = np.random.default_rng(7).permutation(np.repeat(np.arange(len(pieces)), 3))
            await asyncio.gather(
                *(
                    ship(intake, body(10), edge=pieces[at][0], segment_no=pieces[at][1])
                    for at in order
                )
            )
            assert await total(store) == 5 * 4 * 10
            assert intake.figures.taken_count == 20
            assert intake.figures.repeated_count == 40
            assert intake.figures.event_count == 200
        finally:
            await store.close()

    run(main())


def test_a_gap_is_answered_with_where_to_go_on(database_url: str, tmp_path: Path) -> None:
    async def main() -> None:
        store = await ControlStore.open(database_url, tmp_path)
        try:
            intake = Intake(store.database, gather_s=0.0)
            size = len(body(3))
            assert await ship(intake, body(3), offset=size) == Received(
                segment_no=1, offset_bytes=0
            )
            assert await total(store) == 0
            for offset in (0, size):
                await ship(intake, body(3), offset=offset)
            assert await total(store) == 6
        finally:
            await store.close()

    run(main())


def test_cursors_of_segments_that_are_gone_are_let_go(database_url: str, tmp_path: Path) -> None:
    async def main() -> None:
        store = await ControlStore.open(database_url, tmp_path)
        try:
            intake = Intake(store.database, gather_s=0.0)
            for segment_no in range(1, 20):
                await ship(intake, body(1), segment_no=segment_no, first=segment_no)
            async with store.database.reading() as connection:
                rows = (await connection.execute(sql.select(telemetry_cursors))).all()
            assert len(rows) == 1
            await ship(intake, body(1), segment_no=5)
            assert await total(store) == 19
        finally:
            await store.close()

    run(main())


def test_two_origins_take_every_piece_once(database_url: str, tmp_path: Path) -> None:
    """The same pieces to both at once, in different orders."""

    async def main() -> None:
        stores = [await ControlStore.open(database_url, tmp_path) for _ in range(2)]
        try:
            intakes = [Intake(store.database, gather_s=0.0) for store in stores]
            size = len(body(2))
            random = np.random.default_rng(3)

            async def edge(name: str, intake: Intake) -> None:
                """Ships three segments piece by piece, and repeats some."""
                for segment_no in range(3):
                    at = 0
                    while at < 6 * size:
                        answer = await ship(
                            intake, body(2), edge=name, segment_no=segment_no, offset=at
                        )
                        if isinstance(answer, Received) and random.random() < 0.8:
                            at = answer.offset_bytes

            await asyncio.gather(
                *(edge(f"edge-{no}", intake) for no in range(6) for intake in intakes)
            )
            assert await total(stores[0]) == 6 * 3 * 6 * 2
            async with stores[0].database.reading() as connection:
                raw = await connection.execute(
                    sql.select(sql.func.sum(telemetry_pieces.c.event_count))
                )
                assert raw.scalar() == 6 * 3 * 6 * 2
        finally:
            for store in stores:
                await store.close()

    run(main())


def test_a_piece_whose_answer_was_lost_counts_once(database_url: str, tmp_path: Path) -> None:
    """The origin ends between the commit and its answer: the edge asks another and goes on."""

    async def main() -> None:
        store = await ControlStore.open(database_url, tmp_path)
        try:
            dying, living = (Intake(store.database, gather_s=0.0) for _ in range(2))
            asking = asyncio.create_task(ship(dying, body(5)))
            await asyncio.sleep(0)  # it has begun
            asking.cancel()
            await dying.close()
            answer = await ship(living, body(5))
            assert answer == Received(segment_no=1, offset_bytes=len(body(5)))
            assert await total(store) == 5
        finally:
            await store.close()

    run(main())


def test_one_piece_that_the_database_refuses_costs_the_others_nothing(
    postgres_url: str, tmp_path: Path
) -> None:
    """SQLite goes on in floating point."""

    async def main() -> None:
        store = await ControlStore.open(postgres_url, tmp_path)
        try:
            intake = Intake(store.database, gather_s=0.01)
            large = Demand(wall_s=NOW_S, title="x", rendition="r", client_bytes=10**14)
            most = (msgspec.json.encode(large) + b"\n") * 3_000
            for no in range(30):  # as near to the largest number as it goes
                assert isinstance(await ship(intake, most, edge="bad", segment_no=no), Received)
            over, *others = await asyncio.gather(
                ship(intake, most, edge="bad", segment_no=99),
                *(ship(intake, body(5), edge=f"good-{no}") for no in range(5)),
            )
            assert isinstance(over, Refused)
            assert over.error == "bad_request"
            assert all(isinstance(one, Received) for one in others)
        finally:
            await store.close()

    run(main())


def test_one_piece_that_breaks_something_costs_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(database: Database, pieces: Sequence[Piece], **named: Any) -> Any:
        if any(piece.edge == "bad" for piece in pieces):
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        return await take_pieces(database, pieces, **named)

    monkeypatch.setattr("origin.drivers.telemetry.intake.take_pieces", breaks)

    async def main() -> None:
        store = await ControlStore.open("", tmp_path)
        try:
            intake = Intake(store.database, gather_s=0.01)
            bad, *others = await asyncio.gather(
                *(ship(intake, body(5), edge=edge) for edge in ("bad", "good-1", "good-2"))
            )
            assert isinstance(bad, Refused)
            assert bad.error == "bad_request"
            assert all(isinstance(one, Received) for one in others)
            assert await total(store) == 10
        finally:
            await store.close()

    run(main())


def test_how_a_titles_viewings_went_can_be_asked(database_url: str, tmp_path: Path) -> None:
    ended = SessionEnded(wall_s=NOW_S, title="t", watched_s=900.0, duration_s=1800.0)
    told = (
        msgspec.structs.replace(ended, startup_s=0.5, stall_count=1, bitrate_kbps=3000.0),
        msgspec.structs.replace(ended, startup_s=1.5, error_count=2),
        msgspec.structs.replace(ended, title="another"),
        msgspec.structs.replace(ended, wall_s=NOW_S - 2 * 86_400.0),  # before what is asked about
    )

    async def main() -> None:
        store = await ControlStore.open(database_url, tmp_path)
        try:
            intake = Intake(store.database, gather_s=0.0)
            for edge in ("a", "b"):
                data = b"".join(msgspec.json.encode(one) + b"\n" for one in told)
                await ship(intake, data, edge=edge)
            since_wall_s = NOW_S - 86_400.0
            found = await title_viewings(store.database, "t", since_wall_s)
            none = await title_viewings(store.database, "nobody's", since_wall_s)
        finally:
            await store.close()
        assert viewings(found) == TitleViewings(
            session_count=4,
            watched_share=0.5,
            startup_s=1.0,
            stalls_per_hour=2.0,
            bitrate_kbps=3000.0,
            error_count=4,
        )
        assert viewings(none) == TitleViewings(
            session_count=0,
            watched_share=None,
            startup_s=None,
            stalls_per_hour=None,
            bitrate_kbps=None,
            error_count=0,
        )

    run(main())


def test_an_edge_that_begins_anew_has_fetched_what_it_fetched(
    database_url: str, tmp_path: Path
) -> None:
    """The account of fills is of weeks; an edge's counters are of its process."""

    async def main() -> None:
        store = await ControlStore.open(database_url, tmp_path)
        try:
            intake = Intake(store.database, gather_s=0.0)
            filled = Demand(
                wall_s=NOW_S, title="t", rendition="r", client_bytes=0, planned_bytes=7_000
            )
            lines = msgspec.json.encode(filled) + b"\n"
            for boot_id in (BOOT, BOOT[::-1]):
                await ship(intake, lines, boot_id=boot_id)
                await ship(intake, lines, boot_id=boot_id)  # and once more, as it may come
            await ship(intake, body(3), edge="b")
            assert await planned_bytes_since(store.database, NOW_S - 7_200.0) == {"a": 14_000}
            assert await planned_bytes_since(store.database, NOW_S + 7_200.0) == {}
            wanted, _ = await ToldRows().read(store.database, NOW_S - 7_200.0)
            assert list(wanted.edges) == ["b"], "what was only fetched is wanted by nobody"
        finally:
            await store.close()

    run(main())


def test_read_again_are_only_the_hours_of_which_more_was_told(
    database_url: str, tmp_path: Path
) -> None:
    hour_s = 3_600.0

    def told(hour: int, title: str) -> bytes:
        line = Demand(
            wall_s=NOW_S - hour * hour_s, title=title, rendition="r", client_bytes=9,
            session_count=1,
        )  # fmt: skip
        return msgspec.json.encode(line) + b"\n"

    def rows(columns: DemandColumns) -> list[tuple[int, str, str, float]]:
        found = zip(
            columns.hour_wall_s.tolist(), columns.edge, columns.title, columns.client_bytes,
            strict=True,
        )  # fmt: skip
        return [
            (hour, columns.edges[edge], columns.titles[title], float(size_bytes))
            for hour, edge, title, size_bytes in found
        ]

    async def main() -> None:
        store = await ControlStore.open(database_url, tmp_path)
        try:
            intake, kept = Intake(store.database, gather_s=0.0), ToldRows()

            async def read_again() -> tuple[list[tuple[int, str, str, float]], int]:
                before = kept.read_count
                demand, wanted = await kept.read(store.database, NOW_S - 6 * hour_s)
                anew = await ToldRows().read(store.database, NOW_S - 6 * hour_s)
                assert rows(demand) == rows(anew[0])
                assert len(wanted.edge) == len(anew[1].edge)
                return rows(demand), kept.read_count - before

            lines = b"".join(told(hour, name) for hour in (3, 2, 1) for name in ("m", "t"))
            await ship(intake, lines, edge="m")
            first, count = await read_again()
            assert (len(first), count) == (6, 6)
            assert await read_again() == (first, 0)
            # Late, of an hour long read; and of names that come before those that were known.
            await ship(intake, told(3, "t") + told(1, "a"), edge="b")
            second, count = await read_again()
            assert (len(second), count) == (8, 3 + 3)
            assert second == sorted(second)
            await ship(intake, told(2, "m"), edge="m", boot_id=BOOT[::-1])
            third, count = await read_again()
            assert count == 2
            assert sum(size_bytes for *_, size_bytes in third) == 9 * 9
            few, _ = await ToldRows(rows_max=5).read(store.database, NOW_S - 6 * hour_s)
            assert rows(few) == third[-5:], "the newest hours, whole"
        finally:
            await store.close()

    run(main())
