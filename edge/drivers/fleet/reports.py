"""Heartbeats and observations on their way to an origin, and what it answers."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from edge.drivers.fleet.client import FleetClient
from edge.fleet.beats import Beats, Vitals
from edge.fleet.events import (
    CalendarRead,
    HeartbeatAnswered,
    HeartbeatLost,
    HeartbeatRefused,
    MemberEvent,
    ObservationsTaken,
    OriginFailed,
    SendHeartbeat,
    SendObservations,
)
from edge.status import EdgeStatus
from nearcast.clock import Clock
from nearcast.errors import RemoteProtocolError
from nearcast.fleet import HEARTBEAT_PATH, OBSERVATIONS_PATH, HeartbeatAnswer, Observations

logger = logging.getLogger(__name__)

BEAT_TIMEOUT_S: Final = 5.0


class Node(Protocol):
    """The edge that is a member."""

    def status(self) -> EdgeStatus:
        """The core's figures."""

    def vitals(self) -> Vitals:
        """What the drivers know."""

    def held(self) -> tuple[str, bytes]:
        """Which titles are held, and an id of that."""


class Reports:
    """Tells an origin of the edge, and the member what came of it."""

    def __init__(
        self,
        edge: str,
        *,
        software: str,
        clock: Clock,
        node: Node,
        client: FleetClient,
        feed: Callable[[MemberEvent], None],
    ) -> None:
        self.beat_count = 0
        self.beat_failures = 0
        self.observation_failures = 0
        self._edge = edge
        self._clock = clock
        self._node = node
        self._client = client
        self._feed = feed
        self._beats = Beats(edge, boot_id=secrets.token_hex(8), software=software)

    @property
    def boot_id(self) -> str:
        return self._beats.boot_id

    def begin_anew(self) -> None:
        """As if the process had been started now."""
        self._beats.begin_anew(secrets.token_hex(8))
        logger.warning("fleet.reborn boot=%s", self._beats.boot_id)

    async def beat(self, effect: SendHeartbeat) -> None:
        sent_s, sent_wall_s = self._clock.now_s(), self._clock.system_wall_s()
        self._feed(CalendarRead(wall_s=sent_wall_s))
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
            reply = await self._client.ask(
                effect.origin,
                "POST",
                HEARTBEAT_PATH,
                msgspec.json.encode(beat),
                timeout_s=BEAT_TIMEOUT_S,
            )
            if reply.status != 200:
                self.beat_failures += 1
                refused = reply.refused()
                logger.warning("fleet.refused error=%s detail=%s", refused.error, refused.detail)
                self._feed(
                    HeartbeatRefused(
                        origin=effect.origin, sequence_no=effect.sequence_no, refused=refused
                    )
                )
                return
            answer = reply.message(HeartbeatAnswer)
        except RemoteProtocolError as error:
            self.beat_failures += 1
            logger.debug("fleet.unheard cause=%s", error)
            self._feed(
                HeartbeatLost(
                    origin=effect.origin, sequence_no=effect.sequence_no, detail=str(error)
                )
            )
            return
        self.beat_count += 1
        self._feed(
            HeartbeatAnswered(
                origin=effect.origin,
                sequence_no=effect.sequence_no,
                sent_s=sent_s,
                answer=answer,
            )
        )

    async def observe(self, effect: SendObservations) -> None:
        message = Observations(
            edge=self._edge,
            boot_id=self._beats.boot_id,
            sequence_no=effect.sequence_no,
            seen=effect.seen,
        )
        try:
            reply = await self._client.ask(
                effect.origin, "POST", OBSERVATIONS_PATH, msgspec.json.encode(message)
            )
        except RemoteProtocolError as error:
            self.observation_failures += 1
            logger.debug("fleet.observations_lost cause=%s", error)
            self._feed(OriginFailed(origin=effect.origin))
            return
        if reply.status < 300:
            self._feed(ObservationsTaken(sequence_no=effect.sequence_no))
            return
        # Told again with the next; the origin answers, so heartbeats decide whether it is left.
        self.observation_failures += 1
        refused = reply.refused()
        logger.warning(
            "fleet.observations_refused error=%s detail=%s", refused.error, refused.detail
        )
