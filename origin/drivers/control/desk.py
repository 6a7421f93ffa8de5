"""Answers edges: the fleet's core decides, this keeps what has to be written down.

Nothing here waits for the database but what must be there at once (an enrolment, a piece of
telemetry): heartbeats and observations are kept, the newest of each edge, until `Sync` writes them.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from nearcast.aio import Pump
from nearcast.errors import RemoteProtocolError
from nearcast.fleet import (
    EnrolAnswer,
    EnrolRequest,
    Heartbeat,
    HeartbeatAnswer,
    Observations,
    Refusal,
    Refused,
    RenewRequest,
)
from nearcast.telemetry import PiecePlace, Received
from origin.drivers.control.identities import Identities
from origin.drivers.state import ControlStore, StateUnavailable
from origin.drivers.telemetry.service import TelemetryService
from origin.fleet import ConnectionLost, EdgeChanged, Effect, Event, Fleet
from origin.records import HeartbeatRecord, ObservationRecord
from origin.telemetry.pieces import inflate

logger = logging.getLogger(__name__)

PLANS_KEPT_BYTES_MAX: Final = 64_000_000
"""Of edges' plans in memory: what is asked for while the database is away."""


class Desk:
    """Answers the fleet port (`FleetDesk`)."""

    def __init__(
        self,
        identities: Identities,
        store: ControlStore,
        fleet: Fleet,
        pump: Pump[Event, Effect],
        telemetry: TelemetryService,
        heard: Callable[[Heartbeat, float], None],
        origin_id: str,
        now_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._identities = identities
        self._store = store
        self._fleet = fleet
        self._pump = pump
        self._telemetry = telemetry
        self._heard = heard
        self._origin_id = origin_id
        self._now_s = now_s
        self._wall_s = wall_s
        self._plans = _PlansKept()
        self.plan_id = ""
        """In force."""
        self.refusals: Counter[Refusal] = Counter()
        self.heartbeats: dict[str, HeartbeatRecord] = {}
        """To be written: the newest of each edge."""
        self.seen: dict[tuple[str, str], ObservationRecord] = {}
        self.heartbeat_count = 0

    @property
    def authority_pem(self) -> str:
        return self._identities.authority.certificate_pem

    def admits(self, edge: str, serial: str, until_wall_s: float) -> Refused | None:
        return self._identities.admits(edge, serial, until_wall_s)

    async def enrol(self, request: EnrolRequest, peer: str) -> EnrolAnswer | Refused:
        answer = await self._identities.enrol(request, peer)
        if isinstance(answer, EnrolAnswer):
            self.edge_changed(request.edge)
        return answer

    async def renew(self, edge: str, serial: str, request: RenewRequest) -> EnrolAnswer | Refused:
        return await self._identities.renew(edge, serial, request)

    def edge_changed(self, edge: str) -> None:
        """The fleet's core learns of it at once, not with the next look at the database."""
        self._pump.feed(EdgeChanged(record=self._identities.records[edge]))

    def heartbeat(
        self, edge: str, until_wall_s: float, beat: Heartbeat, body: bytes
    ) -> HeartbeatAnswer | Refused:
        wall_s = self._wall_s()
        answer = self._fleet.heartbeat(
            beat,
            certificate_edge=edge,
            received_wall_s=wall_s,
            now_s=self._now_s(),
            renew=self._identities.wants_renewal(until_wall_s),
        )
        self._pump.wake()
        if isinstance(answer, Refused):
            return answer
        self.heartbeat_count += 1
        waiting = self.heartbeats.get(edge)
        held, held_id = beat.held, beat.held_id
        if held is not None:
            body = msgspec.json.encode(msgspec.structs.replace(beat, held=None))
        elif waiting is not None and waiting.held_id == held_id:
            held = waiting.held
        self.heartbeats[edge] = HeartbeatRecord(
            edge=edge,
            boot_id=beat.boot_id,
            sequence_no=beat.sequence_no,
            received_wall_s=wall_s,
            origin_id=self._origin_id,
            body=body,
            held_id=held_id,
            held=held,
        )
        self._heard(beat, wall_s)
        return answer

    def observations(self, edge: str, seen: Observations) -> Refused | None:
        wall_s = self._wall_s()
        refused = self._fleet.observations(
            seen, certificate_edge=edge, received_wall_s=wall_s, now_s=self._now_s()
        )
        self._pump.wake()
        if refused is not None:
            return refused
        watched = self._fleet.watched_by(edge)
        for one in seen.seen:
            if one.edge in watched:
                self.seen[edge, one.edge] = ObservationRecord(
                    observer=edge,
                    edge=one.edge,
                    is_up=one.is_up,
                    failure_count=one.failure_count,
                    rtt_ms=one.rtt_ms,
                    seen_wall_s=wall_s - one.age_s,
                    origin_id=self._origin_id,
                )
        return None

    async def plan(self, edge: str) -> tuple[str, bytes] | Refused:
        plan_id = self.plan_id
        if plan_id:
            content = self._plans.get(plan_id, edge)
            if content is None:
                try:
                    content = await self._store.edge_plan(plan_id, edge)
                except StateUnavailable:
                    return Refused(error="busy", detail="the origin's database is away")
                if content is not None:
                    self._plans.put(plan_id, edge, content)
            if content is not None:
                return plan_id, content
        return Refused(error="not_found", detail="no plan is in force for this edge")

    async def telemetry(
        self, edge: str, piece: PiecePlace, body: bytes, encoding: str
    ) -> Received | Refused:
        try:
            text = inflate(body, encoding)
        except RemoteProtocolError as error:
            return Refused(error="bad_request", detail=str(error))
        return await self._telemetry.receive(
            edge=edge,
            boot_id=piece.boot,
            segment_no=piece.segment,
            offset_bytes=piece.offset,
            first_segment_no=piece.first,
            body=text,
        )

    def refused(self, reason: Refusal, edge: str) -> None:
        self.refusals[reason] += 1
        logger.debug("fleet.refused reason=%s edge=%s", reason, edge)

    def connection_lost(self, edge: str) -> None:
        self._pump.feed(ConnectionLost(edge=edge))


class _PlansKept:
    """Edges' plans, the ones asked for last, within a number of bytes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._size_bytes = 0

    def get(self, plan_id: str, edge: str) -> bytes | None:
        found = self._kept.get((plan_id, edge))
        if found is not None:
            self._kept.move_to_end((plan_id, edge))
        return found

    def put(self, plan_id: str, edge: str, content: bytes) -> None:
        self._size_bytes += len(content) - len(self._kept.pop((plan_id, edge), b""))
        self._kept[plan_id, edge] = content
        while self._size_bytes > PLANS_KEPT_BYTES_MAX:
            _, dropped = self._kept.popitem(last=False)
            self._size_bytes -= len(dropped)
