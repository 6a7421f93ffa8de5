"""Carries out what the member (edge.fleet.member) wants done, and tells it what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np

from edge.config import EdgeConfig
from edge.drivers.fleet.async_folder import AsyncFolder
from edge.drivers.fleet.client import FleetClient
from edge.drivers.fleet.enrolment import check_certificate, renew_wall_s, signing_request
from edge.drivers.fleet.figures import MembershipFigures
from edge.drivers.fleet.folder import FleetFolder
from edge.drivers.fleet.plans import Plans
from edge.drivers.fleet.prober import Prober
from edge.drivers.fleet.reports import Node, Reports
from edge.events import Event, Noticed
from edge.fleet.events import (
    FetchPlan,
    Follow,
    KeepOrigins,
    Leaving,
    MemberEffect,
    MemberEvent,
    NoteZone,
    OriginFailed,
    Probe,
    Renew,
    RenewalFailed,
    Renewed,
    SendHeartbeat,
    SendObservations,
    TakeBoot,
    TakeDuty,
    TakeTime,
)
from edge.fleet.identity import Identity
from edge.fleet.member import Member
from edge.fleet.orders import FillsHeld, KeepSpent, PlanFollowed, SpentKept, TimeTold
from nearcast.aio import Pump
from nearcast.clock import Clock
from nearcast.errors import NearcastError, RemoteProtocolError
from nearcast.fleet import (
    RENEW_PATH,
    EnrolAnswer,
    RenewRequest,
)

logger = logging.getLogger(__name__)

LEAVE_S: Final = 1.0
"""What a node that stops waits for its last heartbeat."""


class Membership:
    """One edge in its fleet. Make it inside the running loop."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        folder: FleetFolder,
        identity: Identity,
        software: str,
        clock: Clock,
        node: Node,
        tell: Callable[[Event], None],
        jitter: np.random.Generator,
    ) -> None:
        """Raises ConfigError when the certificate cannot be used."""
        self._folder = AsyncFolder(folder)
        self._identity = identity
        self._clock = clock
        self._tell = tell
        self._member = Member(
            config.fleet,
            origins=identity.origins,
            renew_wall_s=renew_wall_s(identity.certificate_pem),
            epoch_s=clock.epoch_s,
            jitter=jitter,
            time_zone=config.sessions.time_zone,
        )
        self._pump: Pump[MemberEvent, MemberEffect] = Pump(self._member, self._perform, clock)
        self.client = FleetClient(
            folder.tls(identity),
            origins=lambda: self._member.origins.urls,
            current=lambda: self._member.origins.current,
            failed=lambda origin: self._pump.feed(OriginFailed(origin=origin)),
        )
        self._reports = Reports(
            identity.edge,
            software=software,
            clock=clock,
            node=node,
            client=self.client,
            feed=self._pump.feed,
        )
        self._plans = Plans(
            identity=lambda: self._identity,
            wall_s=lambda: self._member.time.wall_s(clock.now_s()),
            client=self.client,
            folder=self._folder,
            feed=self._pump.feed,
            tell=tell,
        )
        self._prober = Prober(config.fleet.peer_ca_file)
        self._has_left = asyncio.Event()

    @property
    def edge(self) -> str:
        return self._identity.edge

    @property
    def boot_id(self) -> str:
        return self._reports.boot_id

    @property
    def failure(self) -> asyncio.Future[None]:
        return self._pump.tasks.failure

    async def start(self) -> None:
        """Take up the plan that was kept, and begin to tell the origins of us."""
        if not await self._plans.take_up():
            self._tell(PlanFollowed(plan=None))
        self._pump.wake()

    async def leave(self) -> None:
        """Say once more how it is: a node that drains says so, and begins nothing."""
        self._has_left.clear()
        self._pump.feed(Leaving())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self._has_left.wait()

    async def close(self) -> None:
        await self._pump.close()
        await self._prober.close()
        await self.client.close()

    def unready(self) -> str | None:
        """Why no players should be sent here, as the operator wants it."""
        return None if self._member.duty == "active" else self._member.duty

    def figures(self) -> MembershipFigures:
        member, heard_s = self._member, self._member.heard_s
        return MembershipFigures(
            edge=self._identity.edge,
            state=member.state,
            duty=member.duty,
            origin=member.origins.current,
            heard_s_ago=self._clock.now_s() - heard_s if heard_s is not None else None,
            clock_ahead_s=member.time.ahead_s,
            heartbeat_count=self._reports.beat_count,
            heartbeat_failures=self._reports.beat_failures,
            observation_failures=self._reports.observation_failures,
            plan_refusals=self._plans.refusals,
            plan_refused_last=self._plans.refused_last,
            probed_count=len(member.probes),
            down=member.probes.down,
        )

    def keep_spent(self, effect: KeepSpent) -> None:
        self._pump.spawn(self._keep_spent(effect), name="fleet spent")

    async def _keep_spent(self, effect: KeepSpent) -> None:
        is_kept = await self._folder.keep_spent(effect.plan_id, effect.spent_bytes)
        self._tell(
            SpentKept(plan_id=effect.plan_id, spent_bytes=effect.spent_bytes, is_kept=is_kept)
        )

    # -- what the member wants

    def _perform(self, effect: MemberEffect) -> None:
        match effect:
            case SendHeartbeat():
                self._pump.spawn(self._beat(effect), name="fleet heartbeat")
            case SendObservations():
                self._pump.spawn(self._reports.observe(effect), name="fleet observations")
            case Probe():
                self._pump.spawn(self._probe(effect), name="fleet probe")
            case FetchPlan():
                self._pump.spawn(self._plans.fetch(effect), name="fleet plan")
            case Renew():
                self._pump.spawn(self._renew(effect), name="fleet renewal")
            case Follow(plan=plan, spent_bytes=spent_bytes):
                logger.info("fleet.plan id=%s", plan.plan_id if plan is not None else "none")
                self._tell(PlanFollowed(plan=plan, spent_bytes=spent_bytes))
            case KeepOrigins(origins=origins):
                self._identity = msgspec.structs.replace(self._identity, origins=origins)
                keep = self._folder.keep_identity(self._identity)
                self._pump.spawn(keep, name="fleet origins")
            case TakeDuty(duty=duty):
                logger.warning("fleet.duty now=%s", duty)
                self._tell(Noticed(what="duty", detail=duty))
                self._tell(FillsHeld(is_held=duty == "maintenance"))
            case NoteZone(ours=ours, origins=origins_zone):
                logger.warning("fleet.time_zone settings=%s origin=%s", ours, origins_zone)
                detail = f"{ours} by the edge's settings, {origins_zone} at the origin"
                self._tell(Noticed(what="time zone", detail=detail))
            case TakeBoot():
                self._reports.begin_anew()
            case TakeTime(ahead_s=ahead_s):
                self._tell(TimeTold(ahead_s=ahead_s))

    async def _beat(self, effect: SendHeartbeat) -> None:
        try:
            await self._reports.beat(effect)
        finally:
            self._has_left.set()

    async def _probe(self, effect: Probe) -> None:
        self._pump.feed(await self._prober.look(effect))

    async def _renew(self, effect: Renew) -> None:
        identity = self._identity
        csr_pem = signing_request(identity.edge, identity.key_pem)
        try:
            reply = await self.client.ask(
                effect.origin,
                "POST",
                RENEW_PATH,
                msgspec.json.encode(RenewRequest(csr_pem=csr_pem)),
            )
            if reply.status != 200:
                raise RemoteProtocolError(reply.refused().detail)
            answer = reply.message(EnrolAnswer)
            check_certificate(identity.edge, identity.key_pem, answer)
            self._identity = renewed = identity.renewed(answer)
            self.client.use(await self._folder.renew(renewed))
        except NearcastError as error:
            logger.warning("fleet.not_renewed cause=%s", error)
            self._pump.feed(RenewalFailed(detail=str(error)))
            return
        logger.info("fleet.renewed edge=%s", identity.edge)
        self._pump.feed(Renewed(renew_wall_s=renew_wall_s(answer.certificate_pem)))
