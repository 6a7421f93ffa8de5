"""The control state on SQLite and on PostgreSQL: the same promises on both."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from nearcast.errors import ConfigError
from nearcast.fleet import EdgeProfile
from origin.drivers.control.sync import Sync
from origin.drivers.state import ControlStore, StateError, StateFull, StateUnavailable, UrlTaken
from origin.drivers.state.shared_clock import shared_wall_s
from origin.drivers.state.store import SPENT_S
from origin.records import (
    ApiToken,
    AuditEntry,
    EdgeRecord,
    EnrolToken,
    HeartbeatRecord,
    ObservationRecord,
    OriginRecord,
    PlanRecord,
)
from tests.servers import PostgresServer

T = TypeVar("T")
NOW_S = 1_800_000_000.0
TOKEN = "ab" * 32


async def told_s(connection: AsyncConnection, wall_s: float) -> float:
    return wall_s


class Place(NamedTuple):
    """Where a store is: any number of origins may open it."""

    url: str
    folder: Path

    async def open(self) -> ControlStore:
        """Its database's clock says what the test says."""
        store = await ControlStore.open(self.url, self.folder)
        store.clock = told_s
        return store

    def run(self, work: Callable[[ControlStore], Awaitable[T]]) -> T:
        async def whole() -> T:
            store = await self.open()
            try:
                return await work(store)
            finally:
                await store.close()

        return asyncio.run(whole())

    def run_two(self, work: Callable[[ControlStore, ControlStore], Awaitable[T]]) -> T:
        """Two origins."""

        async def whole() -> T:
            one, other = await asyncio.gather(self.open(), self.open())
            try:
                return await work(one, other)
            finally:
                await one.close()
                await other.close()

        return asyncio.run(whole())


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    Place("", folder).run(ControlStore.revisions)
    return folder / "control.db"


