"""Carries out what the member (edge.fleet.member) wants done, and tells it what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import msgspec
import numpy as np

from edge.config import EdgeConfig
from edge.drivers.fleet.client import FleetClient
from edge.drivers.fleet.enrolment import check_certificate, renew_wall_s, signing_request
from edge.drivers.fleet.figures import MembershipFigures
from edge.drivers.fleet.folder import FleetFolder
from edge.drivers.fleet.prober import Prober
from edge.events import Event, Noticed
from edge.fleet.beats import Beats, Vitals
from edge.fleet.events import (
    CalendarRead,
    FetchPlan,
    Follow,
    HeartbeatAnswered,
    HeartbeatLost,
    HeartbeatRefused,
    KeepOrigins,
    Leaving,
    MemberEffect,
    MemberEvent,
    ObservationsTaken,
    OriginFailed,
    PlanMissed,
    PlanRead,
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
from edge.fleet.orders import FillsHeld, KeepSpent, PlacementState, PlanFollowed, TimeTold
from edge.status import EdgeStatus
from nearcast.aio import Pump
from nearcast.clock import Clock
from nearcast.errors import ConfigError, NearcastError, PlanError, RemoteProtocolError
from nearcast.fleet import (
    HEARTBEAT_PATH,
    OBSERVATIONS_PATH,
    PLAN_PATH,
    RENEW_PATH,
    EnrolAnswer,
    HeartbeatAnswer,
    Observations,
    RenewRequest,
)
from nearcast.placement import PLAN_BYTES_MAX, EdgePlan
from nearcast.plan_signing import read_plan

logger = logging.getLogger(__name__)

PLAN_TIMEOUT_S: Final = 120.0
BEAT_TIMEOUT_S: Final = 5.0
LEAVE_S: Final = 1.0
"""What a node that stops waits for its last heartbeat."""


class Node(Protocol):
    """The edge that is a member."""

    def status(self) -> EdgeStatus:
        """The core's figures."""

    def vitals(self) -> Vitals:
        """What the drivers know."""

    def held(self) -> tuple[str, bytes]:
        """Which titles are held, and an id of that."""


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
        self._config = config
        self._folder = folder
        self._identity = identity
        self._clock = clock
        self._node = node
        self._tell = tell
        self._beats = Beats(identity.edge, boot_id=secrets.token_hex(8), software=software)
        self._member = Member(
            config.fleet,
            origins=identity.origins,
            renew_wall_s=renew_wall_s(identity.certificate_pem),
            epoch_s=clock.epoch_s,
            jitter=jitter,
        )
        self._pump: Pump[MemberEvent, MemberEffect] = Pump(self._member, self._perform, clock)
        self.client = FleetClient(
            folder.tls(identity),
            origins=lambda: self._member.origins.urls,
            current=lambda: self._member.origins.current,
            failed=lambda origin: self._pump.feed(OriginFailed(origin=origin)),
        )
        self._prober = Prober(config.fleet.peer_ca_file)
        self._beat_count = 0
        self._beat_failures = 0
        self._observation_failures = 0
        self._plan_refusals = 0
        self._plan_refused_last = ""
        self._lock = asyncio.Lock()  # over the folder
        self._has_left = asyncio.Event()

    @property
    def edge(self) -> str:
        return self._identity.edge

    @property
    def boot_id(self) -> str:
        return self._beats.boot_id

    @property
    def failure(self) -> asyncio.Future[None]:
        return self._pump.tasks.failure

    async def start(self) -> None:
        """Take up the plan that was kept, and begin to tell the origins of us."""
        kept = await asyncio.to_thread(self._folder.plan)
        spent = await asyncio.to_thread(self._folder.spent)
        plan = await self._checked(kept, "the plan that was kept") if kept is not None else None
        if isinstance(plan, EdgePlan):
            is_its = spent is not None and spent.plan_id == plan.plan_id
            spent_bytes = spent.spent_bytes if spent is not None and is_its else 0
            self._pump.feed(PlanRead(plan=plan, spent_bytes=spent_bytes))
        if not isinstance(plan, EdgePlan) or plan.valid_from_wall_s > self._wall_s():
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
            heartbeat_count=self._beat_count,
            heartbeat_failures=self._beat_failures,
            observation_failures=self._observation_failures,
            plan_refusals=self._plan_refusals,
            plan_refused_last=self._plan_refused_last,
            probed_count=len(member.probes),
            down=member.probes.down,
        )

    def keep_spent(self, effect: KeepSpent) -> None:
        state = PlacementState(plan_id=effect.plan_id, spent_bytes=effect.spent_bytes)
        self._pump.spawn(self._kept(lambda: self._folder.keep_spent(state)), name="fleet spent")

    # -- what the member wants

    def _perform(self, effect: MemberEffect) -> None:
        match effect:
            case SendHeartbeat():
                self._pump.spawn(self._beat(effect), name="fleet heartbeat")
            case SendObservations():
                self._pump.spawn(self._observe(effect), name="fleet observations")
            case Probe():
                self._pump.spawn(self._probe(effect), name="fleet probe")
            case FetchPlan():
                self._pump.spawn(self._fetch(effect), name="fleet plan")
            case Renew():
                self._pump.spawn(self._renew(effect), name="fleet renewal")
            case Follow(plan=plan, spent_bytes=spent_bytes):
                logger.info("fleet.plan id=%s", plan.plan_id if plan is not None else "none")
                self._tell(PlanFollowed(plan=plan, spent_bytes=spent_bytes))
            case KeepOrigins(origins=origins):
                self._identity = msgspec.structs.replace(self._identity, origins=origins)
                identity = self._identity
                keep = self._kept(lambda: self._folder.keep_identity(identity))
                self._pump.spawn(keep, name="fleet origins")
            case TakeDuty(duty=duty):
                logger.warning("fleet.duty now=%s", duty)
                self._tell(Noticed(what="duty", detail=duty))
                self._tell(FillsHeld(is_held=duty == "maintenance"))
            case TakeBoot():
                self._beats.begin_anew(secrets.token_hex(8))
                logger.warning("fleet.reborn boot=%s", self._beats.boot_id)
            case TakeTime(ahead_s=ahead_s):
                self._tell(TimeTold(ahead_s=ahead_s))

    async def _beat(self, effect: SendHeartbeat) -> None:
        try:
            await self._tell_origin(effect)
        finally:
            self._has_left.set()

    async def _tell_origin(self, effect: SendHeartbeat) -> None:
        sent_s, sent_wall_s = self._clock.now_s(), self._clock.system_wall_s()
        self._pump.feed(CalendarRead(wall_s=sent_wall_s))
        held_id, held = self._node.held()
        beat = self._beats.make(
            effect.sequence_no,
            self._node.status(),
            self._node.vitals(),
            wall_s=sent_wall_s,
            now_s=sent_s,
            held_id=held_id,
            held=held if effect.with_held else None,
        )
        try:
            reply = await self.client.ask(
                effect.origin,
                "POST",
                HEARTBEAT_PATH,
                msgspec.json.encode(beat),
                timeout_s=BEAT_TIMEOUT_S,
            )
            if reply.status != 200:
                self._beat_failures += 1
                refused = reply.refused()
                logger.warning("fleet.refused error=%s detail=%s", refused.error, refused.detail)
                self._pump.feed(
                    HeartbeatRefused(
                        origin=effect.origin, sequence_no=effect.sequence_no, refused=refused
                    )
                )
                return
            answer = _decoded(reply.body, HeartbeatAnswer)
        except RemoteProtocolError as error:
            self._beat_failures += 1
            logger.debug("fleet.unheard cause=%s", error)
            self._pump.feed(
                HeartbeatLost(
                    origin=effect.origin, sequence_no=effect.sequence_no, detail=str(error)
                )
            )
            return
        self._beat_count += 1
        self._pump.feed(
            HeartbeatAnswered(
                origin=effect.origin,
                sequence_no=effect.sequence_no,
                sent_s=sent_s,
                answer=answer,
            )
        )

    async def _observe(self, effect: SendObservations) -> None:
        message = Observations(
            edge=self._identity.edge,
            boot_id=self._beats.boot_id,
            sequence_no=effect.sequence_no,
            seen=effect.seen,
        )
        try:
            reply = await self.client.ask(
                effect.origin, "POST", OBSERVATIONS_PATH, msgspec.json.encode(message)
            )
        except RemoteProtocolError as error:
            self._observation_failures += 1
            logger.debug("fleet.observations_lost cause=%s", error)
            self._pump.feed(OriginFailed(origin=effect.origin))
            return
        if reply.status < 300:
            self._pump.feed(ObservationsTaken(sequence_no=effect.sequence_no))
            return
        # Told again with the next; the origin answers, so heartbeats decide whether it is left.
        self._observation_failures += 1
        refused = reply.refused()
        logger.warning(
            "fleet.observations_refused error=%s detail=%s", refused.error, refused.detail
        )

    async def _probe(self, effect: Probe) -> None:
        self._pump.feed(await self._prober.look(effect))

    async def _fetch(self, effect: FetchPlan) -> None:
        plan_id = effect.plan_id
        try:
            reply = await self.client.ask(
                effect.origin,
                "GET",
                PLAN_PATH,
                bytes_max=PLAN_BYTES_MAX,
                timeout_s=PLAN_TIMEOUT_S,
            )
        except RemoteProtocolError as error:
            self._pump.feed(OriginFailed(origin=effect.origin))
            self._pump.feed(PlanMissed(plan_id=plan_id, detail=str(error)))
            return
        if reply.status != 200:
            self._pump.feed(PlanMissed(plan_id=plan_id, detail=reply.refused().detail))
            return
        plan = await self._checked(reply.body, f"plan {plan_id} of {effect.origin}")
        if isinstance(plan, PlanError):
            self._pump.feed(PlanMissed(plan_id=plan_id, detail=str(plan), is_refused=True))
            return
        if plan.plan_id != plan_id:  # another one came into force meanwhile
            self._pump.feed(PlanMissed(plan_id=plan_id, detail="another plan was given"))
            return
        await self._kept(lambda: self._folder.keep_plan(reply.body))
        self._pump.feed(PlanRead(plan=plan))

    async def _checked(self, signed: bytes, what: str) -> EdgePlan | PlanError:
        """The plan, if it is signed for us. Takes long, and so a thread."""
        identity = self._identity
        wall_s = self._wall_s()
        try:
            return await asyncio.to_thread(
                read_plan, signed, identity.plan_keys, edge=identity.edge, now_wall_s=wall_s
            )
        except PlanError as error:
            self._plan_refusals += 1
            self._plan_refused_last = str(error)
            logger.warning("fleet.plan_refused what=%s cause=%s", what, error)
            self._tell(Noticed(what="plan refused", detail=str(error)))
            return error

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
            answer = _decoded(reply.body, EnrolAnswer)
            check_certificate(identity.edge, identity.key_pem, answer)
            self._identity = identity.renewed(answer)
            async with self._lock:
                await asyncio.to_thread(self._folder.keep_identity, self._identity)
                tls = await asyncio.to_thread(self._folder.tls, self._identity)
            self.client.use(tls)
        except NearcastError as error:
            logger.warning("fleet.not_renewed cause=%s", error)
            self._pump.feed(RenewalFailed(detail=str(error)))
            return
        logger.info("fleet.renewed edge=%s", identity.edge)
        self._pump.feed(Renewed(renew_wall_s=renew_wall_s(answer.certificate_pem)))

    def _wall_s(self) -> float:
        return self._member.time.wall_s(self._clock.now_s())

    async def _kept(self, keep: Callable[[], None]) -> None:
        """What cannot be written is done without: the node goes on, and a restart knows less."""
        try:
            async with self._lock:
                await asyncio.to_thread(keep)
        except (OSError, ConfigError) as error:
            logger.warning("fleet.not_written folder=%s cause=%s", self._folder.path, error)


MessageT = TypeVar("MessageT")


def _decoded(body: bytes, kind: type[MessageT]) -> MessageT:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"the origin answers nonsense: {error}") from error
