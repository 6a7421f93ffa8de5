"""What the admin API takes and gives, as JSON. Times are seconds since the epoch (UTC), ages count
back from the moment of asking, ratios are 0..1; null means that nobody knows."""

from __future__ import annotations

from typing import Annotated

import msgspec

from nearcast.fleet import (
    Count,
    Duty,
    EdgeId,
    EdgeProfile,
    LinkKbps,
    NetworkTexts,
    Text,
    Url,
    UtcOffset,
)
from nearcast.local_time import ZoneName
from origin.fleet.events import FleetEdge, State
from origin.placement.explain import Explained
from origin.placement.summary import PlanSummary
from origin.records import AuditEntry, PlanState, Role
from origin.steering import EdgePlace
from origin.telemetry.series import SeriesPoint

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$(?!\n)")]


class RecentFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Of one edge or of all, over the last minute or so."""

    client_kbps: float = 0.0
    origin_kbps: float = 0.0
    peer_kbps: float = 0.0
    hit_ratio: float | None = None
    prefetch_precision: float | None = None
    prefetch_waste_ratio: float | None = None
    """Of what was fetched ahead, thrown away unused."""
    startup_s: float | None = None
    stall_ratio: float | None = None
    """Of players' reports, those that tell of a stall."""
    bitrate_kbps: float | None = None
    session_count: int = 0


class EdgeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the fleet's table."""

    edge: str
    url: str
    cluster: str
    region: str
    state: State
    state_age_s: float
    reason: str
    duty: Duty
    is_draining: bool
    is_revoked: bool
    heartbeat_age_s: float | None
    connection_count: int
    load_share: float
    link_kbps: float
    capacity_bytes: int
    used_bytes: int
    pinned_bytes: int
    is_failing: bool
    plan_id: str
    is_plan_current: bool
    plan_files: int
    plan_files_held: int
    telemetry_waiting_bytes: int
    refused_count: int
    time_zone: str = ""
    """Of its viewers, to which a plan's windows are local; empty: `utc_offset_h` holds."""
    utc_offset_h: float = 0.0
    recent: RecentFigures


class FleetTotals(msgspec.Struct, frozen=True, kw_only=True):
    """All edges together."""

    wall_s: float
    edge_count: int
    by_state: dict[str, int]
    """Edges in service by state; drained, in maintenance and revoked ones are counted as such."""
    recent: RecentFigures
    plan_id: str
    """In force; empty: none."""
    is_database_away: bool
    database_trouble: str = ""
    """In words, such as a full disk; an origin of the version before does not say."""
    origin_count: int
    refused: dict[str, int]
    """Messages of edges that were refused here, by reason, since this origin started."""


class EdgeList(msgspec.Struct, frozen=True, kw_only=True):
    totals: FleetTotals
    edges: tuple[EdgeRow, ...]
    """By name."""


class StateChange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An edge was found to be otherwise than before."""

    wall_s: float
    before: State
    after: State
    reason: str


class EdgeDetail(msgspec.Struct, frozen=True, kw_only=True):
    row: EdgeRow
    edge: FleetEdge
    enrolled_wall_s: float
    changed_wall_s: float
    serial: str
    """Of its certificate, in hex."""
    note: str
    states: tuple[StateChange, ...]
    """Its last changes, oldest first; none from before this origin started."""


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """An edge after a change of what the operator wants of it."""

    edge: str
    duty: Duty
    is_revoked: bool


class DutyWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    duty: Duty


class ProfileWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of an edge's profile is to be another; null: it stays."""

    url: Url | None = None
    cluster: Text | None = None
    region: Text | None = None
    networks: NetworkTexts | None = None
    """All of them, not those to add."""
    capacity_bytes: Count | None = None
    link_kbps: LinkKbps | None = None
    time_zone: ZoneName | None = None
    utc_offset_h: UtcOffset | None = None
    """Instead of a time zone."""


class ProfileNow(msgspec.Struct, frozen=True, kw_only=True):
    edge: str
    profile: EdgeProfile


class Invitation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    edge: EdgeId
    valid_s: Annotated[float, msgspec.Meta(gt=0, le=30 * 86_400.0)] = 3_600.0


class Invited(msgspec.Struct, frozen=True, kw_only=True):
    edge: str
    token: str
    """Shown this once; give it to `nearcast edge enrol`."""
    until_wall_s: float


class SeriesQuery(msgspec.Struct, frozen=True, kw_only=True):
    window_s: Annotated[float, msgspec.Meta(ge=60, le=7 * 86_400.0)] = 3_600.0
    step_s: Annotated[float, msgspec.Meta(ge=1, le=86_400.0)] | None = None


class SeriesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    step_s: float
    points: tuple[SeriesPoint, ...]
    """Oldest first, each from its `wall_s` on for one step."""


