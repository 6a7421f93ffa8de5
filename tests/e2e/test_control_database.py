"""The control database comes into form once, and what goes wrong with it loses nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sql
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from nearcast.errors import ConfigError
from origin.drivers.state import ControlStore, StateError, StateUnavailable, schema
from origin.drivers.state.database import Database
from origin.drivers.state.tables import metadata
from origin.records import Revisions
from tests.e2e.test_control_store import NOW_S, Place, edge, heartbeat, plan
from tests.servers import PostgresServer

PROCESS = """
import asyncio, sys
from pathlib import Path
from nearcast.errors import ConfigError
from origin.drivers.state import ControlStore

async def main(url, folder, value):
    store = await ControlStore.open(url, Path(folder))
    print((await store.put_secret_once("authority", value.encode())).decode())
    await store.close()

print("ready", flush=True)
sys.stdin.readline()  # both begin at once, when all is imported
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Nothing is there yet."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    return Place(url, tmp_path)


def test_the_migrations_make_the_tables_that_we_use(place: Place) -> None:
    def differences(connection: sql.Connection) -> list[object]:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        return list(compare_metadata(context, metadata))

    async def work(store: ControlStore) -> list[object]:
        async with store.database.reading() as connection:
            return await connection.run_sync(differences)

    assert place.run(work) == []


def test_there_is_one_newest_migration_and_the_code_knows_it() -> None:
    assert schema.script_directory().get_heads() == [schema.HEAD]


def test_an_older_database_keeps_its_records(place: Place) -> None:
    async def old() -> None:
        database = Database.of_url(place.url, place.folder)
        async with database.writing() as connection:
            scripts = schema.script_directory()
            await connection.run_sync(lambda inner: schema.upgrade(inner, scripts, "0001"))
            await connection.execute(
                sql.text("INSERT INTO secrets (name, value) VALUES ('authority', :value)"),
                {"value": b"key"},
            )
        await database.close()

    asyncio.run(old())

    assert place.run(lambda store: store.secret("authority")) == b"key"


def test_a_database_of_a_newer_version_is_refused_and_left_alone(place: Place) -> None:
    async def work(store: ControlStore) -> None:
        async with store.database.writing() as connection:
            await connection.execute(sql.text("UPDATE alembic_version SET version_num = '9999'"))

    place.run(work)

    with pytest.raises(StateError, match=r"schema 9999.*newer nearcast") as caught:
        place.run(ControlStore.edges)
    assert not isinstance(caught.value, StateUnavailable)  # no use in trying again


def test_origins_that_start_at_once_migrate_once(place: Place) -> None:
    async def work() -> list[Revisions]:
        stores = await asyncio.gather(
            *(ControlStore.open(place.url, place.folder) for _ in range(5))
        )
        revisions = [await store.revisions() for store in stores]
        for store in stores:
            await store.close()
        return revisions

    assert asyncio.run(work()) == [Revisions()] * 5


def test_two_processes_agree_on_a_secret(place: Place) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", PROCESS, place.url, str(place.folder), "other"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdin is not None
    assert other.stdout.readline() == "ready\n"

    other.stdin.write("go\n")
    other.stdin.flush()
    ours = place.run(lambda store: store.put_secret_once("authority", b"ours"))
    answer = other.communicate(timeout=60)[0].strip()

    assert ours in (b"ours", b"other")
    assert answer.encode() == ours
    assert place.run(lambda store: store.secret("authority")) == ours


