"""Plans from an origin or from the folder, checked before anybody follows them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from edge.drivers.fleet.async_folder import AsyncFolder
from edge.drivers.fleet.client import FleetClient
from edge.events import Event, Noticed
from edge.fleet.events import FetchPlan, MemberEvent, OriginFailed, PlanMissed, PlanRead
from edge.fleet.identity import Identity
from nearcast.errors import PlanError, RemoteProtocolError
from nearcast.fleet import PLAN_PATH
from nearcast.placement import PLAN_BYTES_MAX, EdgePlan
from nearcast.plan_signing import read_plan

logger = logging.getLogger(__name__)

PLAN_TIMEOUT_S: Final = 120.0


class Plans:
    """Reads them, and tells the member. `identity`: who the edge is now; `wall_s`: the origins'
    time."""

    def __init__(
        self,
        *,
        identity: Callable[[], Identity],
        wall_s: Callable[[], float],
        client: FleetClient,
        folder: AsyncFolder,
        feed: Callable[[MemberEvent], None],
        tell: Callable[[Event], None],
    ) -> None:
        self.refusals = 0
        self.refused_last = ""
        self._identity = identity
        self._wall_s = wall_s
        self._client = client
        self._folder = folder
        self._feed = feed
        self._tell = tell

    async def take_up(self) -> bool:
        """The plan that was kept, with what was spent of it. Whether there is one in force."""
        kept, spent = await self._folder.plan(), await self._folder.spent()
        plan = await self._checked(kept, "the plan that was kept") if kept is not None else None
        if not isinstance(plan, EdgePlan):
            return False
        self._feed(PlanRead(plan=plan, spent_bytes=spent.get(plan.plan_id, 0)))
        return plan.valid_from_wall_s <= self._wall_s()

    async def fetch(self, effect: FetchPlan) -> None:
        plan_id = effect.plan_id
        try:
            reply = await self._client.ask(
                effect.origin,
                "GET",
                PLAN_PATH,
                bytes_max=PLAN_BYTES_MAX,
                timeout_s=PLAN_TIMEOUT_S,
            )
        except RemoteProtocolError as error:
            self._feed(OriginFailed(origin=effect.origin))
            self._feed(PlanMissed(plan_id=plan_id, detail=str(error)))
            return
        if reply.status != 200:
            self._feed(PlanMissed(plan_id=plan_id, detail=reply.refused().detail))
            return
        plan = await self._checked(reply.body, f"plan {plan_id} of {effect.origin}")
        if isinstance(plan, PlanError):
            self._feed(PlanMissed(plan_id=plan_id, detail=str(plan), is_refused=True))
            return
        if plan.plan_id != plan_id:  # another one came into force meanwhile
            self._feed(PlanMissed(plan_id=plan_id, detail="another plan was given"))
            return
        await self._folder.keep_plan(reply.body)
        spent = await self._folder.spent()  # it may have been in force before
        self._feed(PlanRead(plan=plan, spent_bytes=spent.get(plan.plan_id, 0)))

    async def _checked(self, signed: bytes, what: str) -> EdgePlan | PlanError:
        """The plan, if it is signed for us. Takes long, and so a thread."""
        identity = self._identity()
        wall_s = self._wall_s()
        try:
            return await asyncio.to_thread(
                read_plan, signed, identity.plan_keys, edge=identity.edge, now_wall_s=wall_s
            )
        except PlanError as error:
            self.refusals += 1
            self.refused_last = str(error)
            logger.warning("fleet.plan_refused what=%s cause=%s", what, error)
            self._tell(Noticed(what="plan refused", detail=str(error)))
            return error