class SteeringQuery(msgspec.Struct, frozen=True, kw_only=True):
    client: Annotated[str, msgspec.Meta(max_length=100)]
    """An IP address."""
    title: Annotated[str, msgspec.Meta(max_length=200)] = ""


class SteeringAnswer(msgspec.Struct, frozen=True, kw_only=True):
    client: str
    title: str
    places: tuple[EdgePlace, ...]
    """Those offered first, in order; then those that are not."""


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100
    before_id: Annotated[int, msgspec.Meta(ge=1, le=2**62)] | None = None


class AuditLog(msgspec.Struct, frozen=True, kw_only=True):
    entries: tuple[AuditEntry, ...]
    """Newest first."""


class TokenWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    role: Role = "viewer"
    valid_s: Annotated[float, msgspec.Meta(gt=0, le=10 * 366 * 86_400.0)] = 365 * 86_400.0


class TokenMade(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    role: Role
    token: str
    """Shown this once."""
    until_wall_s: float


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    role: Role
    made_wall_s: float
    until_wall_s: float
    is_revoked: bool


class TokenList(msgspec.Struct, frozen=True, kw_only=True):
    tokens: tuple[TokenRow, ...]


class PlanRow(msgspec.Struct, frozen=True, kw_only=True):
    """One plan; sums over all edges."""

    plan_id: str
    state: PlanState
    made_wall_s: float
    valid_until_wall_s: float
    applied_wall_s: float | None
    edge_count: int
    file_count: int
    stored_bytes: int
    fill_bytes: int
    value_bytes: float
    """What it is expected to save while it is valid."""
    refused_edges: int
    """Edges that are given nothing to fetch."""


class PlanList(msgspec.Struct, frozen=True, kw_only=True):
    plans: tuple[PlanRow, ...]
    """Newest first."""


class PlanDetail(msgspec.Struct, frozen=True, kw_only=True):
    plan: PlanRow
    summary: PlanSummary


class ExplainQuery(msgspec.Struct, frozen=True, kw_only=True):
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    edge: Annotated[str, msgspec.Meta(max_length=63)] = ""
    """Empty: every edge."""
    rendition: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """Empty: every one."""


class ExplainAnswer(msgspec.Struct, frozen=True, kw_only=True):
    answers: tuple[Explained, ...]


class TitlesQuery(msgspec.Struct, frozen=True, kw_only=True):
    query: Annotated[str, msgspec.Meta(max_length=200)] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    window_s: Annotated[float, msgspec.Meta(ge=3_600, le=31 * 86_400.0)] = 7 * 86_400.0


class TitleRow(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    name: str
    series: str | None
    genre: str | None
    duration_s: float | None
    """null: it is in no catalogue here."""
    client_bytes: int
    """Taken by viewers within the window."""
    resident_bytes: int
    session_count: int


class TitleList(msgspec.Struct, frozen=True, kw_only=True):
    titles: tuple[TitleRow, ...]
    """Most watched first."""
    found_count: int
    """Also those beyond the limit."""


class TitleQuery(msgspec.Struct, frozen=True, kw_only=True):
    window_s: Annotated[float, msgspec.Meta(ge=3_600, le=31 * 86_400.0)] = 7 * 86_400.0


class PlannedRendition(msgspec.Struct, frozen=True, kw_only=True):
    rendition: str
    until_s: float | None
    """Its head only, up to there; null: all of it."""
    size_bytes: int
    value_bytes: float
    from_edges: tuple[str, ...]
    is_reserved: bool = False
    """Nothing of it is fetched: what viewers pull of it stays."""


class TitleAtEdge(msgspec.Struct, frozen=True, kw_only=True):
    edge: str
    is_held: bool
    """It holds a useful part, as it last said."""
    planned: tuple[PlannedRendition, ...]
    """By the plan in force."""
    client_bytes: int
    """Taken there within the window."""


class TitleForecast(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan expected."""

    made_wall_s: float
    bytes_per_day: float
    """To be taken by viewers, of all edges."""


class TitleHour(msgspec.Struct, frozen=True, kw_only=True):
    """What viewers at one edge took of a title in one hour."""

    wall_s: int
    edge: str
    client_bytes: int
    resident_bytes: int
    origin_bytes: int
    session_count: int


class TitleViewings(msgspec.Struct, frozen=True, kw_only=True):
    """How the viewings that ended within the window went, as edges and players told."""

    session_count: int
    watched_share: float | None
    """Of the title, in the mean."""
    startup_s: float | None
    stalls_per_hour: float | None
    """Of watching."""
    bitrate_kbps: float | None
    error_count: int


class TitleDetail(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    name: str
    genre: str | None
    duration_s: float | None
    edges: tuple[TitleAtEdge, ...]
    hours: tuple[TitleHour, ...]
    """What was taken, by hour and edge."""
    forecasts: tuple[TitleForecast, ...]
    """Oldest first; of titles that few were expected to want there is none."""
    viewings: TitleViewings


class WhoAmI(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    role: Role
