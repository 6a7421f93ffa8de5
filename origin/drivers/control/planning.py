"""Makes plans by the clock, one origin at a time, and when somebody asks for one.

Which origin plans is said by a lease in the database; if that origin goes, another has it a minute
later. A plan is written as proposed; one that was made by the clock is put in force at once if
`control.plan.apply` says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final, TypeVar

import msgspec

from nearcast.errors import NearcastError
from nearcast.placement import EdgePlan, SignedPlan
from origin.config import OriginConfig
from origin.control.plan_inputs import DAY_S, PlannedEdge, Told
from origin.drivers.control import plan_worker
from origin.drivers.control.admin.routes import ApiError
from origin.drivers.control.identities import Identities
from origin.drivers.control.plan_worker import PlanMade, PlanOrder, Question
from origin.drivers.state import ControlStore, StateUnavailable
from origin.drivers.state.demand_rows import demand_since, wanted_since
from origin.drivers.state.telemetry import forget_old
from origin.fleet import Fleet, FleetEdge
from origin.placement.diff import PlanDiff, diff_plans
from origin.placement.explain import Explained
from origin.placement.settings import PlanSettings
from origin.placement.summary import Plan, PlanSummary
from origin.records import PlanHead, PlanRecord

logger = logging.getLogger(__name__)

LEASE: Final = "planner"
BY_ITSELF: Final = "origin"
"""Who did what the clock did, in the audit log."""
LEASE_S: Final = 60.0
LOOK_S: Final = 10.0
DOWN_S: Final = 900.0
"""An edge that is dead for longer does not come back in a moment: others take its place."""
ID_LENGTH_MIN: Final = 4
"""Of the beginning of an id that names a plan."""
REPLAN_S: Final = 300.0
"""Between two plans by the clock, however much happens."""
TIDY_S: Final = 3_600.0
"""Whoever plans also forgets what is too old, so often."""
WORK_S_MAX: Final = 600.0

ResultT = TypeVar("ResultT")


class Planning:
    """`run`; and answer people's questions about plans."""

    def __init__(
        self,
        config: OriginConfig,
        store: ControlStore,
        fleet: Fleet,
        identities: Identities,
        origin_id: str,
        changed: Callable[[], None],
        now_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._store = store
        self._fleet = fleet
        self._identities = identities
        self._origin_id = origin_id
        self._changed = changed
        self._now_s = now_s
        self._wall_s = wall_s
        self._turn = asyncio.Lock()
        self._tidied_wall_s = 0.0
        self._tried_wall_s = 0.0
        self.failed_count = 0
        self.made_count = 0

    async def run(self) -> None:
        """A plan each `interval_s`, counted from the newest there is, whoever made it."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self._look()
            except StateUnavailable:
                continue  # Sync says so
            except (NearcastError, ApiError) as error:
                self.failed_count += 1
                logger.error("plan.failed detail=%s", error)

    async def release(self) -> None:
        await self._store.release(LEASE, self._origin_id)

    async def _look(self) -> None:
        wall_s = self._wall_s()
        if not await self._store.lease(LEASE, self._origin_id, wall_s, LEASE_S):
            return
        if wall_s - self._tidied_wall_s > TIDY_S:
            self._tidied_wall_s = wall_s
            await self._store.tidy(wall_s)
            await forget_old(self._store.database, wall_s)
        if not self._config.control.plan.enabled or not self._planned_edges():
            return
        newest = next(iter(await self._store.plans(1)), None)
        if not self._is_due(newest, wall_s):
            return
        self._tried_wall_s = wall_s
        head = await self._make_as_holder()
        if head is None or not self._config.control.plan.apply:
            return
        # Another origin may plan by now, if this one was kept from saying that it does.
        if await self._store.lease(LEASE, self._origin_id, self._wall_s(), LEASE_S):
            await self.apply(head.plan_id, BY_ITSELF)

    async def _make_as_holder(self) -> PlanHead | None:
        """As `make`, the lease renewed meanwhile: a plan may take longer than it lasts."""

        async def hold() -> None:
            while True:
                await asyncio.sleep(LEASE_S / 3)
                with contextlib.suppress(NearcastError):
                    await self._store.lease(LEASE, self._origin_id, self._wall_s(), LEASE_S)

        holding = asyncio.get_running_loop().create_task(hold(), name="origin/planner-lease")
        try:
            return await self.make("")
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)

    def _is_due(self, newest: PlanHead | None, wall_s: float) -> bool:
        """By the clock; sooner when edges came or went, or while there is nothing to plan yet."""
        last_wall_s = max(self._tried_wall_s, 0.0 if newest is None else newest.made_wall_s)
        if wall_s - last_wall_s < REPLAN_S:
            return False
        if newest is None or newest.made_wall_s <= wall_s - self._config.control.plan.interval_s:
            return True
        planned = msgspec.json.decode(newest.summary, type=PlanSummary).edges
        if not any(edge.files for edge in planned):
            return True
        return {edge.edge for edge in planned} != {row.edge for row in self._planned_edges()}

    async def propose(self, by: str) -> PlanHead:
        """Make one for a person, whatever is in it. Raises ApiError."""
        head = await self.make(by)
        assert head is not None
        return head

    async def make(self, by: str) -> PlanHead | None:
        """Propose one; None: nobody asked, and it would hold nothing. Raises ApiError when there
        is no edge to plan for."""
        if not self._planned_edges():
            raise ApiError(409, "no_edges", "no edge has enrolled yet: there is nothing to plan")
        async with self._turn:
            order = await self._order()
            made: PlanMade = await self._work(plan_worker.make, order)
        summary = made.summary
        if not by and not any(edge.files for edge in summary.edges):
            return None
        record = PlanRecord(
            plan_id=summary.plan_id,
            made_wall_s=summary.made_wall_s,
            valid_from_wall_s=summary.valid_from_wall_s,
            valid_until_wall_s=summary.valid_until_wall_s,
            summary=msgspec.json.encode(summary),
            edges=made.signed,
        )
        await self._store.add_plan(record, by=by or BY_ITSELF)
        self.made_count += 1
        logger.info(
            "plan.made id=%s edges=%d files=%d",
            summary.plan_id[:12], len(summary.edges), sum(one.files for one in summary.edges),
        )  # fmt: skip
        self._changed()
        fields = {name: getattr(record, name) for name in PlanHead.__struct_fields__}
        return PlanHead(**fields)

    async def apply(self, plan_id: str, by: str) -> PlanHead:
        plan_id = await self.full_id(plan_id)
        head = await self._store.apply_plan(plan_id, wall_s=self._wall_s(), by=by)
        if head is None:
            raise _no_plan(plan_id)
        logger.info("plan.applied id=%s", plan_id[:12])
        self._changed()
        return head

    async def summary(self, plan_id: str) -> tuple[PlanHead, PlanSummary]:
        plan_id = await self.full_id(plan_id)
        head = await self._store.plan_head(plan_id)
        if head is None:
            raise _no_plan(plan_id)
        return head, msgspec.json.decode(head.summary, type=PlanSummary)

    async def diff(self, plan_id: str) -> PlanDiff:
        """Against the plan in force; of that one itself, against none."""
        plan = await self._plan(await self.full_id(plan_id))
        current = await self._store.current_plan()
        before: tuple[EdgePlan, ...] = ()
        if current is not None and current.plan_id != plan.plan_id:
            before = (await self._plan(current.plan_id)).edges
        return await asyncio.to_thread(diff_plans, before, plan)

    async def explain(self, plan_id: str, question: Question) -> tuple[Explained, ...]:
        plan = await self._plan(await self.full_id(plan_id))
        async with self._turn:
            order = await self._order()
            said: tuple[Explained, ...] | str = await self._work(
                plan_worker.answer, order, plan, question
            )
        if isinstance(said, str):
            raise ApiError(404, "not_found", said)
        return said

    async def full_id(self, plan_id: str) -> str:
        """Of `current`, or of the beginning of an id. Raises ApiError."""
        if plan_id == "current":
            current = await self._store.current_plan()
            if current is None:
                raise ApiError(404, "not_found", "no plan is in force: make one and apply it")
            return current.plan_id
        found = await self._store.plan_ids(plan_id) if len(plan_id) >= ID_LENGTH_MIN else ()
        if not found:
            raise _no_plan(plan_id)
        if len(found) > 1:
            raise ApiError(409, "ambiguous", f"several plans begin with {plan_id}: say more of it")
        return found[0]

    async def _plan(self, plan_id: str) -> Plan:
        record = await self._store.plan(plan_id)
        if record is None:
            raise _no_plan(plan_id)
        edges = await asyncio.to_thread(
            lambda: tuple(edge_plan(signed) for _, signed in sorted(record.edges.items()))
        )
        return Plan(edges=edges, summary=msgspec.json.decode(record.summary, type=PlanSummary))

    def _planned_edges(self) -> list[FleetEdge]:
        return [row for row in self._fleet.rows(self._now_s()) if not row.is_revoked]

    async def _order(self) -> PlanOrder:
        config, wall_s = self._config.control.plan, self._wall_s()
        since_wall_s = wall_s - config.history_days * DAY_S
        database = self._store.database
        told = Told(
            demand=await demand_since(database, since_wall_s),
            wanted=await wanted_since(database, since_wall_s),
        )
        rows = self._planned_edges()
        plans = await self._plans_of(rows)
        return PlanOrder(
            library=self._config.library,
            told=told,
            edges=tuple(_planned(row, plans, config.history_days) for row in rows),
            wall_s=wall_s,
            history_days=config.history_days,
            settings=PlanSettings(
                valid_s=config.valid_s,
                pinned_share=config.pinned_share,
                windows=config.windows,
                fill_share=config.fill_share,
                fill_kbps=config.fill_kbps,
                fill_price=config.fill_price,
                churn_share=config.churn_share,
                spread=config.spread,
            ),
            key=self._identities.plan_key.private_bytes_raw(),
        )

    async def _plans_of(self, rows: list[FleetEdge]) -> dict[tuple[str, str], EdgePlan]:
        """What edges work by, where it is known here."""
        found: dict[tuple[str, str], EdgePlan] = {}
        for plan_id in sorted({row.plan_id for row in rows if row.plan_id}):
            record = await self._store.plan(plan_id)
            if record is not None:
                found |= await asyncio.to_thread(_decoded, record)
        return found

    async def _work(self, work: Callable[..., ResultT], *arguments: Any) -> ResultT:
        # A fresh process each time: plans are rare, and its memory is given back.
        pool = ProcessPoolExecutor(
            1, mp_context=multiprocessing.get_context("spawn"), initializer=plan_worker.begin
        )
        try:
            async with asyncio.timeout(WORK_S_MAX):
                return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)
        except TimeoutError as error:
            raise ApiError(504, "slow", f"the plan took more than {WORK_S_MAX:.0f} s") from error
        except BrokenProcessPool as error:
            raise ApiError(500, "failed", "the planner's process ended before its time") from error
        finally:
            for process in tuple((pool._processes or {}).values()):
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)


def _decoded(record: PlanRecord) -> dict[tuple[str, str], EdgePlan]:
    return {(record.plan_id, edge): edge_plan(signed) for edge, signed in record.edges.items()}


def edge_plan(signed: bytes) -> EdgePlan:
    """Of what an edge is given; ours, so the signature is not looked at."""
    payload = msgspec.json.decode(signed, type=SignedPlan).payload
    return msgspec.json.decode(payload, type=EdgePlan)


def _planned(
    row: FleetEdge, plans: dict[tuple[str, str], EdgePlan], history_days: int
) -> PlannedEdge:
    # Counters are of the edge's process: of one that is up for longer, the part of these days.
    share = min(1.0, history_days * DAY_S / max(row.uptime_s, 1.0))
    return PlannedEdge(
        edge=row.edge,
        profile=row.profile,
        duty=row.duty,
        is_up=row.state != "dead" or row.state_age_s < DOWN_S,
        storage=row.storage,
        plan=plans.get((row.plan_id, row.edge)),
        plan_files_held=row.plan_files_held,
        past_filled_bytes=row.traffic.planned_bytes * share,
    )


def _no_plan(plan_id: str) -> ApiError:
    return ApiError(404, "not_found", f"there is no plan {plan_id[:80]!r}: see origin plan show")
