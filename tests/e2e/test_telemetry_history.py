"""Raw events on their way into Parquet files: each is in exactly one place, whatever happens."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nearcast.errors import InputError
from nearcast.telemetry import Demand, Line, Noted, SessionEnded
from origin.config import ObjectsConfig, TelemetryConfig
from origin.drivers.objects import ObjectMissing, ObjectStore
from origin.drivers.state import ControlStore, StateError
from origin.drivers.state.history_rows import files_of, waiting_events
from origin.drivers.telemetry.history import History, day_of
from origin.drivers.telemetry.intake import Intake
from origin.drivers.telemetry.parquet import ANSWER_BYTES_MAX, ROWS_MAX, query_events
from tests.e2e.test_control_store import told_s

DAY_S = 86_400.0
NOW_S = 20_717 * DAY_S + 3_600.0  # an hour into a day
BOOT = "0123456789abcdef"


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30.0))


def demands(first: int, count: int, wall_s: float = NOW_S) -> tuple[Line, ...]:
    return tuple(
        Demand(wall_s=wall_s, title=f"t{no}", rendition="r", client_bytes=1)
        for no in range(first, first + count)
    )


class World:
    """An origin's telemetry, with segments that follow each other."""

    def __init__(self, store: ControlStore, objects: ObjectStore, holder: str = "one") -> None:
        self.store = store
        self.objects = objects
        self.intake = Intake(store.database, gather_s=0.0)
        self.history = History(
            store, objects, TelemetryConfig(history_days=30, history_s=60.0), holder=holder
        )
        self.segment_no = 0

    async def tell(self, *events: Line, edge: str = "a", wall_s: float = NOW_S) -> None:
        self.segment_no += 1
        await self.intake.receive(
            edge=edge,
            boot_id=BOOT,
            segment_no=self.segment_no,
            offset_bytes=0,
            first_segment_no=0,
            body=b"".join(msgspec.json.encode(event) + b"\n" for event in events),
            received_wall_s=wall_s,
        )

    async def titles(self) -> list[str]:
        """Of every event in the history, one for each."""
        answer = await self.history.query("SELECT title FROM demand ORDER BY title")
        return [row[0] for row in answer.rows]


async def make(tmp_path: Path, url: str = "") -> World:
    store = await ControlStore.open(url, tmp_path)
    store.clock = told_s
    return World(store, ObjectStore.of_folder(tmp_path / "history"))


def test_events_become_files_by_day_and_can_be_asked(tmp_path: Path) -> None:
    async def main() -> None:
        world = await make(tmp_path)
        ended = SessionEnded(wall_s=NOW_S, title="it's", watched_s=60.0, startup_s=1.5)
        await world.tell(*demands(0, 3), ended, edge="ams-1")
        await world.tell(Noted(wall_s=NOW_S, what="drain"), wall_s=NOW_S - DAY_S)
        await world.history.step(NOW_S + 10.0)
        assert await files_of(world.store.database) != ()  # the note has waited for a day
        assert [file.day for file in await files_of(world.store.database)] == [
            day_of(NOW_S - DAY_S),
            day_of(NOW_S),
        ]
        assert await waiting_events(world.store.database) == (0, 0.0)
        answer = await world.history.query(
            "SELECT edge, title, startup_s, client_bytes FROM sessions"
        )
        assert answer.columns == ("edge", "title", "startup_s", "client_bytes")
        assert answer.rows == (("ams-1", "it's", 1.5, None),)
        counts = await world.history.query("SELECT e, count(*) FROM events GROUP BY e ORDER BY e")
        assert counts.rows == (("demand", 3), ("noted", 1), ("session", 1))
        await world.store.close()

    run(main())


def test_nothing_is_packed_or_unpacked_where_others_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: dict[str, set[int]] = {"compress": set(), "decompress": set()}
    for name, used in threads.items():
        work: Callable[..., bytes] = getattr(gzip, name)

        def noting(
            *args: Any, used: set[int] = used, work: Callable[..., bytes] = work, **named: Any
        ) -> bytes:
            used.add(threading.get_ident())
            return work(*args, **named)

        monkeypatch.setattr(gzip, name, noting)

    async def main() -> None:
        world = await make(tmp_path)
        await world.tell(*demands(0, 3))
        await world.history.write(NOW_S + 10.0)
        assert await world.titles() == ["t0", "t1", "t2"]
        await world.store.close()

    run(main())
    for used in threads.values():
        assert used
        assert threading.get_ident() not in used


