"""An edge's membership in a fleet: what it tells its origins, and what it takes from them.

    heartbeats   one at a time, at the interval that the last answer named. One that is not
                 answered goes to the next origin; when none answers, after a pause that doubles
    answers      duty, the origin's time, who is to be looked at, and which plan is in force.
                 Another plan than ours is fetched
    plans        followed from when they are valid until they expire, kept over restarts, and
                 whether an origin is there or not. One that expires leaves the store to the edge's
                 own policy
    probes       of the edges that the origin named (edge.fleet.probes)
    certificate  renewed in time

Serving needs none of this. Whatever fails here is tried again, and shown in `state`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from edge.config import FleetConfig
from edge.fleet.events import (
    CalendarRead,
    FetchPlan,
    HeartbeatAnswered,
    HeartbeatLost,
    HeartbeatRefused,
    KeepOrigins,
    Leaving,
    MemberEffect,
    MemberEvent,
    NoteZone,
    ObservationsTaken,
    OriginFailed,
    PlanMissed,
    PlanRead,
    Probed,
    Renew,
    RenewalFailed,
    Renewed,
    SendHeartbeat,
    SendObservations,
    TakeBoot,
    TakeDuty,
    TakeTime,
)
from edge.fleet.origin_time import OriginTime
from edge.fleet.origins import Origins
from edge.fleet.plan_in_force import PlanInForce
from edge.fleet.probes import Probes
from nearcast.errors import LocalProtocolError
from nearcast.fleet import Duty, Observation
from nearcast.machine import EffectQueue

INTERVAL_S: Final = 5.0
"""Before the first answer."""
INTERVAL_S_MIN: Final = 0.2
INTERVAL_S_MAX: Final = 300.0
REFUSED_S: Final = 5.0
"""An origin that refuses is not asked again at once."""
REPLAYED_MAX: Final = 2
"""Refusals in a row; one may be of a heartbeat whose answer was lost."""
RENEW_RETRY_S: Final = 60.0
OBSERVATIONS_S: Final = 0.2
"""Between two tellings: several edges of one site fail together."""


class Member:
    """A machine over edge.fleet.events."""

    def __init__(
        self,
        config: FleetConfig,
        *,
        origins: Sequence[str],
        renew_wall_s: float,
        epoch_s: float,
        jitter: np.random.Generator,
        time_zone: str | None = None,
    ) -> None:
        """`time_zone`: of our viewers, as our own settings have it."""
        self.time = OriginTime(epoch_s)
        self.origins = Origins(origins, jitter)
        self.probes = Probes(
            probe_s_min=config.probe_s_min, probes_max=config.probes_max, jitter=jitter
        )
        self._plans = PlanInForce(self.time, jitter)
        self.state = "joining"
        """In words: joined; or why not."""
        self.duty: Duty = "active"
        self.heard_s: float | None = None
        """When an origin last answered a heartbeat."""
        self._time_zone = time_zone
        self._zone_told = ""
        self._effects: EffectQueue[MemberEffect] = EffectQueue()
        self._jitter = jitter
        self._now_s = 0.0
        self._is_leaving = False
        self._sequence_no = 0
        self._interval_s = INTERVAL_S
        self._wants_held = True
        self._beat_no: int | None = None  # of the heartbeat under way
        self._beat_due_s = 0.0
        self._replayed_in_a_row = 0
        self._told: dict[int, tuple[Observation, ...]] = {}  # observations under way
        self._tell_due_s = 0.0
        self._renew_wall_s = renew_wall_s
        self._is_renewing = False
        self._renew_due_s = 0.0

    @property
    def is_joined(self) -> bool:
        return self.state == "joined"

    # -- the machine

    def handle(self, event: MemberEvent, now_s: float) -> None:
        self._now_s = now_s
        match event:
            case HeartbeatAnswered():
                self._answered(event, now_s)
            case HeartbeatRefused(refused=refused):
                self._is_over(event.sequence_no)
                self.origins.failed(event.origin)
                self.state = f"refused ({refused.error}): {refused.detail}"
                self._see_replayed(is_replayed=refused.error == "replayed")
                pause_s = REFUSED_S * float(self._jitter.uniform(0.5, 1.0))
                self._beat_due_s = now_s + max(self.origins.pause_s(), pause_s)
            case HeartbeatLost(detail=detail):
                self._is_over(event.sequence_no)
                self.origins.failed(event.origin)
                self.state = f"no origin answers: {detail}"
                self._beat_due_s = now_s + self.origins.pause_s()
            case CalendarRead(wall_s=wall_s):
                if self.time.stepped(wall_s, now_s):
                    self._effects.emit(TakeTime(ahead_s=self.time.ahead_s))
            case Probed():
                self.probes.seen(event.edge, event.is_up, event.rtt_ms, now_s)
            case ObservationsTaken(sequence_no=sequence_no):
                self._told.pop(sequence_no, None)
            case PlanRead():
                self._plans.read(event, now_s)
            case PlanMissed():
                self._plans.missed(event, now_s)
            case Renewed(renew_wall_s=renew_wall_s):
                self._is_renewing = False
                self._renew_wall_s = renew_wall_s
                self._plans.keys_changed()
            case RenewalFailed():
                self._is_renewing = False
                self._renew_due_s = now_s + RENEW_RETRY_S * float(self._jitter.uniform(0.8, 1.2))
            case OriginFailed(origin=origin):
                self.origins.failed(origin)
            case Leaving():
                self._is_leaving = True
                self._beat(now_s)
            case _:
                raise LocalProtocolError(f"a member knows no {type(event).__name__}")
        self.advance(now_s)

    def advance(self, now_s: float) -> None:
        self._now_s = now_s
        if self._is_leaving:
            return
        if self._beat_no is None and self._beat_due_s <= now_s:
            self._beat(now_s)
        for probe in self.probes.take_due(now_s):
            self._effects.emit(probe)
        if self.probes.has_news and self._tell_due_s <= now_s:
            self._tell(now_s)
        if (change := self._plans.take_change(now_s)) is not None:
            self._effects.emit(change)
        if (plan_id := self._plans.take_wanted(now_s)) is not None:
            self._effects.emit(FetchPlan(origin=self.origins.current, plan_id=plan_id))
        if not self._is_renewing and self._renew_at_s() <= now_s and self.heard_s is not None:
            self._is_renewing = True
            self._effects.emit(Renew(origin=self.origins.current))

    def deadline_s(self) -> float | None:
        if self._is_leaving:
            return None
        due = [INTERVAL_S_MAX + self._now_s, *self._plans.due_s()]
        if self._beat_no is None:
            due.append(self._beat_due_s)
        if self.probes.has_news:
            due.append(self._tell_due_s)
        if not self._is_renewing and self.heard_s is not None:
            due.append(self._renew_at_s())
        if (probe_s := self.probes.deadline_s()) is not None:
            due.append(probe_s)
        return max(min(due), self._now_s)

    def drain(self) -> list[MemberEffect]:
        return self._effects.drain()

    # -- heartbeats

    def _beat(self, now_s: float) -> None:
        self._sequence_no += 1
        self._beat_no = self._sequence_no
        self._beat_due_s = now_s + self._interval_s
        self._effects.emit(
            SendHeartbeat(
                origin=self.origins.current,
                sequence_no=self._sequence_no,
                with_held=self._wants_held,
            )
        )

    def _is_over(self, sequence_no: int) -> None:
        if self._beat_no == sequence_no:
            self._beat_no = None

    def _see_replayed(self, *, is_replayed: bool) -> None:
        """A process with a copy of our identity has reported, and ended: the origin takes ours for
        the older one ("duplicate", while the other lives). We are the one that lives."""
        self._replayed_in_a_row = self._replayed_in_a_row + 1 if is_replayed else 0
        if self._replayed_in_a_row >= REPLAYED_MAX:
            self._replayed_in_a_row = 0
            self._effects.emit(TakeBoot())

    def _answered(self, event: HeartbeatAnswered, now_s: float) -> None:
        answer = event.answer
        self._is_over(event.sequence_no)
        self.origins.answered(event.origin)
        self.state = "joined"
        self._replayed_in_a_row = 0
        self.heard_s = now_s
        self._interval_s = min(max(answer.interval_s, INTERVAL_S_MIN), INTERVAL_S_MAX)
        # From when it was sent, so that a slow answer does not make them rarer; the jitter keeps a
        # fleet that was started together from asking as one.
        pause_s = self._interval_s * float(self._jitter.uniform(0.9, 1.0))
        self._beat_due_s = max(event.sent_s + pause_s, now_s)
        self._wants_held = answer.wants_held
        if self.time.heard(answer.wall_s, event.sent_s, now_s):
            self._effects.emit(TakeTime(ahead_s=self.time.ahead_s))
        if answer.origins and self.origins.learn(answer.origins):
            self._effects.emit(KeepOrigins(origins=self.origins.urls))
        if answer.duty != self.duty:
            self.duty = answer.duty
            self._effects.emit(TakeDuty(duty=answer.duty))
        self._compare_zones(answer.time_zone)
        if answer.renew and not self._is_renewing:
            self._renew_wall_s = min(self._renew_wall_s, self.time.wall_s(now_s))
        self.probes.aim(answer.probes, answer.probe_s, now_s)
        self._plans.named(answer.plan_id, now_s)

    def _compare_zones(self, time_zone: str) -> None:
        """The same place is told to an edge twice: in its settings for what it prefetches, and at
        the origin for its plans. Each difference is noted once."""
        if not time_zone or time_zone == self._zone_told:
            return
        self._zone_told = time_zone
        if self._time_zone and time_zone != self._time_zone:
            self._effects.emit(NoteZone(ours=self._time_zone, origins=time_zone))

    # -- what it saw of others

    def _tell(self, now_s: float) -> None:
        for seen in self._told.values():  # nobody took them so far
            self.probes.untold(seen)
        self._told.clear()
        self._sequence_no += 1
        seen = self.probes.take_news(now_s)
        self._told[self._sequence_no] = seen
        self._tell_due_s = now_s + OBSERVATIONS_S
        self._effects.emit(
            SendObservations(origin=self.origins.current, sequence_no=self._sequence_no, seen=seen)
        )

    def _renew_at_s(self) -> float:
        return max(self._renew_wall_s - self.time.wall_s(0.0), self._renew_due_s)