def test_a_connection_that_is_cut_midway_loses_nothing(
    postgres_server: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    place = Place(postgres_url, tmp_path)
    database = postgres_url.rpartition("/")[2]

    async def cut_midway(store: ControlStore) -> None:
        async with store.database.writing() as connection:
            await connection.execute(sql.text("UPDATE edges SET note = 'half done'"))
            assert await asyncio.to_thread(postgres_server.kill_connections, database) >= 1
            await connection.execute(sql.text("UPDATE edges SET note = 'done'"))

    async def work(store: ControlStore) -> None:
        await store.put_edge(edge("ams1"))
        before = await store.revisions()
        with pytest.raises(StateUnavailable) as caught:
            await cut_midway(store)
        assert "half done" not in str(caught.value)
        assert await store.edges() == (edge("ams1"),)
        assert await store.revisions() == before
        # What lay in the pool is found to be dead before it is used.
        await asyncio.to_thread(postgres_server.kill_connections, database)
        await store.put_edge(edge("ber1"))
        assert [record.edge for record in await store.edges()] == ["ams1", "ber1"]

    place.run(work)


def test_an_origin_that_stands_still_does_not_keep_another_from_writing(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(one: ControlStore, other: ControlStore) -> None:
        # Not before: on a busy machine migrations too would stand still for so long.
        monkeypatch.setattr("origin.drivers.state.database.IDLE_S", 0.7)
        await one.database.close()  # its next connection has that limit
        stands_still, moves_on = asyncio.Event(), asyncio.Event()

        async def begin() -> None:
            async with one.database.writing() as connection:
                await connection.execute(sql.text("UPDATE counters SET value = value + 100"))
                stands_still.set()
                await moves_on.wait()
                await connection.execute(sql.text("UPDATE counters SET value = value + 100"))

        standing = asyncio.create_task(begin())
        await stands_still.wait()
        await other.put_heartbeats([heartbeat("ams1", 1)])
        moves_on.set()
        with pytest.raises(StateUnavailable):
            await standing
        assert (await other.revisions()).heartbeats == 1

    Place(postgres_url, tmp_path).run_two(work)


def test_who_waits_too_long_for_another_is_told_and_may_try_again(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(one: ControlStore, other: ControlStore) -> None:
        monkeypatch.setattr("origin.drivers.state.database.STATEMENT_S", 1.0)
        await other.database.close()  # its next connection has that limit
        async with one.database.writing() as connection:
            await connection.execute(sql.text("UPDATE counters SET value = value + 1"))
            with pytest.raises(StateUnavailable):
                await other.put_heartbeats([heartbeat("ams1", 1)])
        await other.put_heartbeats([heartbeat("ams1", 1)])
        assert [each.edge for each in (await one.heartbeats_since(0))[1]] == ["ams1"]

    Place(postgres_url, tmp_path).run_two(work)


def test_batches_that_were_refused_go_in_when_the_server_is_back(
    postgres_server: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    async def work(store: ControlStore) -> None:
        await store.put_heartbeats([heartbeat("ams1", 1)])
        await store.add_plan(plan("p1"))
        await asyncio.to_thread(postgres_server.stop)
        try:
            batch = [heartbeat("ams1", 2), heartbeat("ber1", 1)]
            for _ in range(3):
                with pytest.raises(StateUnavailable, match=r"postgresql://nearcast@127"):
                    await store.put_heartbeats(batch)
        finally:
            await asyncio.to_thread(postgres_server.start)
        await store.put_heartbeats(batch)
        _, records = await store.heartbeats_since(0)
        assert [(record.edge, record.sequence_no) for record in records] == [
            ("ams1", 2),
            ("ber1", 1),
        ]
        assert await store.edge_plan("p1", "ams1") == b"p1"

    Place(postgres_url, tmp_path).run(work)


def test_an_origin_does_not_start_where_no_server_is_and_says_no_password(tmp_path: Path) -> None:
    url = "postgresql://ann:hunter2@127.0.0.1:1/x?application_name=hunter3"

    with pytest.raises(StateUnavailable) as caught:
        Place(url, tmp_path).run(ControlStore.edges)

    assert "ann:***@127.0.0.1:1/x" in str(caught.value) or "ann@127.0.0.1:1/x" in str(caught.value)
    assert "hunter" not in str(caught.value)


def test_a_wrong_password_is_not_repeated(
    postgres_server: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    url = postgres_url.replace("//nearcast@", "//nobody:hunter2@")

    with pytest.raises(StateError, match="nobody") as caught:
        Place(url, tmp_path).run(ControlStore.edges)

    assert "hunter2" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_whoever_gives_up_waiting_leaves_nothing_half_done(place: Place) -> None:
    async def work(store: ControlStore) -> None:
        for number in range(25):
            putting = asyncio.create_task(store.put_edge(edge(f"e{number}"), by="ann"))
            for _ in range(number):  # a little further each time
                await asyncio.sleep(0)
            putting.cancel()
            await asyncio.gather(putting, return_exceptions=True)
        names = {record.edge for record in await store.edges()}
        # With its entry or not at all; and no connection or lock was left with those who left.
        assert {entry.subject for entry in await store.audit_entries()} == names
        await asyncio.gather(*(store.put_edge(edge(f"f{number}")) for number in range(8)))
        assert len(await store.edges()) == len(names) + 8

    place.run(work)
    # Who gives up while the library is connecting leaves the connection to the collector, which
    # warns: here, and not in whatever test comes next.
    gc.collect()


def test_a_statement_that_fails_says_why_without_its_values(place: Place) -> None:
    async def fail(store: ControlStore) -> None:
        async with store.database.writing() as connection:
            await connection.execute(
                sql.text("INSERT INTO nowhere (name) VALUES (:name)"), {"name": "hunter2"}
            )

    async def work(store: ControlStore) -> None:
        with pytest.raises(StateError) as caught:
            await fail(store)
        assert "nowhere" in str(caught.value)
        assert "hunter2" not in str(caught.value)
        assert not isinstance(caught.value, StateUnavailable)
        await store.put_edge(edge("ams1", changed_wall_s=NOW_S))

    place.run(work)


def test_nobody_else_may_read_the_file_with_the_keys(tmp_path: Path) -> None:
    async def work(store: ControlStore) -> dict[str, int]:
        await store.put_secret_once("authority", b"key")
        files = await asyncio.to_thread(lambda: sorted(tmp_path.iterdir()))
        return {file.name: stat.S_IMODE(os.stat(file).st_mode) for file in files}

    modes = Place("", tmp_path).run(work)

    assert "control.db" in modes
    assert set(modes.values()) == {0o600}


def test_a_folder_that_cannot_hold_the_database_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"control\.database: there is no folder .*missing"):
        Place("", tmp_path / "missing").run(ControlStore.edges)