def test_an_answer_has_bounds_in_rows_and_in_bytes() -> None:
    many = query_events((), f"SELECT range FROM range({ROWS_MAX + 1})")
    assert (len(many.rows), many.is_cut) == (ROWS_MAX, True)
    large = query_events((), "SELECT repeat('x', 200000) FROM range(1000)")
    assert (len(large.rows), large.is_cut) == (ANSWER_BYTES_MAX // 200_000 + 1, True)
    all_of_it = query_events((), f"SELECT range FROM range({ROWS_MAX})")
    assert (len(all_of_it.rows), all_of_it.is_cut) == (ROWS_MAX, False)


def test_files_of_a_day_that_is_over_become_one(tmp_path: Path) -> None:
    async def main() -> None:
        world = await make(tmp_path)
        for no in range(5):
            await world.tell(*demands(no * 10, 10))
            await world.history.write(NOW_S + no)
        before = await world.titles()
        await world.history.step(NOW_S + DAY_S)
        (file,) = await files_of(world.store.database)
        assert file.event_count == 50
        assert await world.titles() == before
        assert len(before) == 50
        await world.store.close()

    run(main())


def test_what_ends_between_file_and_database_neither_loses_nor_doubles(tmp_path: Path) -> None:
    async def main() -> None:
        world = await make(tmp_path)
        await world.tell(*demands(0, 10))

        class Dying(ObjectStore):
            async def put(self, key: str, data: bytes | Path) -> None:
                await super().put(key, data)
                raise ConnectionAbortedError("killed")

        dying = History(
            world.store,
            Dying(world.objects._backend, "dying"),
            TelemetryConfig(),
            holder="dying",
        )
        with pytest.raises(ConnectionAbortedError):
            await dying.write(NOW_S)
        assert len(await world.objects.list()) == 1  # written, and named nowhere
        await world.history.write(NOW_S)
        assert len(await world.titles()) == 10
        real_s = max(info.modified_wall_s for info in await world.objects.list())
        await world.history._sweep(real_s + 4_000.0)
        assert len(await world.objects.list()) == 1
        assert len(await world.titles()) == 10
        await world.store.close()

    run(main())


def test_two_origins_write_an_event_once(postgres_url: str, tmp_path: Path) -> None:
    """Even if both think that it is theirs to do."""

    async def main() -> None:
        worlds = [await make(tmp_path, postgres_url) for _ in range(2)]
        for no in range(20):
            await worlds[0].tell(*demands(no * 10, 10))
        results = await asyncio.gather(
            *(world.history.write(NOW_S) for world in worlds), return_exceptions=True
        )
        assert all(isinstance(one, (int, StateError)) for one in results)
        assert len(await worlds[0].titles()) == 200
        holders = [
            await world.store.lease("history", str(id(world)), NOW_S, 60) for world in worlds
        ]
        assert holders == [True, False]
        for world in worlds:
            await world.store.close()

    run(main())


def test_old_days_go_and_a_missing_file_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        world = await make(tmp_path)
        await world.tell(*demands(0, 10))
        await world.history.write(NOW_S)
        await world.tell(*demands(10, 10), wall_s=NOW_S + 20 * DAY_S)
        await world.history.write(NOW_S + 20 * DAY_S)
        await world.history.tidy(NOW_S + 31 * DAY_S)
        assert len(await world.titles()) == 10
        (file,) = await files_of(world.store.database)
        await world.objects.delete([file.name])
        with pytest.raises(ObjectMissing, match="parquet"):
            await world.titles()
        await world.store.close()

    run(main())


def test_the_history_may_be_in_a_bucket(s3_url: str, tmp_path: Path) -> None:
    async def main() -> None:
        store = await ControlStore.open("", tmp_path)
        world = World(store, ObjectStore.of_config(ObjectsConfig(url=s3_url + "/history")))
        await world.tell(*demands(0, 10))
        await world.history.write(NOW_S)
        assert len(await world.titles()) == 10
        await store.close()

    run(main())


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY (SELECT 1) TO 'out.csv'",
        "ATTACH 'other.db'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "SELECT 1; SELECT 2",
        "DROP VIEW events",
        "SELEKT 1",
        "",
        "SELECT no_such_column FROM events",
    ],
)
def test_a_query_reads_the_history_and_nothing_else(tmp_path: Path, query: str) -> None:
    async def main() -> None:
        world = await make(tmp_path)
        await world.tell(*demands(0, 1))
        await world.history.write(NOW_S)
        with pytest.raises(InputError):
            await world.history.query(query)
        await world.store.close()

    run(main())


def test_a_query_that_takes_too_long_is_ended() -> None:
    with pytest.raises(InputError, match="longer than"):
        query_events((), "SELECT count(*) FROM range(1000000000000) a", deadline_s=0.1)


def test_an_empty_history_has_columns_and_no_rows(tmp_path: Path) -> None:
    async def main() -> None:
        world = await make(tmp_path)
        answer = await world.history.query("SELECT edge, sum(client_bytes) FROM demand GROUP BY 1")
        assert answer.rows == ()
        await world.store.close()

    run(main())


def test_an_edge_cannot_pass_for_another_in_the_history(tmp_path: Path) -> None:
    async def main() -> None:
        world = await make(tmp_path)
        line = b'{"e":"noted","wall_s":%d,"what":"x","edge":"b","received_wall_s":1}\n' % NOW_S
        await world.intake.receive(
            edge="a",
            boot_id=BOOT,
            segment_no=1,
            offset_bytes=0,
            first_segment_no=0,
            body=line,
            received_wall_s=NOW_S,
        )
        await world.history.write(NOW_S)
        answer = await world.history.query("SELECT edge, received_wall_s FROM notes")
        assert answer.rows == (("a", NOW_S),)
        await world.store.close()

    run(main())
