"""What edges write down and ship to the origin: JSON lines in numbered segments.

An edge appends events to a segment file and closes it after a while; segments are shipped in order.
A piece of a segment is a POST to /v1/fleet/telemetry?boot=ID&segment=N&offset=BYTES (`PiecePlace`)
whose body is whole lines (gzip allowed), or a message on NATS with the same as headers. The origin
takes a piece only at the offset it has come to, in one transaction with what it counts from it; so
a piece that comes twice counts once. `Received` says up to where it has taken: the edge goes on
from there, and deletes a segment when all of it was taken. Wall times are those of the edge, which
goes by the origin's time as far as it knows it.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from nearcast.fleet import Amount, Count, Text

TELEMETRY_VERSION: Final = 1
HEAD_S: Final = 60.0
"""The beginning of a title is its head, which decides about the start: `Demand.head_bytes` tells of
it, and a plan may name it alone."""
PIECE_BYTES_MAX: Final = 1_000_000
LINE_BYTES_MAX: Final = 4_000
NATS_SUBJECT: Final = "nearcast.telemetry"
"""With the edge's id behind a dot; the stream is NEARCAST_TELEMETRY."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="e", omit_defaults=True):
    """One line. Unknown kinds are counted and skipped, so that edges may be newer."""

    wall_s: Amount


class Demand(Event, frozen=True, kw_only=True, tag="demand"):
    """What viewers took and plans brought of a title's rendition since the last such event."""

    title: Text
    rendition: Text
    client_bytes: Count
    resident_bytes: Count = 0
    origin_bytes: Count = 0
    session_count: Count = 0
    """Viewings that began."""
    head_bytes: Count = 0
    """Of `client_bytes`, from the title's first `HEAD_S`."""
    planned_bytes: Count = 0
    """Fetched for a plan, from wherever, before anybody asked."""


class SessionEnded(Event, frozen=True, kw_only=True, tag="session"):
    """One viewing, as its requests and CMCD tell. Names no viewer."""

    title: Text
    watched_s: Amount
    duration_s: Amount = 0.0
    startup_s: Amount | None = None
    stall_count: Count = 0
    bitrate_kbps: Amount | None = None
    error_count: Count = 0
    next_title: Text = ""
    """The episode that follows, if there is one and the viewer got half through: they are about to
    want it."""


class Filled(Event, frozen=True, kw_only=True, tag="filled"):
    """A planned file is complete, or was given up."""

    plan_id: Text
    title: Text
    rendition: Text
    size_bytes: Count
    source: Text
    """`origin`, or the id of the edge it came from; empty: it was held already."""
    is_complete: bool = True


class Noted(Event, frozen=True, kw_only=True, tag="noted"):
    """Something an operator would like to read: a drain, a full disk, a plan refused."""

    what: Text
    detail: Text = ""


Line = Annotated[Demand | SessionEnded | Filled | Noted, msgspec.Meta()]


Place = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class PiecePlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where the body of a piece belongs: a request's query, or a message's headers."""

    boot: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}$(?!\n)")]
    segment: Place
    offset: Place
    first: Place = 0
    """The edge has no segments before this one any more."""


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """The origin's answer to a piece."""

    version: int = TELEMETRY_VERSION
    segment_no: int
    offset_bytes: int
    """Taken of this segment up to here."""