@pytest.fixture(scope="session")
def migrated_database(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> str:
    name = postgres_server.create_database()
    url = postgres_server.url(name)
    Place(url, tmp_path_factory.mktemp("none")).run(ControlStore.revisions)
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A copy of a migrated database, which is made once: migrating takes longer than most tests."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path)
        yield Place("", tmp_path)
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = server.create_database(request.getfixturevalue("migrated_database"))
    yield Place(server.url(name), tmp_path)
    server.drop_database(name)


def edge(name: str, **fields: Any) -> EdgeRecord:
    values = {"serial": "01", "enrolled_wall_s": NOW_S, "changed_wall_s": NOW_S, **fields}
    profile = EdgeProfile(url=f"https://{name}", capacity_bytes=10**12, networks=("10.0.0.0/8",))
    return EdgeRecord(**{"edge": name, "profile": profile, **values})


def heartbeat(name: str, sequence_no: int, **fields: Any) -> HeartbeatRecord:
    values = {
        "boot_id": "0" * 16,
        "received_wall_s": NOW_S + sequence_no,
        "origin_id": "a",
        "body": f"{sequence_no}".encode(),
        **fields,
    }
    return HeartbeatRecord(edge=name, sequence_no=sequence_no, **values)


def plan(plan_id: str, made_wall_s: float = NOW_S, **edges: bytes) -> PlanRecord:
    return PlanRecord(
        plan_id=plan_id,
        made_wall_s=made_wall_s,
        valid_from_wall_s=made_wall_s,
        valid_until_wall_s=made_wall_s + 86_400,
        summary=b'{"files": 1}',
        edges=edges or {"ams1": plan_id.encode()},
    )


def token(**fields: Any) -> EnrolToken:
    values = {
        "token_sha256": TOKEN,
        "made_wall_s": NOW_S,
        "until_wall_s": NOW_S + 3600,
        "by": "ann",
    }
    return EnrolToken(**{**values, **fields})


def test_edges_come_back_as_they_were_put(place: Place) -> None:
    records = (edge("ams1"), edge("ber1", duty="draining", note="new disk", revoked=True))

    async def work(store: ControlStore) -> tuple[EdgeRecord, ...]:
        for record in reversed(records):
            await store.put_edge(edge(record.edge, note="before"))
            await store.put_edge(record)
        return await store.edges()

    assert place.run(work) == records
    assert place.run(ControlStore.edges) == records  # after a restart as well


def test_a_removed_edge_takes_along_what_was_heard_of_it(place: Place) -> None:
    async def work(store: ControlStore) -> None:
        await store.put_edge(edge("ams1"))
        assert not await store.remove_edge("ams1", wall_s=NOW_S, by="ann"), "it is in the fleet"
        await store.put_edge(edge("ams1", revoked=True))
        await store.put_heartbeats([heartbeat("ams1", 1), heartbeat("ber1", 1)])
        seen: dict[str, Any] = {"is_up": True, "seen_wall_s": NOW_S, "origin_id": "a"}
        await store.put_observations(
            [
                ObservationRecord(observer="ber1", edge="ams1", **seen),
                ObservationRecord(observer="ams1", edge="ber1", **seen),
                ObservationRecord(observer="players", edge="ber1", **seen),
            ]
        )
        assert await store.remove_edge("ams1", wall_s=NOW_S, by="ann")
        assert not await store.remove_edge("ams1", wall_s=NOW_S, by="ann")
        assert await store.edge("ams1") is None
        assert [each.edge for each in (await store.heartbeats_since(0))[1]] == ["ber1"]
        assert [each.observer for each in (await store.observations_since(0))[1]] == ["players"]

    place.run(work)


def test_one_of_twenty_takes_a_token(place: Place) -> None:
    async def work(one: ControlStore, other: ControlStore) -> None:
        await one.add_token(token())
        taken = await asyncio.gather(
            *(
                (one, other)[number % 2].take_token(TOKEN, f"edge{number}", NOW_S)
                for number in range(20)
            )
        )
        (got,) = (each for each in taken if each is not None)
        assert got.taken_wall_s == NOW_S
        assert got.taken_by == f"edge{taken.index(got)}"

    place.run_two(work)


@pytest.mark.parametrize(
    ("fields", "wall_s"),
    [({"edge": "ber1"}, NOW_S), ({}, NOW_S + 3600), ({"token_sha256": "cd" * 32}, NOW_S)],
    ids=["for another", "too old", "unknown"],
)
def test_a_token_that_is_not_good_is_not_taken(
    place: Place, fields: dict[str, Any], wall_s: float
) -> None:
    async def work(store: ControlStore) -> None:
        await store.add_token(token(**fields))
        assert await store.take_token(TOKEN, "ams1", wall_s) is None

    place.run(work)


def test_enrolment_is_whole_or_not_at_all(place: Place) -> None:
    async def work(store: ControlStore) -> None:
        await store.add_token(token())
        assert await store.enrol("cd" * 32, edge("ams1"), NOW_S) == "bad_token"
        assert await store.edges() == ()
        await store.put_edge(edge("ber1"))
        assert await store.enrol(TOKEN, edge("ber1", serial="02"), NOW_S) == "duplicate"
        # The token was not spent on it, and the edge that is there was not touched.
        assert await store.edge("ber1") == edge("ber1")
        assert await store.enrol(TOKEN, edge("ams1"), NOW_S) == "enrolled"
        assert await store.enrol(TOKEN, edge("cdg1"), NOW_S) == "bad_token"

    place.run(work)


def test_one_of_twenty_enrols_under_a_name(place: Place) -> None:
    async def work(one: ControlStore, other: ControlStore) -> None:
        tokens = [f"{number:064x}" for number in range(20)]
        for digest in tokens:
            await one.add_token(token(token_sha256=digest))
        outcomes = await asyncio.gather(
            *(
                (one, other)[number % 2].enrol(digest, edge("ams1", serial=f"{number}"), NOW_S)
                for number, digest in enumerate(tokens)
            )
        )
        assert sorted(outcomes) == ["duplicate"] * 19 + ["enrolled"]
        kept = await other.edge("ams1")
        assert kept is not None
        assert kept.serial == f"{outcomes.index('enrolled')}"

    place.run_two(work)


def test_heartbeats_never_go_back(place: Place) -> None:
    async def work(one: ControlStore, other: ControlStore) -> None:
        await one.put_heartbeats([heartbeat("ams1", 5), heartbeat("ams1", 6), heartbeat("ams1", 4)])
        await other.put_heartbeats([heartbeat("ams1", 5, received_wall_s=NOW_S + 100)])
        (_, (kept,)) = await one.heartbeats_since(0)
        assert kept == heartbeat("ams1", 6)
        await other.put_heartbeats([heartbeat("ams1", 1, boot_id="1" * 16)])  # of an older boot
        assert (await one.heartbeats_since(0))[1] == (kept,)
        booted = heartbeat("ams1", 1, boot_id="2" * 16, received_wall_s=NOW_S + 7)
        await other.put_heartbeats([booted])
        assert (await one.heartbeats_since(0))[1] == (booted,)

    place.run_two(work)


def test_a_reader_sees_each_heartbeat_of_concurrent_writers(place: Place) -> None:
    async def work(one: ControlStore, other: ControlStore) -> None:
        seen: dict[str, int] = {}
        done = asyncio.Event()

        async def read() -> None:
            revision = 0
            while True:
                is_last = done.is_set()
                revision, records = await one.heartbeats_since(revision)
                seen.update({record.edge: record.sequence_no for record in records})
                if is_last:
                    return

        async def write(store: ControlStore, first: int) -> None:
            for sequence_no in range(1, 6):
                names = range(first, first + 20)
                await store.put_heartbeats([heartbeat(f"e{n}", sequence_no) for n in names])

        reading = asyncio.create_task(read())
        # They overlap in half of the edges.
        await asyncio.gather(write(one, 0), write(other, 10))
        done.set()
        await reading
        assert seen == {f"e{number}": 5 for number in range(30)}

    place.run_two(work)


def test_what_an_edge_holds_is_read_once_and_outlives_heartbeats_without_it(place: Place) -> None:
    async def work(store: ControlStore) -> None:
        first = heartbeat("ams1", 1, held=b"titles", held_id="aa")
        await store.put_heartbeats([first, heartbeat("ams1", 2)])
        revision, (read,) = await store.heartbeats_since(0)
        assert (read.sequence_no, read.held, read.held_id) == (2, b"titles", "aa")
        await store.put_heartbeats([heartbeat("ams1", 3)])
        _, (read,) = await store.heartbeats_since(revision)
        assert (read.sequence_no, read.held, read.held_id) == (3, None, "aa")
        _, (read,) = await store.heartbeats_since(0)
        assert read.held == b"titles"

    place.run(work)


def test_of_observations_the_newest_of_each_pair_stays(place: Place) -> None:
    def seen(age_s: float, is_up: bool) -> ObservationRecord:
        return ObservationRecord(
            observer="ber1", edge="ams1", is_up=is_up, rtt_ms=4.5 if is_up else None,
            seen_wall_s=NOW_S - age_s, origin_id="a",
        )  # fmt: skip

    async def work(store: ControlStore) -> None:
        await store.put_observations([seen(1, True), seen(3, False)])
        await store.put_observations([seen(2, False)])
        revision, records = await store.observations_since(0)
        assert records == (seen(1, True),)
        await store.put_observations([seen(0, False)])
        assert (await store.observations_since(revision))[1] == (seen(0, False),)

    place.run(work)


def test_one_plan_is_in_force(place: Place) -> None:
    async def work(one: ControlStore, other: ControlStore) -> None:
        names = [f"p{number}" for number in range(6)]
        assert [await one.add_plan(plan(name, NOW_S)) for name in names] == [True] * 6
        assert not await other.add_plan(plan("p0", NOW_S, ams1=b"other"))
        stores = (one, other)
        await asyncio.gather(
            *(
                stores[number % 2].apply_plan(name, wall_s=NOW_S + 1, by="ann")
                for number, name in enumerate(names)
            )
        )
        states = [head.state for head in await one.plans()]
        assert sorted(states) == ["applied"] + ["superseded"] * 5
        current = await other.current_plan()
        assert current is not None
        assert current.applied_wall_s == NOW_S + 1
        assert await other.edge_plan(current.plan_id, "ams1") == current.plan_id.encode()
        again = await other.apply_plan(current.plan_id, wall_s=NOW_S + 9, by="ann")
        assert again == current
        assert await one.apply_plan("unknown", wall_s=NOW_S, by="ann") is None
        assert await one.current_plan() == current
        assert len(await one.audit_entries()) == 6  # one for each that changed something

    place.run_two(work)


def test_old_plans_are_forgotten_but_never_the_one_in_force(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("origin.drivers.state.plan_rows.PLANS_KEPT", 4)

    async def work(store: ControlStore) -> None:
        for number in range(7):
            await store.add_plan(plan(f"p{number}", NOW_S + number))
            if number == 1:
                await store.apply_plan("p1", wall_s=NOW_S)
        kept = {head.plan_id for head in await store.plans(1000)}
        assert kept == {f"p{number}" for number in range(3, 7)} | {"p1"}
        assert await store.plan("p0") is None
        assert await store.edge_plan("p0", "ams1") is None
        whole = await store.plan("p1")
        assert whole is not None
        assert whole.edges == {"ams1": b"p1"}

    place.run(work)


def test_no_two_edges_have_one_url(place: Place) -> None:
    def at(url: str) -> EdgeRecord:
        profile = EdgeProfile(url=url, capacity_bytes=1)
        return msgspec.structs.replace(edge("ams2"), profile=profile)

    async def work(store: ControlStore) -> None:
        await store.put_edge(edge("ams1"))
        await store.add_token(token(edge=""))
        with pytest.raises(UrlTaken, match="ams1"):
            await store.enrol(TOKEN, at("https://ams1:443"), NOW_S)
        # The token is good still.
        assert await store.enrol(TOKEN, at("https://ams1:8443"), NOW_S) == "enrolled"
        change: Any = {"wall_s": NOW_S, "by": "ann", "action": "edge.profile"}
        with pytest.raises(UrlTaken):
            await store.change_edge("ams2", lambda _: at("https://AMS1"), **change)
        (_, kept) = await store.edges()
        assert kept.profile.url == "https://ams1:8443"
        # One that was revoked has none, and who shares one from before can be drained and renewed.
        await store.put_edge(edge("ams1", revoked=True))
        assert await store.change_edge("ams2", lambda _: at("https://ams1"), **change)
        await store.put_edge(edge("ams1"))
        assert await store.change_edge("ams2", lambda one: one, **change)

    place.run(work)


def test_of_a_secret_the_first_value_wins_for_everybody(place: Place) -> None:
    async def work(one: ControlStore, other: ControlStore) -> None:
        assert await one.secret("authority") is None
        values = await asyncio.gather(
            *(
                (one, other)[number % 2].put_secret_once("authority", b"key %d" % number)
                for number in range(10)
            )
        )
        assert len(set(values)) == 1
        assert await other.secret("authority") == values[0]

    place.run_two(work)


def test_a_lease_has_one_holder_until_it_runs_out(place: Place) -> None:
    async def work(one: ControlStore, other: ControlStore) -> None:
        got = await asyncio.gather(
            *((one, other)[n % 2].lease("planner", f"o{n}", NOW_S, 10) for n in range(10))
        )
        holder, another = f"o{got.index(True)}", f"o{got.index(False)}"
        assert sum(got) == 1
        assert await other.lease("planner", holder, NOW_S + 5, 10)  # renewed
        assert not await one.lease("planner", another, NOW_S + 14.9, 10)
        assert await one.lease("planner", another, NOW_S + 15, 10)
        assert not await other.lease("planner", holder, NOW_S + 16, 10)
        await other.release("planner", holder)  # not its own any more: changes nothing
        assert not await other.lease("planner", holder, NOW_S + 17, 10)
        await one.release("planner", another)
        assert await other.lease("planner", holder, NOW_S + 17, 10)

    place.run_two(work)


async def at_noon_s(connection: AsyncConnection, wall_s: float) -> float:
    return NOW_S


def test_a_wild_clock_has_no_lease_and_keeps_none_from_others(place: Place) -> None:
    day_s = 86_400.0

    async def work(good: ControlStore, wild: ControlStore) -> None:
        # Of the version before, which went by its own clock.
        assert await wild.lease("planner", "wild", NOW_S + 2 * day_s, 60)
        assert await good.lease("planner", "good", NOW_S, 60)
        good.clock = wild.clock = at_noon_s
        for ahead_s in (2 * day_s, 200.0, -200.0):
            assert not await wild.is_on_time(NOW_S + ahead_s)
            assert not await wild.lease("planner", "wild", NOW_S + ahead_s, 60)
            assert not await wild.lease("history", "wild", NOW_S + ahead_s, 60)
        assert await wild.is_on_time(NOW_S + 100)
        assert not await wild.lease("planner", "wild", NOW_S + 100, 60)  # good's, by the shared one
        assert await good.lease("history", "good", NOW_S - 100, 60)

    place.run_two(work)


def test_origins_are_there_by_the_databases_clock(place: Place) -> None:
    async def work(store: ControlStore) -> None:
        store.clock = at_noon_s
        for name, ahead_s in (("good", 1.0), ("wild", 172_800.0)):
            record = OriginRecord(
                origin_id=name, fleet_url=f"https://{name}", started_wall_s=NOW_S,
                seen_wall_s=NOW_S + ahead_s,
            )  # fmt: skip
            assert await store.put_origin(record) == ahead_s
        assert [one.origin_id for one in await store.origins(NOW_S, 10.0)] == ["good", "wild"]
        store.clock = told_s
        assert await store.origins(NOW_S + 11, 10.0) == ()  # both are gone
        await store.put_origin(record)  # as the version before wrote it
        assert await store.origins(NOW_S + 11, 10.0) == ()

    place.run(work)


def test_an_origin_says_that_its_clock_is_far(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    record = OriginRecord(origin_id="a", fleet_url="https://a", started_wall_s=0, seen_wall_s=0)
    times_s = iter((NOW_S + 5, NOW_S + 172_800, NOW_S + 172_801, NOW_S - 1))

    async def work(store: ControlStore) -> None:
        store.clock = at_noon_s
        desk: Any = SimpleNamespace(heartbeats={}, seen={})
        nobody: Any = None
        sync = Sync(store, nobody, desk, nobody, record, wall_s=lambda: next(times_s))
        for expected_s in (5, 172_800, 172_801, -1):
            await sync.write()
            assert sync.clock_ahead_s == expected_s

    place.run(work)
    assert [one.msg.split()[0] for one in caplog.records] == [
        "control.clock_far", "control.clock_near",
    ]  # fmt: skip


def test_postgresql_tells_its_own_time(postgres_url: str, tmp_path: Path) -> None:
    async def work(store: ControlStore) -> None:
        store.clock = shared_wall_s
        now_s = time.time()
        assert await store.is_on_time(now_s)
        assert not await store.is_on_time(now_s + 86_400.0)
        assert not await store.lease("planner", "wild", now_s + 86_400.0, 60)

    Place(postgres_url, tmp_path).run(work)


def test_an_api_token_can_be_revoked_once(place: Place) -> None:
    made = ApiToken(
        token_sha256=TOKEN, name="ci", role="operator", made_wall_s=NOW_S, until_wall_s=NOW_S + 9
    )

    async def work(store: ControlStore) -> None:
        await store.add_api_token(made, by="ann")
        assert await store.api_token(TOKEN) == made
        with pytest.raises(StateError):
            await store.add_api_token(msgspec.structs.replace(made, token_sha256="f"), by="ann")
        assert await store.revoke_api_token("ci", wall_s=NOW_S + 1, by="bob")
        assert not await store.revoke_api_token("ci", wall_s=NOW_S + 2, by="bob")
        revoked = msgspec.structs.replace(made, revoked_wall_s=NOW_S + 1)
        assert await store.api_tokens() == (revoked,)
        entries = await store.audit_entries()
        assert [(entry.actor, entry.action) for entry in entries] == [
            ("bob", "api_token.revoked"),
            ("ann", "api_token.made"),
        ]

    place.run(work)


def test_the_audit_log_tells_who_changed_what_and_no_secret(place: Place) -> None:
    async def work(store: ControlStore) -> None:
        await store.add_token(token())
        await store.enrol(TOKEN, edge("ams1"), NOW_S + 1)
        drained = edge("ams1", duty="draining", changed_wall_s=NOW_S + 2)
        await store.put_edge(drained, by="bob", action="edge.drained")
        await store.put_edge(edge("ams1", revoked=True))  # nobody did it
        await store.remove_edge("ams1", wall_s=NOW_S + 3, by="bob")
        entries = await store.audit_entries(limit=3)
        entries += await store.audit_entries(before_id=entries[-1].id)
        assert [(entry.actor, entry.action, entry.subject) for entry in entries] == [
            ("bob", "edge.removed", "ams1"),
            ("bob", "edge.drained", "ams1"),
            ("ann", "edge.enrolled", "ams1"),
            ("ann", "enrol_token.made", ""),
        ]
        change = entries[1]
        assert msgspec.json.decode(change.before, type=EdgeRecord).duty == "active"
        assert msgspec.json.decode(change.after, type=EdgeRecord).duty == "draining"
        assert TOKEN not in str(entries)

    place.run(work)


def test_a_full_disk_is_told_from_a_database_that_is_away(tmp_path: Path) -> None:
    async def work(store: ControlStore) -> None:
        async def fill() -> None:
            async with store.database.writing() as connection:
                await connection.exec_driver_sql("PRAGMA max_page_count = 1")
                await connection.exec_driver_sql("CREATE TABLE more AS SELECT zeroblob(9999999)")

        with pytest.raises(StateFull) as caught:
            await fill()
        assert caught.value.trouble == "the database's disk is full"

    Place("", tmp_path).run(work)


def test_without_its_audit_entry_a_change_is_not_made(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(connection: object, entry: AuditEntry) -> None:
        raise StateUnavailable("the disk is full")

    for module in ("fleet_rows", "plan_rows", "access_rows"):
        monkeypatch.setattr(f"origin.drivers.state.{module}.write_audit", refuse)

    async def work(store: ControlStore) -> None:
        await store.put_edge(edge("ams1", revoked=True))
        await store.add_plan(plan("p1"))
        before = await store.revisions()
        made = ApiToken(token_sha256=TOKEN, name="ci", role="admin", until_wall_s=NOW_S)
        for change in (
            lambda: store.put_edge(edge("ber1"), by="ann"),
            lambda: store.remove_edge("ams1", wall_s=NOW_S, by="ann"),
            lambda: store.add_token(token()),
            lambda: store.add_plan(plan("p2"), by="ann"),
            lambda: store.apply_plan("p1", wall_s=NOW_S, by="ann"),
            lambda: store.add_api_token(made, by="ann"),
        ):
            with pytest.raises(StateUnavailable):
                await change()
        assert await store.edges() == (edge("ams1", revoked=True),)
        assert await store.take_token(TOKEN, "ams1", NOW_S) is None
        assert [head.plan_id for head in await store.plans()] == ["p1"]
        assert await store.current_plan() is None
        assert await store.api_tokens() == ()
        assert await store.revisions() == before

    place.run(work)


def test_what_has_long_been_of_no_use_is_forgotten(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("origin.drivers.state.store.AUDIT_ENTRIES_MAX", 2)
    late_s = NOW_S + 3600 + SPENT_S

    async def work(store: ControlStore) -> None:
        await store.tidy(NOW_S)  # with nothing there
        await store.add_token(token())
        await store.add_token(token(token_sha256="cd" * 32, until_wall_s=late_s + 9))
        await store.put_edge(edge("ams1"), by="ann")
        await store.lease("planner", "a", NOW_S, 10)
        await store.tidy(late_s)
        assert await store.take_token(TOKEN, "ams1", NOW_S) is not None  # not a moment too early
        await store.tidy(late_s + 1)
        assert await store.take_token("cd" * 32, "ams1", late_s) is not None
        entries = await store.audit_entries()
        assert [entry.action for entry in entries] == ["edge.changed", "enrol_token.made"]
        assert await store.lease("planner", "b", NOW_S, 10)  # the old one is gone, not its turn
        assert [record.edge for record in await store.edges()] == ["ams1"]

    place.run(work)


def test_revisions_tell_what_has_changed(place: Place) -> None:
    async def work(store: ControlStore) -> None:
        before = await store.revisions()
        await store.put_edge(edge("ams1"))
        await store.put_heartbeats([heartbeat("ams1", 1)])
        after = await store.revisions()
        assert after.edges > before.edges
        assert after.heartbeats > before.heartbeats
        assert (after.plans, after.observations) == (before.plans, before.observations)

    place.run(work)


def test_another_writer_is_waited_for(tmp_path: Path) -> None:
    place = Place("", tmp_path)
    place.run(ControlStore.revisions)
    other = sqlite3.connect(tmp_path / "control.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def work(store: ControlStore) -> None:
        putting = asyncio.create_task(store.put_edge(edge("ams1")))
        assert await store.edges() == ()  # readers need not wait
        assert not putting.done()
        other.execute("COMMIT")
        await putting
        assert await store.edges() == (edge("ams1"),)

    try:
        place.run(work)
    finally:
        other.close()


@pytest.mark.parametrize(
    "url", ["postgresql://u:hunter2@[::1/x", "mysql://u:hunter2@h/x", "hunter2", "sqlite://"]
)
def test_a_url_of_no_use_is_refused_without_its_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"control\.database") as caught:
        Place(url, tmp_path).run(ControlStore.edges)

    assert "hunter2" not in str(caught.value)
