"""Makes plans by the clock, one origin at a time.

Which origin does is said by a lease in the database; if that origin goes, another has it a minute
later. The lease is renewed while a plan is being made, and asked for once more before the plan is
put in force: an origin that was kept from renewing it leaves that to the one that has it now.

A plan takes a while to be made. When somebody has put another one in force meanwhile, that one
stays: it is newer than what the clock went by when it began.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from nearcast.errors import NearcastError
from origin.config import PlanConfig
from origin.control.plan_times import KnownPlan, is_due, may_try_wall_s
from origin.drivers.control.admin.routes import ApiError
from origin.drivers.keeper import Keeper
from origin.drivers.state import ControlStore, StateUnavailable
from origin.placement.summary import PlanSummary
from origin.records import CLOCK, PlanHead

logger = logging.getLogger(__name__)

LEASE: Final = "planner"
LEASE_S: Final = 60.0
LOOK_S: Final = 10.0


class Planner(Protocol):
    """Who makes plans and puts them in force (`Planning`)."""

    def edges(self) -> frozenset[str]:
        """For which a plan would be."""

    async def make(self, by: str) -> PlanHead | None:
        """None: it would hold nothing. Raises ApiError."""

    async def apply(self, plan_id: str, by: str) -> PlanHead:
        """Raises ApiError."""


class PlanClock:
    """`run`; then `release`, so that another origin goes on at once."""

    def __init__(
        self,
        config: PlanConfig,
        store: ControlStore,
        planner: Planner,
        origin_id: str,
        *,
        lease_s: float = LEASE_S,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._store = store
        self._planner = planner
        self._origin_id = origin_id
        self._lease_s = lease_s
        self._wall_s = wall_s
        self._tried_wall_s = 0.0
        self._failures_in_row = 0
        self.failed_count = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except StateUnavailable:
                continue  # Sync says so
            except (NearcastError, ApiError) as error:
                logger.error("plan.failed detail=%s", error)

    async def release(self) -> None:
        await self._store.release(LEASE, self._origin_id)

    async def look(self) -> None:
        """Make a plan if one is due, and it is for us to make it. Raises what hinders it."""
        wall_s, config = self._wall_s(), self._config
        edges = self._planner.edges()
        if not config.enabled or not edges:
            return
        if not await self._leads():
            return
        if wall_s < may_try_wall_s(self._tried_wall_s, self._failures_in_row, config.interval_s):
            return
        in_force = await self._store.current_plan()
        if not is_due(
            await self._known(in_force),
            edges=edges,
            wall_s=wall_s,
            interval_s=config.interval_s,
            applies=config.apply,
        ):
            return
        self._tried_wall_s = wall_s
        try:
            await self._make(in_force)
        except Exception:  # of whatever kind: the next waits longer
            self._failures_in_row += 1
            self.failed_count += 1
            raise
        self._failures_in_row = 0

    async def _make(self, in_force: PlanHead | None) -> None:
        holding = Keeper()
        holding.keep("control.planner-lease", self._hold)
        try:
            head = await self._planner.make("")
        finally:
            await holding.close()
        if head is None or not self._config.apply or not await self._leads():
            return
        if _put_in_force(await self._store.current_plan()) != _put_in_force(in_force):
            logger.info("plan.overtaken id=%s", head.plan_id[:12])
            return
        await self._planner.apply(head.plan_id, CLOCK)

    async def _hold(self) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 3)
            with contextlib.suppress(NearcastError):
                await self._leads()

    async def _leads(self) -> bool:
        return await self._store.lease(LEASE, self._origin_id, self._wall_s(), self._lease_s)

    async def _known(self, in_force: PlanHead | None) -> tuple[KnownPlan, ...]:
        heads = (await self._store.newest_plan(CLOCK), in_force)
        return tuple(_known(head) for head in heads if head is not None)


def _put_in_force(head: PlanHead | None) -> tuple[str, float | None]:
    return ("", None) if head is None else (head.plan_id, head.applied_wall_s)


def _known(head: PlanHead) -> KnownPlan:
    summary = msgspec.json.decode(head.summary, type=PlanSummary)
    return KnownPlan(
        made_wall_s=head.made_wall_s,
        valid_until_wall_s=head.valid_until_wall_s,
        applied_wall_s=head.applied_wall_s,
        is_proposed=head.state == "proposed",
        edges=frozenset(edge.edge for edge in summary.edges),
        file_count=sum(edge.files for edge in summary.edges),
    )
