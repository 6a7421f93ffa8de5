"""What edges and origins tell each other about the fleet, as JSON over mutual TLS.

    POST /v1/fleet/enrol         EnrolRequest -> EnrolAnswer    with a one-time token, once
    POST /v1/fleet/renew         RenewRequest -> EnrolAnswer    before the certificate ends
    POST /v1/fleet/heartbeat     Heartbeat -> HeartbeatAnswer   every `interval_s`
    POST /v1/fleet/observations  Observations -> nothing        when it sees another otherwise
    GET  /v1/fleet/plan          -> SignedPlan (nearcast.placement), ETag: its id
    POST /v1/fleet/telemetry     a piece of a segment (nearcast.telemetry) -> Received

Who speaks is what the client certificate says; the `edge` in a body must be the same. A refusal is
a `Refused` with a status of 4xx. Figures that only grow count from the start of the edge's process,
which `boot_id` names.

`gc=False`: what is kept of a thousand edges can be in no cycle, so none is looked for in it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from nearcast import held_digest
from nearcast.local_time import ZoneName

FLEET_VERSION: Final = 1
ENROL_PATH: Final = "/v1/fleet/enrol"
RENEW_PATH: Final = "/v1/fleet/renew"
HEARTBEAT_PATH: Final = "/v1/fleet/heartbeat"
OBSERVATIONS_PATH: Final = "/v1/fleet/observations"
PLAN_PATH: Final = "/v1/fleet/plan"
TELEMETRY_PATH: Final = "/v1/fleet/telemetry"
AUTHORITY_PATH: Final = "/v1/fleet/authority"
"""GET, by anybody: the certificate that signs the others', as PEM."""
ALIVE_PATH: Final = "/.nearcast/alive"
"""GET at an edge's own URL, by anybody: 200 when it serves, with EDGE_FIELD."""
EDGE_FIELD: Final = "nearcast-edge"
"""Which edge answers there; an edge of the version before does not say."""
RENEW_SHARE: Final = 2 / 3
"""Of a certificate's life, after which it should be renewed."""

BODY_BYTES_MAX: Final = 256 * 1024
"""Of any request but telemetry."""
CLOCK_SKEW_S_MAX: Final = 120.0
"""A heartbeat sent so far from the origin's time is refused: its other times are worth nothing."""

EDGE_PATTERN: Final = "[a-z0-9][a-z0-9-]{0,62}"
EdgeId = Annotated[str, msgspec.Meta(pattern=rf"^{EDGE_PATTERN}$(?!\n)")]
"""A name the operator gives; it is the common name of the edge's certificate."""
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{0,64}$(?!\n)")]
Text = Annotated[str, msgspec.Meta(max_length=200)]
Url = Annotated[str, msgspec.Meta(max_length=500, pattern=r"^https?://[^/?#\s]+$(?!\n)")]
"""Scheme and authority alone."""
Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
NetworkTexts = Annotated[tuple[Text, ...], msgspec.Meta(max_length=64)]
LinkKbps = Annotated[float, msgspec.Meta(gt=0.0, le=1e9)]
UtcOffset = Annotated[float, msgspec.Meta(ge=-14.0, le=14.0)]
Amount = Annotated[float, msgspec.Meta(ge=0.0, le=1e15)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]

Duty = Literal["active", "draining", "maintenance"]
"""What the operator wants of an edge. Draining: no new players, planned bytes stay. Maintenance: no
players, no fills, and its silence is no alarm."""

Refusal = Literal[
    "bad_request", "bad_token", "duplicate", "unknown_edge", "revoked", "forged", "replayed",
    "clock", "too_large", "busy", "not_found",
]  # fmt: skip


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer of 4xx."""

    error: Refusal
    detail: str
    """One sentence: what was wrong, and what to do."""


class EdgeProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What an edge says of itself when it enrols; the operator may change it at the origin."""

    url: Url
    """Where players and other edges reach it."""
    cluster: Text = ""
    """Edges of one site fill from each other first; empty: it stands alone."""
    region: Text = ""
    networks: NetworkTexts = ()
    """CIDR blocks of clients that are near it."""
    capacity_bytes: Count
    link_kbps: LinkKbps = 1_000_000.0
    """What it can send to players."""
    utc_offset_h: UtcOffset = 0.0
    """Of its viewers' clocks, for an origin that does not know `time_zone`."""
    time_zone: ZoneName = ""
    """In which its viewers live; empty: `utc_offset_h` holds all the year."""


class EnrolRequest(msgspec.Struct, frozen=True, kw_only=True):
    version: int = FLEET_VERSION
    token: Annotated[str, msgspec.Meta(max_length=200)]
    edge: EdgeId
    csr_pem: Annotated[str, msgspec.Meta(max_length=8_000)]
    profile: EdgeProfile


