"""What an edge's membership in a fleet is told, and what it wants done.

`Member` (edge.fleet.member) is a machine over these. Asking is an effect, the answer an event: one
`SendHeartbeat` -> `HeartbeatAnswered`, `HeartbeatRefused` or `OriginFailed`; one `FetchPlan` ->
`PlanRead` or `PlanMissed`; one `Renew` -> `Renewed` or `OriginFailed`; one `Probe` -> `Probed`; one
`SendObservations` -> `ObservationsTaken`, or nothing.
"""

from __future__ import annotations

import msgspec

from nearcast.fleet import Duty, HeartbeatAnswer, Observation, Refused
from nearcast.placement import EdgePlan


class MemberEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened."""


class HeartbeatAnswered(MemberEvent, frozen=True, kw_only=True):
    origin: str
    sequence_no: int
    sent_s: float
    answer: HeartbeatAnswer


class HeartbeatRefused(MemberEvent, frozen=True, kw_only=True):
    """The origin wants none of it, and says why."""

    origin: str
    sequence_no: int
    refused: Refused


class HeartbeatLost(MemberEvent, frozen=True, kw_only=True):
    """No answer."""

    origin: str
    sequence_no: int
    detail: str


class CalendarRead(MemberEvent, frozen=True, kw_only=True):
    """What the machine's calendar says, looked at with every heartbeat."""

    wall_s: float


class Probed(MemberEvent, frozen=True, kw_only=True):
    """Another edge was looked at."""

    edge: str
    is_up: bool
    rtt_ms: float | None = None


class ObservationsTaken(MemberEvent, frozen=True, kw_only=True):
    """The origin has them."""

    sequence_no: int


class PlanRead(MemberEvent, frozen=True, kw_only=True):
    """A plan that was checked: fetched, or kept from before. `spent_bytes`: what came for it."""

    plan: EdgePlan
    spent_bytes: int = 0


class PlanMissed(MemberEvent, frozen=True, kw_only=True):
    """The plan of this id could not be had, or must not be followed."""

    plan_id: str
    detail: str
    is_refused: bool = False
    """It was there, and is not for us: forged, of another edge, expired."""


class Renewed(MemberEvent, frozen=True, kw_only=True):
    """There is a new certificate."""

    renew_wall_s: float
    """When it should be renewed again."""


class RenewalFailed(MemberEvent, frozen=True, kw_only=True):
    detail: str


class OriginFailed(MemberEvent, frozen=True, kw_only=True):
    """This origin did not answer something else (a piece of telemetry, say)."""

    origin: str


class Leaving(MemberEvent, frozen=True, kw_only=True):
    """The node is about to stop: say so once more, and begin nothing."""


class MemberEffect(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be done."""


class SendHeartbeat(MemberEffect, frozen=True, kw_only=True):
    origin: str
    sequence_no: int
    with_held: bool
    """Say which titles are held."""


class SendObservations(MemberEffect, frozen=True, kw_only=True):
    origin: str
    sequence_no: int
    seen: tuple[Observation, ...]


class Probe(MemberEffect, frozen=True, kw_only=True):
    edge: str
    url: str
    timeout_s: float


class FetchPlan(MemberEffect, frozen=True, kw_only=True):
    origin: str
    plan_id: str


class Renew(MemberEffect, frozen=True, kw_only=True):
    origin: str


class Follow(MemberEffect, frozen=True, kw_only=True):
    """Go by this plan from now on; None: by none."""

    plan: EdgePlan | None
    spent_bytes: int = 0


class KeepOrigins(MemberEffect, frozen=True, kw_only=True):
    """The fleet has these origins now."""

    origins: tuple[str, ...]


class TakeDuty(MemberEffect, frozen=True, kw_only=True):
    """What the operator wants of this edge now."""

    duty: Duty


class NoteZone(MemberEffect, frozen=True, kw_only=True):
    """The origin has our viewers live in another time zone than our settings have."""

    ours: str
    origins: str


class TakeBoot(MemberEffect, frozen=True, kw_only=True):
    """Report as a boot of another name from now on, whose figures begin at this moment: ours was
    followed by another process's, which is silent."""


class TakeTime(MemberEffect, frozen=True, kw_only=True):
    """The origin's clock is so far ahead of ours."""

    ahead_s: float
