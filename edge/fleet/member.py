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
from edge.fleet.probes import Probes
from nearcast.errors import LocalProtocolError
from nearcast.fleet import Duty, HeartbeatAnswer, Observation
from nearcast.machine import EffectQueue
from nearcast.placement import EdgePlan

INTERVAL_S: Final = 5.0
"""Before the first answer."""
INTERVAL_S_MIN: Final = 0.2
INTERVAL_S_MAX: Final = 300.0
REFUSED_S: Final = 5.0
"""An origin that refuses is not asked again at once."""
REPLAYED_MAX: Final = 2
"""Refusals in a row; one may be of a heartbeat whose answer was lost."""
PLAN_RETRY_S: Final = 5.0
PLAN_RETRY_S_MAX: Final = 300.0
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
    ) -> None:
        self.time = OriginTime(epoch_s)
        self.origins = Origins(origins, jitter)
        self.probes = Probes(
            probe_s_min=config.probe_s_min, probes_max=config.probes_max, jitter=jitter
        )
        self.state = "joining"
        """In words: joined; or why not."""
        self.duty: Duty = "active"
        self.heard_s: float | None = None
        """When an origin last answered a heartbeat."""
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
        self._plan: EdgePlan | None = None
        self._coming: EdgePlan | None = None
        self._spent_bytes: dict[str, int] = {}
        self._followed_id = ""
        self._named_id: str | None = None  # by the origin; None: it has said nothing yet
        self._refused_id = ""
        self._is_fetching = False
        self._fetch_due_s = 0.0
        self._fetch_failures = 0
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
                self._plan_read(event, now_s)
            case PlanMissed():
                self._plan_missed(event, now_s)
            case Renewed(renew_wall_s=renew_wall_s):
                self._is_renewing = False
                self._renew_wall_s = renew_wall_s
                self._refused_id = ""  # the fleet may have other keys now
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
        self._reconsider(now_s)
        if self._wants_plan() and self._fetch_due_s <= now_s:
            assert self._named_id is not None
            self._is_fetching = True
            self._effects.emit(FetchPlan(origin=self.origins.current, plan_id=self._named_id))
        if not self._is_renewing and self._renew_at_s() <= now_s and self.heard_s is not None:
            self._is_renewing = True
            self._effects.emit(Renew(origin=self.origins.current))

    def deadline_s(self) -> float | None:
        if self._is_leaving:
            return None
        due = [self._change_s()]
        if self._beat_no is None:
            due.append(self._beat_due_s)
        if self.probes.has_news:
            due.append(self._tell_due_s)
        if self._wants_plan():
            due.append(self._fetch_due_s)
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
        if answer.renew and not self._is_renewing:
            self._renew_wall_s = min(self._renew_wall_s, self.time.wall_s(now_s))
        self.probes.aim(answer.probes, answer.probe_s, now_s)
        self._named(answer, now_s)

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

    # -- plans

    def _named(self, answer: HeartbeatAnswer, now_s: float) -> None:
        if answer.plan_id != self._named_id:
            self._named_id = answer.plan_id
            self._fetch_due_s = now_s
            self._fetch_failures = 0

    def _wants_plan(self) -> bool:
        held = {plan.plan_id for plan in (self._plan, self._coming) if plan is not None}
        return (
            bool(self._named_id)
            and not self._is_fetching
            and self._named_id not in held
            and self._named_id != self._refused_id
        )

    def _plan_read(self, event: PlanRead, now_s: float) -> None:
        self._is_fetching = False
        plan = event.plan
        if self._named_id is not None and plan.plan_id != self._named_id:
            return  # another one is in force meanwhile
        self._spent_bytes = {plan.plan_id: event.spent_bytes}
        if plan.valid_from_wall_s > self.time.wall_s(now_s):
            self._coming = plan
        else:
            self._plan, self._coming = plan, None

    def _plan_missed(self, event: PlanMissed, now_s: float) -> None:
        self._is_fetching = False
        if event.is_refused:
            self._refused_id = event.plan_id
            return
        self._fetch_failures += 1
        pause_s = min(PLAN_RETRY_S * 2.0 ** min(self._fetch_failures - 1, 10), PLAN_RETRY_S_MAX)
        self._fetch_due_s = now_s + pause_s * float(self._jitter.uniform(0.5, 1.0))

    def _reconsider(self, now_s: float) -> None:
        """Bring what is followed in line with what is valid."""
        wall_s = self.time.wall_s(now_s)
        if self._coming is not None and self._coming.valid_from_wall_s <= wall_s:
            self._plan, self._coming = self._coming, None
        if self._plan is not None and self._plan.valid_until_wall_s <= wall_s:
            self._refused_id = self._plan.plan_id  # it is over: not to be fetched again
            self._plan = None
        if self._plan is not None and self._named_id == "":
            self._plan = None
        followed_id = self._plan.plan_id if self._plan is not None else ""
        if followed_id != self._followed_id:
            self._followed_id = followed_id
            spent_bytes = self._spent_bytes.get(followed_id, 0)
            self._effects.emit(Follow(plan=self._plan, spent_bytes=spent_bytes))

    def _change_s(self) -> float:
        """When a plan begins or ends."""
        behind_s = self.time.wall_s(0.0)
        due = [INTERVAL_S_MAX + self._now_s]
        if self._plan is not None:
            due.append(self._plan.valid_until_wall_s - behind_s)
        if self._coming is not None:
            due.append(self._coming.valid_from_wall_s - behind_s)
        return min(due)

    def _renew_at_s(self) -> float:
        return max(self._renew_wall_s - self.time.wall_s(0.0), self._renew_due_s)
