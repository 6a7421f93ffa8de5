"""Two origins and one lease: who makes plans by the clock, and what hinders it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from nearcast.fleet import EdgeProfile, Heartbeat, Storage
from nearcast.placement import EdgePlan
from nearcast.plan_signing import encode_plan
from origin.config import OriginConfig, PlanConfig
from origin.control.held import SETTLED_S
from origin.control.plan_times import REPLAN_S
from origin.drivers.control.admin.routes import ApiError
from origin.drivers.control.identities import Identities
from origin.drivers.control.plan_clock import LEASE, PlanClock
from origin.drivers.control.plan_process import PlanProcess
from origin.drivers.control.plan_worker import PlanMade, PlanOrder, StoredSummary
from origin.drivers.control.planning import Planning
from origin.drivers.control.upkeep import INTERVAL_S, Upkeep
from origin.drivers.state import ControlStore
from origin.drivers.state.database import Database
from origin.fleet import Fleet, StateRead
from origin.placement.settings import PlanSettings
from origin.placement.summary import EdgeSummary, PlanSummary
from origin.records import CLOCK, EdgeRecord, PlanHead, PlanRecord

NOW_S = 1_800_000_000.0
HOUR_S = 3_600.0
LEASE_S = 0.15
EDGE = EdgeRecord(
    edge="ams-1",
    profile=EdgeProfile(url="http://192.0.2.1:8081", capacity_bytes=100),
    serial="1",
    enrolled_wall_s=NOW_S,
    changed_wall_s=NOW_S,
)


class WatchedStore(ControlStore):
    """Tells who asks for leases."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._asked: dict[str, asyncio.Event] = {}

    async def lease(self, name: str, holder: str, wall_s: float, seconds: float) -> bool:
        try:
            return await super().lease(name, holder, wall_s, seconds)
        finally:
            self._asked.pop(holder, asyncio.Event()).set()

    async def asked_by(self, holder: str) -> None:
        """The next time."""
        await self._asked.setdefault(holder, asyncio.Event()).wait()


