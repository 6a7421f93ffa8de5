"""What the fleet's machine is told, what it asks for, and what it shows."""

from __future__ import annotations

from typing import Literal

import msgspec

from nearcast.fleet import (
    Duty,
    EdgeProfile,
    Heartbeat,
    Load,
    Qoe,
    Storage,
    Traffic,
)
from origin.records import EdgeRecord, ObservationRecord

State = Literal["unknown", "alive", "suspect", "dead"]
ProbeOutcome = Literal["ok", "refused", "stranger", "timeout", "error"]
"""`ok`: its own answer. `stranger`: somebody else's, at its URL. `refused`: its host says that
nobody listens there. `timeout`: nothing within the time limit. `error`: anything else."""


class EdgeChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An edge enrolled, or the operator changed its record."""

    record: EdgeRecord


class EdgeRemoved(msgspec.Struct, frozen=True, kw_only=True):
    edge: str


class ConnectionLost(msgspec.Struct, frozen=True, kw_only=True):
    """The connection by which an edge speaks to this origin broke."""

    edge: str


class ProbeAnswered(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a ProbeEdge."""

    edge: str
    outcome: ProbeOutcome
    rtt_s: float | None = None


class PlayerErrors(msgspec.Struct, frozen=True, kw_only=True):
    """Players say that they could not fetch from an edge. Anybody may say so."""

    edge: str
    count: int = 1


class PlanInForce(msgspec.Struct, frozen=True, kw_only=True):
    """A plan was applied; `edges` have a part in it. An empty id: no plan."""

    plan_id: str
    edges: frozenset[str]


class OriginsKnown(msgspec.Struct, frozen=True, kw_only=True):
    """URLs of all origins' fleet ports."""

    urls: tuple[str, ...]


class HeartbeatRead(msgspec.Struct, frozen=True, kw_only=True):
    """A heartbeat that another origin received, or this one before it was started again."""

    heartbeat: Heartbeat
    received_wall_s: float


class StateRead(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the database now. Comes about once a second while the database can be read, also
    when there is nothing new: so the machine knows that what another origin hears would be here."""

    wall_s: float
    edges: tuple[EdgeRecord, ...] | None = None
    """All of them; None: as before."""
    heartbeats: tuple[HeartbeatRead, ...] = ()
    observations: tuple[ObservationRecord, ...] = ()


Event = (
    EdgeChanged
    | EdgeRemoved
    | ConnectionLost
    | ProbeAnswered
    | PlayerErrors
    | PlanInForce
    | OriginsKnown
    | StateRead
)


class ProbeEdge(msgspec.Struct, frozen=True, kw_only=True):
    """GET `url` + "/.nearcast/alive"; comes back as ProbeAnswered."""

    edge: str
    url: str
    timeout_s: float


class EdgeStateChanged(msgspec.Struct, frozen=True, kw_only=True):
    edge: str
    before: State
    after: State
    reason: str


Effect = ProbeEdge | EdgeStateChanged


class FleetEdge(msgspec.Struct, frozen=True, kw_only=True):
    """One edge as people see it. Ages count from the time of asking."""

    edge: str
    profile: EdgeProfile
    state: State
    state_age_s: float
    reason: str
    duty: Duty
    is_draining: bool
    """It drains, whoever wanted it."""
    is_revoked: bool
    heartbeat_age_s: float | None
    probe_rtt_ms: float | None
    observer_count: int
    observers_down: tuple[str, ...]
    """Edges that say now that it is down."""
    sees_most_down: bool
    """It says so itself of most of those it looks at."""
    software: str
    uptime_s: float
    clock_offset_s: float
    load: Load
    load_share: float
    """Of its link to players."""
    storage: Storage | None
    traffic: Traffic
    qoe: Qoe
    plan_id: str
    is_plan_current: bool
    plan_files_held: int
    plan_files: int
    held_titles: int
    telemetry_waiting_bytes: int
    telemetry_dropped_events: int
    refused: dict[str, int]
    """Its refused messages by reason."""
