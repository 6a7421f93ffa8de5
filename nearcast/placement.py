"""A placement plan as the origin publishes it and an edge follows it.

A plan says what each edge should hold, in the order to fetch it, and when, how fast and how much it
may fetch. It is signed, and valid for a time; an edge that hears nothing more follows it until it
expires, then its own policy has the store to itself. The id is the SHA-256 of what the plan says:
equal inputs give the same plan, and getting a plan twice changes nothing.

    SignedPlan {"payload": base64 of an EdgePlan's JSON, "signatures": [...]}

What is signed begins with a line of our own (as in predictor.signature), so that a signature for a
plan is none for anything else.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from nearcast.fleet import Amount, Count, Digest, EdgeId, Text, Url

PLAN_VERSION: Final = 1
PLAN_BYTES_MAX: Final = 64_000_000
SIGNED_PREFIX: Final = b"nearcast placement plan 1\n"


class FillWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Planned bytes are fetched from `from_wall_s` on and before `until_wall_s`."""

    from_wall_s: Amount
    until_wall_s: Amount


class PlannedFile(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A rendition of a title, or its head, that an edge should hold."""

    title: Text
    rendition: Text
    manifest: Annotated[str, msgspec.Meta(max_length=500, pattern=r"^/")]
    """The DASH manifest's path and query as clients ask for it; segments are found through it."""
    until_s: Amount | None = None
    """Media time at which it ends: a head; None: the whole."""
    fetch_until_s: Amount | None = None
    """What follows this media time is not fetched: it is a place reserved, where what viewers pull
    of it stays; 0: all of it is; None: none of it is."""
    size_bytes: Count
    held_bytes: Count = 0
    """Of it, that were taken to be there when the plan was made."""
    value_bytes: Amount = 0.0
    """Bytes it is expected to save while the plan is valid."""
    from_edges: Annotated[tuple[EdgeId, ...], msgspec.Meta(max_length=8)] = ()
    """Who should hold it first and may be asked for it, in this order, before the origin is."""


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    edge: EdgeId
    url: Url


class EdgePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What one edge has to do."""

    version: int = PLAN_VERSION
    plan_id: Digest
    """Of the plan for all edges."""
    edge: EdgeId
    made_wall_s: Amount
    valid_from_wall_s: Amount
    valid_until_wall_s: Amount
    pinned_bytes_max: Count
    """The share of the store that is the plan's; the rest is the edge's own policy's."""
    fill_bytes_max: Count
    """Of all windows together."""
    fill_kbps_max: Annotated[float, msgspec.Meta(gt=0.0, le=1e9)]
    windows: Annotated[tuple[FillWindow, ...], msgspec.Meta(max_length=64)]
    files: Annotated[tuple[PlannedFile, ...], msgspec.Meta(max_length=500_000)]
    """In the order to fetch them, reserved ones last; what is held already is kept and costs
    nothing."""
    peers: Annotated[tuple[Peer, ...], msgspec.Meta(max_length=1_000)] = ()


class PlanSignature(msgspec.Struct, frozen=True, kw_only=True):
    key_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}$(?!\n)")]
    signature: bytes


class SignedPlan(msgspec.Struct, frozen=True, kw_only=True):
    version: int = PLAN_VERSION
    payload: bytes
    signatures: Annotated[tuple[PlanSignature, ...], msgspec.Meta(min_length=1, max_length=8)]
