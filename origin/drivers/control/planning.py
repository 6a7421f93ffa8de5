"""Makes plans, puts them in force, and answers questions about them.

A plan is written as proposed. When it is to be put in force it is looked at again: it may have
ended, or a disk may have failed since; then it is refused with the reason, and counted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Final

import msgspec

from nearcast.fleet import Storage
from nearcast.placement import EdgePlan, SignedPlan
from origin.config import OriginConfig
from origin.control.held import Followed
from origin.control.plan_checks import Obstacle, why_not_apply
from origin.control.plan_inputs import history_from_wall_s, planned_edge
from origin.drivers.control import plan_worker
from origin.drivers.control.admin.routes import ApiError
from origin.drivers.control.clocks import Clocks, unknown_count
from origin.drivers.control.identities import Identities
from origin.drivers.control.plan_process import PlanProcess
from origin.drivers.control.plan_worker import PlanMade, PlanOrder, Question
from origin.drivers.state import ControlStore
from origin.drivers.state.demand_rows import planned_bytes_since
from origin.fleet import Fleet, FleetEdge
from origin.placement.diff import PlanDiff, diff_plans
from origin.placement.explain import Explained
from origin.placement.room import room_of
from origin.placement.settings import PlanSettings
from origin.placement.summary import Plan, PlanSummary
from origin.records import CLOCK, PlanHead, PlanRecord

logger = logging.getLogger(__name__)

ID_LENGTH_MIN: Final = 4
"""Of the beginning of an id that names a plan."""


class Planning:
    """What the clock (`PlanClock`) and people ask about plans."""

    def __init__(
        self,
        config: OriginConfig,
        store: ControlStore,
        fleet: Fleet,
        identities: Identities,
        changed: Callable[[], None],
        now_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._store = store
        self._fleet = fleet
        self._identities = identities
        self._changed = changed
        self._now_s = now_s
        self._wall_s = wall_s
        self._clocks = Clocks()
        self._process = PlanProcess()
        self.made_count = 0
        self.missing_bytes = 0
        self.refusals: Counter[Obstacle] = Counter()
        """Plans that could not be put in force."""

    def edges(self) -> frozenset[str]:
        """For which a plan would be."""
        return frozenset(row.edge for row in self._planned_edges())

    @property
    def unknown_zone_count(self) -> int:
        """Edges whose time zone is not known here, so that windows go by their offset."""
        records = (edge.record for edge in self._fleet.edges())
        return unknown_count(record.profile for record in records if not record.revoked)

    def close(self) -> None:
        self._process.close()

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
        made: PlanMade = await self._process.work(plan_worker.make, await self._order())
        summary = made.summary
        if not by and not any(edge.files for edge in summary.edges):
            return None
        record = PlanRecord(
            plan_id=summary.plan_id,
            made_wall_s=summary.made_wall_s,
            valid_from_wall_s=summary.valid_from_wall_s,
            valid_until_wall_s=summary.valid_until_wall_s,
            summary=msgspec.json.encode(summary),
            made_by=by or CLOCK,
            edges=made.signed,
        )
        await self._store.add_plan(record, by=record.made_by)
        self.made_count += 1
        missing_bytes = sum(edge.missing_bytes for edge in summary.edges)
        if missing_bytes:
            self.missing_bytes += missing_bytes
            who = [edge.edge for edge in summary.edges if edge.missing_bytes]
            logger.info(
                "plan.missing id=%s bytes=%d edges=%d such_as=%s", summary.plan_id[:12],
                missing_bytes, len(who), who[0],
            )  # fmt: skip
        logger.info(
            "plan.made id=%s edges=%d files=%d",
            summary.plan_id[:12], len(summary.edges), sum(one.files for one in summary.edges),
        )  # fmt: skip
        self._changed()
        fields = {name: getattr(record, name) for name in PlanHead.__struct_fields__}
        return PlanHead(**fields)

    async def apply(self, plan_id: str, by: str) -> PlanHead:
        """Put it in force. Raises ApiError, also when no edge, or not every one, could follow."""
        plan_id = await self.full_id(plan_id)
        no = why_not_apply(await self._plan(plan_id), self._storages(), self._wall_s())
        if no is not None:
            self.refusals[no.reason] += 1
            logger.warning("plan.refused id=%s reason=%s", plan_id[:12], no.reason)
            raise ApiError(409, no.reason, no.detail)
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
        said: tuple[Explained, ...] | str = await self._process.work(
            plan_worker.answer, await self._order(), plan, question
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
        edges = await asyncio.to_thread(_decoded, record.edges)
        return Plan(
            edges=tuple(edges.values()),
            summary=msgspec.json.decode(record.summary, type=PlanSummary),
        )

    def _storages(self) -> dict[str, Storage]:
        """What there is room for now."""
        return {row.edge: room_of(row.profile, row.storage) for row in self._planned_edges()}

    def _planned_edges(self) -> list[FleetEdge]:
        return [row for row in self._fleet.rows(self._now_s()) if not row.is_revoked]

    async def _order(self) -> PlanOrder:
        config, wall_s = self._config.control.plan, self._wall_s()
        since_wall_s = history_from_wall_s(wall_s, config.history_days)
        database = self._store.database
        fetched = await planned_bytes_since(database, since_wall_s)
        rows = self._planned_edges()
        profiles = {row.edge: row.profile for row in rows}
        clocks = await asyncio.to_thread(self._clocks.of, profiles)
        records = await self._store.edges()
        enrolled = {record.edge: record.enrolled_wall_s for record in records}
        followed = await self._followed(rows)
        return PlanOrder(
            library=self._config.library,
            database=self._config.control.database,
            edges=tuple(
                planned_edge(
                    row,
                    clock=clocks[row.edge],
                    followed=followed.get(row.edge),
                    held_titles=self._fleet.held_titles(row.edge),
                    fetched_bytes=fetched.get(row.edge, 0),
                    enrolled_wall_s=enrolled.get(row.edge, 0.0),
                    wall_s=wall_s,
                )
                for row in rows
            ),
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

    async def _followed(self, rows: list[FleetEdge]) -> dict[str, Followed]:
        """What edges work by, where it is known here."""
        edges_of: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            if row.plan_id:
                edges_of[row.plan_id].append(row.edge)
        found: dict[str, Followed] = {}
        for plan_id, edges in sorted(edges_of.items()):
            head = await self._store.plan_head(plan_id)
            applied_wall_s = head.applied_wall_s if head is not None else None
            signed = await self._store.plans_of_edges(plan_id, edges)
            plans = await asyncio.to_thread(_decoded, signed)
            for edge, plan in plans.items():
                found[edge] = Followed(plan=plan, applied_wall_s=applied_wall_s)
        return found


def _decoded(signed: dict[str, bytes]) -> dict[str, EdgePlan]:
    return {edge: edge_plan(content) for edge, content in sorted(signed.items())}


def edge_plan(signed: bytes) -> EdgePlan:
    """Of what an edge is given; ours, so the signature is not looked at."""
    payload = msgspec.json.decode(signed, type=SignedPlan).payload
    return msgspec.json.decode(payload, type=EdgePlan)


def _no_plan(plan_id: str) -> ApiError:
    return ApiError(404, "not_found", f"there is no plan {plan_id[:80]!r}: see origin plan show")