class FakePlanner:
    """Writes a plan of one file, made at the test's time, when it is let."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.is_at_work = asyncio.Event()
        self.failure: Exception | None = None
        self.tried_count = 0

    def edges(self) -> frozenset[str]:
        return frozenset({"ams-1"})

    async def make(self, by: str) -> PlanHead | None:
        self.tried_count += 1
        self.is_at_work.set()
        await self.may_end.wait()
        if self.failure is not None:
            raise self.failure
        return await self.world.add_plan(by or CLOCK)

    async def apply(self, plan_id: str, by: str) -> PlanHead:
        head = await self.world.store.apply_plan(plan_id, wall_s=self.world.wall_s, by=by)
        assert head is not None
        return head


class World:
    def __init__(self, store: WatchedStore) -> None:
        self.store = store
        self.wall_s = NOW_S
        self.count = 0

    def clock(self, origin_id: str) -> tuple[PlanClock, FakePlanner]:
        planner = FakePlanner(self)
        clock = PlanClock(
            PlanConfig(interval_s=6 * HOUR_S), self.store, planner, origin_id,
            lease_s=LEASE_S, wall_s=lambda: self.wall_s,
        )  # fmt: skip
        return clock, planner

    async def add_plan(self, by: str) -> PlanHead:
        self.count += 1
        summary = PlanSummary(
            plan_id=f"{self.count:08d}", made_wall_s=self.wall_s, valid_from_wall_s=self.wall_s,
            valid_until_wall_s=self.wall_s + 36 * HOUR_S, settings=PlanSettings(), file_count=1,
            fill_bytes_max=0, fill_price=0.0, edges=(EdgeSummary(edge="ams-1", files=1),),
        )  # fmt: skip
        record = PlanRecord(
            plan_id=summary.plan_id, made_by=by, made_wall_s=self.wall_s,
            valid_from_wall_s=self.wall_s, valid_until_wall_s=summary.valid_until_wall_s,
            summary=msgspec.json.encode(summary), edges={},
        )  # fmt: skip
        await self.store.add_plan(record, by=by)
        return record


Story = Callable[[World], Awaitable[None]]


@pytest.fixture
def tell(tmp_path: Path) -> Callable[[Story], None]:
    def run(story: Story) -> None:
        async def whole() -> None:
            store = await WatchedStore.open("", tmp_path)
            assert isinstance(store, WatchedStore)
            try:
                async with asyncio.timeout(20):
                    await story(World(store))
            finally:
                await store.close()

        asyncio.run(whole())

    return run


def test_a_plan_that_takes_longer_than_the_lease_is_made_by_one(
    tell: Callable[[Story], None],
) -> None:
    async def story(world: World) -> None:
        (one, slow), (other, quick) = world.clock("one"), world.clock("other")
        slow.may_end.clear()
        look = asyncio.create_task(one.look())
        await slow.is_at_work.wait()
        for _ in range(5):  # in all longer than the lease lasts
            world.wall_s += LEASE_S / 2
            for _ in range(2):  # the first may have begun before
                await world.store.asked_by("one")
            await other.look()
        assert quick.tried_count == 0
        slow.may_end.set()
        await look
        current = await world.store.current_plan()
        assert current is not None
        assert (current.plan_id, current.made_by) == ("00000001", CLOCK)

    tell(story)


def test_an_origin_that_lost_the_lease_puts_nothing_in_force(
    tell: Callable[[Story], None],
) -> None:
    async def story(world: World) -> None:
        clock, planner = world.clock("one")
        planner.may_end.clear()
        look = asyncio.create_task(clock.look())
        await planner.is_at_work.wait()
        await world.store.release(LEASE, "one")
        assert await world.store.lease(LEASE, "other", world.wall_s, 1_000.0)
        planner.may_end.set()
        await look
        assert await world.store.newest_plan(CLOCK) is not None
        assert await world.store.current_plan() is None

    tell(story)


def test_what_somebody_puts_in_force_while_the_clock_makes_a_plan_stays_in_force(
    tell: Callable[[Story], None],
) -> None:
    async def story(world: World) -> None:
        clock, planner = world.clock("one")
        planner.may_end.clear()
        look = asyncio.create_task(clock.look())
        await planner.is_at_work.wait()
        anns = await world.add_plan("ann")
        world.wall_s += 1.0
        await planner.apply(anns.plan_id, "ann")
        planner.may_end.set()
        await look
        for _ in range(5):
            current = await world.store.current_plan()
            assert current is not None
            assert current.plan_id == anns.plan_id
            world.wall_s += HOUR_S
            await clock.look()
        assert planner.tried_count == 1, "what was overtaken is no plan that failed"

    tell(story)


def test_what_people_only_propose_does_not_put_the_clock_off(
    tell: Callable[[Story], None],
) -> None:
    async def story(world: World) -> None:
        clock, planner = world.clock("one")
        await clock.look()
        for _ in range(6):
            world.wall_s += HOUR_S
            await world.add_plan("ann")
            await clock.look()
        assert planner.tried_count == 2
        current = await world.store.current_plan()
        assert current is not None
        assert current.made_wall_s == NOW_S + 6 * HOUR_S

    tell(story)


@pytest.mark.parametrize("failure", [KeyError("nobody foresaw"), ApiError(500, "failed", "no")])
def test_failures_are_not_tried_again_at_once(
    tell: Callable[[Story], None], failure: Exception
) -> None:
    async def story(world: World) -> None:
        clock, planner = world.clock("one")
        planner.failure = failure
        for _ in range(100):  # looks, ten seconds apart
            with contextlib.suppress(type(failure)):
                await clock.look()
            world.wall_s += 10.0
        assert (planner.tried_count, clock.failed_count) == (2, 2)
        planner.failure = None
        world.wall_s += 4 * REPLAN_S
        await clock.look()
        assert await world.store.current_plan() is not None

    tell(story)


def test_one_origin_forgets_what_is_too_old_until_it_is_gone(
    tell: Callable[[Story], None],
) -> None:
    async def story(world: World) -> None:
        one = Upkeep(world.store, "one", lambda: world.wall_s)
        other = Upkeep(world.store, "other", lambda: world.wall_s)
        for _ in range(3):
            assert await one.look()
            assert not await other.look()
            world.wall_s += INTERVAL_S
        world.wall_s += INTERVAL_S
        assert await other.look()
        assert not await one.look()

    tell(story)


async def made_at_once(_process: object, _work: object, order: PlanOrder) -> PlanMade:
    """Instead of a process of its own: a plan of one file for one edge."""
    plan = EdgePlan(
        plan_id="", edge="ams-1", made_wall_s=order.wall_s,
        valid_from_wall_s=order.wall_s, valid_until_wall_s=order.wall_s + HOUR_S,
        pinned_bytes_max=100, fill_bytes_max=10, fill_kbps_max=1.0, windows=(), files=(),
    )  # fmt: skip
    summary = StoredSummary(
        plan_id=f"{order.wall_s:.0f}", made_wall_s=order.wall_s,
        valid_from_wall_s=order.wall_s, valid_until_wall_s=order.wall_s + HOUR_S,
        settings=PlanSettings(), file_count=1, fill_bytes_max=10, fill_price=0.0,
        edges=(EdgeSummary(edge="ams-1", files=1),),
    )  # fmt: skip
    return PlanMade(summary=summary, signed={"ams-1": encode_plan(plan, (order.key,))})


def test_what_the_clock_does_stands_in_the_audit_log_and_its_plans_are_looked_at(
    tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(world: World) -> None:
        monkeypatch.setattr(PlanProcess, "work", made_at_once)
        fleet = Fleet()
        fleet.handle(StateRead(wall_s=NOW_S, edges=(EDGE,)), 0.0)
        identities = await Identities.open(world.store, lambda: (), lambda: world.wall_s)
        planning = Planning(
            OriginConfig(), world.store, fleet, identities, lambda: None,
            now_s=lambda: world.wall_s - NOW_S, wall_s=lambda: world.wall_s,
        )  # fmt: skip
        clock = PlanClock(PlanConfig(), world.store, planning, "one", wall_s=lambda: world.wall_s)
        await clock.look()
        done = [(one.actor, one.action) for one in await world.store.audit_entries()]
        assert done == [(CLOCK, "plan.applied"), (CLOCK, "plan.proposed")]

        profile = msgspec.structs.replace(EDGE.profile, capacity_bytes=50)  # given less room
        smaller = msgspec.structs.replace(EDGE, profile=profile)
        fleet.handle(StateRead(wall_s=NOW_S, edges=(smaller,)), 1.0)
        world.wall_s += 7 * HOUR_S
        with pytest.raises(ApiError, match="make a new plan") as caught:
            await clock.look()
        assert (caught.value.status, caught.value.error) == (409, "no_room")
        assert (planning.refusals, clock.failed_count) == ({"no_room": 1}, 1)
        current = await world.store.current_plan()
        assert current is not None
        assert current.made_wall_s == NOW_S

    tell(story)


def test_an_edge_is_believed_once_its_plan_has_been_in_force_for_a_while(
    tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    orders: list[PlanOrder] = []

    async def work(process: object, work: object, order: PlanOrder) -> PlanMade:
        orders.append(order)
        return await made_at_once(process, work, order)

    async def story(world: World) -> None:
        monkeypatch.setattr(PlanProcess, "work", work)
        fleet = Fleet()
        fleet.handle(StateRead(wall_s=NOW_S, edges=(EDGE,)), 0.0)
        identities = await Identities.open(world.store, lambda: (), lambda: world.wall_s)
        planning = Planning(
            OriginConfig(), world.store, fleet, identities, lambda: None,
            now_s=lambda: world.wall_s - NOW_S, wall_s=lambda: world.wall_s,
        )  # fmt: skip
        head = await planning.propose("ann")
        world.wall_s += SETTLED_S + 1.0  # it is looked at
        await planning.apply(head.plan_id, "ann")
        said = Heartbeat(
            edge="ams-1", boot_id="0" * 16, sequence_no=1, sent_wall_s=world.wall_s,
            uptime_s=9 * SETTLED_S, plan_id=head.plan_id,
            storage=Storage(capacity_bytes=100, pinned_bytes=7),
        )  # fmt: skip
        fleet.heartbeat(
            said, certificate_edge="ams-1", received_wall_s=world.wall_s,
            now_s=world.wall_s - NOW_S,
        )  # fmt: skip
        await planning.propose("ann")
        assert orders[-1].edges[0].plan is not None
        assert orders[-1].edges[0].word is None, "it has not begun to look at the plan's files"
        world.wall_s += SETTLED_S
        await planning.propose("ann")
        word = orders[-1].edges[0].word
        assert word is not None
        assert word.pinned_bytes == 7

    tell(story)
