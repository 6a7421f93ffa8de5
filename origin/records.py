"""What the origin remembers about its fleet, one struct per row of the control state.

Read and written by `origin.drivers.state`; the cores are given these and know no database. Wall
times are the origins'. Secrets are bytes or digests here and appear in no log and no audit entry.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from nearcast.fleet import Duty, EdgeProfile

PlanState = Literal["proposed", "applied", "superseded"]
Role = Literal["viewer", "operator", "admin"]
EnrolOutcome = Literal["enrolled", "bad_token", "duplicate"]


class EdgeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An edge that has enrolled."""

    edge: str
    profile: EdgeProfile
    duty: Duty = "active"
    serial: str
    """Of its certificate, in hex."""
    serial_before: str = ""
    """Of the certificate that a renewal replaced: good too, should the new one have been lost on
    its way."""
    enrolled_wall_s: float
    changed_wall_s: float
    revoked: bool = False
    note: str = ""


class OriginRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An origin process of this fleet."""

    origin_id: str
    """New with each start."""
    fleet_url: str
    """Of its fleet port, as edges reach it."""
    started_wall_s: float
    seen_wall_s: float


class EnrolToken(msgspec.Struct, frozen=True, kw_only=True):
    """The right to enrol one edge, once."""

    token_sha256: str
    edge: str = ""
    """The only edge that may use it; empty: any."""
    made_wall_s: float
    until_wall_s: float
    by: str
    taken_wall_s: float | None = None
    taken_by: str = ""


class HeartbeatRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The newest heartbeat of an edge, as one of the origins received it."""

    edge: str
    boot_id: str
    sequence_no: int
    received_wall_s: float
    origin_id: str
    body: bytes
    """A nearcast.fleet.Heartbeat without `held`, as JSON."""
    held_id: str = ""
    held: bytes | None = None
    """None: nothing new, what is stored stays."""


class ObservationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What `observer` (an edge, or `players`) saw last of `edge`."""

    observer: str
    edge: str
    is_up: bool
    failure_count: int = 0
    rtt_ms: float | None = None
    seen_wall_s: float
    origin_id: str


CLOCK: Final = "the clock"
"""Who made a plan, or put it in force, when no person did; no token can be named so."""


class PlanHead(msgspec.Struct, frozen=True, kw_only=True):
    """A plan without what each edge has to do."""

    plan_id: str
    made_by: str = ""
    made_wall_s: float
    valid_from_wall_s: float
    valid_until_wall_s: float
    state: PlanState = "proposed"
    applied_wall_s: float | None = None
    summary: bytes = b""


class PlanRecord(PlanHead, frozen=True, kw_only=True):
    """A plan with the SignedPlan of each edge, as JSON."""

    edges: dict[str, bytes]


class ApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """Who may use the admin API, and for what."""

    token_sha256: str
    name: str
    role: Role
    made_wall_s: float = 0.0
    until_wall_s: float
    revoked_wall_s: float | None = None


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Who changed what. `before` and `after` are JSON or empty."""

    id: int = 0
    """Given by the store; later entries have greater ones."""
    wall_s: float
    actor: str
    action: str
    subject: str = ""
    before: str = ""
    after: str = ""


class Revisions(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers that grow whenever something of the kind changed: cheap to poll."""

    edges: int = 0
    heartbeats: int = 0
    observations: int = 0
    plans: int = 0
    access: int = 0
    """API tokens."""
