"""What is said about a title and a viewer once it is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

EndReason = Literal["finished", "left", "failed"]


class HostUse(msgspec.Struct, frozen=True, kw_only=True):
    """One host's part in a title; `host` is `host:port`."""

    host: str
    request_count: int
    failure_count: int


class SteeringAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a steering server said when it was asked, or (`detail`) why nothing came of it. `at_s`
    counts from pressing play."""

    at_s: float
    ttl_s: float | None = None
    pathways: tuple[str, ...] = ()
    clone_count: int = 0
    detail: str = ""


class PathwayUse(msgspec.Struct, frozen=True, kw_only=True):
    """What came by one pathway, of all tracks."""

    pathway: str
    host: str
    segment_count: int
    received_bytes: int


class PathwaySwitch(msgspec.Struct, frozen=True, kw_only=True):
    """From one segment of the track that adapts to the next. `steering`: another pathway was wanted
    first; `failure`: the one wanted failed; `recovery`: it is well again."""

    at_s: float
    from_pathway: str
    to_pathway: str
    reason: Literal["steering", "failure", "recovery"]


class SteeringReport(msgspec.Struct, frozen=True, kw_only=True):
    """A title's content steering."""

    server_url: str
    protocol: str
    answer_count: int
    failure_count: int
    is_stopped: bool
    """The server asked not to be asked any more."""
    answers: tuple[SteeringAnswer, ...]
    """The first of them."""
    pathways: tuple[PathwayUse, ...]
    switch_count: int
    switches: tuple[PathwaySwitch, ...]
    """The first of them."""


class SessionReport(msgspec.Struct, frozen=True, kw_only=True):
    """One title as one viewer saw it. Rates are of the track that adapts (video, or audio where
    there is no video), of what was played."""

    url: str
    session_id: str
    is_next_episode: bool
    startup_s: float | None
    """From pressing play to the first picture; None when it never came."""
    played_s: float
    stalled_s: float
    stall_count: int
    bitrate_kbps: float | None
    """Bits of the segments played over their duration, which manifests cannot misstate; None when
    nothing was played. `qoe_linear` rates by the ladder, as its authors do."""
    switch_count: int
    qoe_linear: float | None
    segment_count: int
    """Segments of the adapting track that were played, if only in part."""
    abandon_count: int
    response_count: int
    """Complete answers, manifests included."""
    edge_hit_count: int
    received_bytes: int
    """Bodies, those given up half-way included."""
    hit_bytes: int
    started_from_edge: bool | None
    """The first segment of each track was an edge hit; None when no answer spoke of a cache."""
    ended: EndReason
    detail: str = ""
    failure_count: int = 0
    """Requests that brought nothing of use."""
    retry_count: int = 0
    """Requests for what had failed before, at whichever rung or host."""
    failover_count: int = 0
    """Those of them that went to another host."""
    skipped_count: int = 0
    """Segments that could not be had anywhere and were jumped over, of any track."""
    skipped_s: float = 0.0
    hosts: tuple[HostUse, ...] = ()
    """In the order in which they were first asked."""
    ladder_kbps: tuple[float, ...] = ()
    """Of the track that adapts."""
    steering: SteeringReport | None = None
    """None where the manifest says nothing of it, or it is off."""


class ViewerReport(msgspec.Struct, frozen=True, kw_only=True):
    """All titles of one viewer, and their sums."""

    viewer_id: str
    sessions: tuple[SessionReport, ...]
    played_s: float
    stalled_s: float
    stall_count: int
    rebuffer_ratio: float
    bitrate_kbps: float | None
    switch_count: int
    response_count: int
    edge_hit_count: int
    received_bytes: int
    hit_bytes: int


def viewer_report(viewer_id: str, sessions: Sequence[SessionReport]) -> ViewerReport:
    played_s = sum(each.played_s for each in sessions)
    stalled_s = sum(each.stalled_s for each in sessions)
    weighed = sum((each.bitrate_kbps or 0.0) * each.played_s for each in sessions)
    watched_s = played_s + stalled_s
    return ViewerReport(
        viewer_id=viewer_id,
        sessions=tuple(sessions),
        played_s=played_s,
        stalled_s=stalled_s,
        stall_count=sum(each.stall_count for each in sessions),
        rebuffer_ratio=stalled_s / watched_s if watched_s > 0 else 0.0,
        bitrate_kbps=weighed / played_s if played_s > 0 else None,
        switch_count=sum(each.switch_count for each in sessions),
        response_count=sum(each.response_count for each in sessions),
        edge_hit_count=sum(each.edge_hit_count for each in sessions),
        received_bytes=sum(each.received_bytes for each in sessions),
        hit_bytes=sum(each.hit_bytes for each in sessions),
    )