class RenewRequest(msgspec.Struct, frozen=True, kw_only=True):
    version: int = FLEET_VERSION
    csr_pem: Annotated[str, msgspec.Meta(max_length=8_000)]


class EnrolAnswer(msgspec.Struct, frozen=True, kw_only=True):
    version: int = FLEET_VERSION
    edge: EdgeId
    certificate_pem: str
    authority_pem: str
    """Signs the origins' certificates and the edges'."""
    plan_keys: tuple[str, ...]
    """Ed25519 public keys in base64; a plan must be signed with one of them."""
    origins: tuple[str, ...]
    """https URLs of all origins' fleet ports, any of which will do."""


class Load(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How busy an edge is now."""

    client_kbps: Amount = 0.0
    connection_count: Count = 0
    cpu_share: Share = 0.0


class Storage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    capacity_bytes: Count
    used_bytes: Count = 0
    pinned_bytes: Count = 0
    is_failing: bool = False
    """The disk takes no writes: the edge serves, and keeps nothing new."""


class Traffic(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Counts since the start of the process. Bodies only."""

    request_count: Count = 0
    client_bytes: Count = 0
    resident_bytes: Count = 0
    """Of these, from the store."""
    origin_bytes: Count = 0
    """Fetched from upstream, for whatever reason."""
    peer_bytes: Count = 0
    """Fetched from other edges."""
    planned_bytes: Count = 0
    """Fetched for the plan, from wherever."""
    prefetch_bytes: Count = 0
    prefetch_used_bytes: Count = 0
    prefetch_waste_bytes: Count = 0
    miss_origin_bytes: Count = 0
    """Sent to clients while being fetched."""


class Qoe(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What players said of themselves (CMCD) since the start of the process: sums and counts."""

    session_count: Count = 0
    startup_s: Amount = 0.0
    startup_count: Count = 0
    report_count: Count = 0
    stall_count: Count = 0
    """Reports with `bs`, a buffer that ran dry."""
    bitrate_kbps: Amount = 0.0
    """Sum of `br` over `bitrate_count` reports on video."""
    bitrate_count: Count = 0
    error_count: Count = 0


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    version: int = FLEET_VERSION
    edge: EdgeId
    boot_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}$(?!\n)")]
    sequence_no: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    """Counts up within a boot: what came before is refused as replayed."""
    sent_wall_s: Amount
    uptime_s: Amount = 0.0
    software: Text = ""
    is_draining: bool = False
    load: Load = Load()
    storage: Storage
    traffic: Traffic = Traffic()
    qoe: Qoe = Qoe()
    plan_id: Digest = ""
    """The plan it works by."""
    plan_files_held: Count = 0
    plan_files: Count = 0
    telemetry_waiting_bytes: Count = 0
    telemetry_dropped_events: Count = 0
    held_id: Digest = ""
    """Names what `held` would say."""
    held: Annotated[bytes, msgspec.Meta(max_length=held_digest.BYTES_MAX)] | None = None
    """Of titles of which it holds a useful part, as in nearcast.held_digest; sent when it was asked
    for."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Another edge to look at: GET `url` + ALIVE_PATH."""

    edge: EdgeId
    url: Url


class HeartbeatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    version: int = FLEET_VERSION
    interval_s: float
    """Until the next; longer in a large fleet."""
    wall_s: float
    """The origin's time."""
    duty: Duty = "active"
    plan_id: str = ""
    """The plan that is in force for this edge; empty: none."""
    wants_held: bool = False
    probes: tuple[Target, ...] = ()
    probe_s: float = 1.0
    origins: tuple[str, ...] = ()
    renew: bool = False
    """The certificate should be renewed now."""
    time_zone: ZoneName = ""
    """By which the windows of its plans are made, as its profile has it; empty: by an offset."""


class Observation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one edge, or its players, see of another."""

    edge: EdgeId
    is_up: bool
    failure_count: Count = 0
    """Probes in a row that failed."""
    rtt_ms: Amount | None = None
    age_s: Amount = 0.0
    """How long ago it was seen."""


class Observations(msgspec.Struct, frozen=True, kw_only=True):
    version: int = FLEET_VERSION
    edge: EdgeId
    """Who observes."""
    boot_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}$(?!\n)")]
    sequence_no: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    seen: Annotated[tuple[Observation, ...], msgspec.Meta(max_length=64)]


def answers_as(edge: str, status: int, named: str | None) -> bool:
    """Whether an answer at ALIVE_PATH, with this EDGE_FIELD, is one that `edge` would give. Any
    other is of somebody else at its URL."""
    return 200 <= status < 300 and named in (None, edge)
