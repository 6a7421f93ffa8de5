"""Common Media Client Data (CTA-5004): what a player tells the edge with each request."""

from __future__ import annotations

import msgspec


class Cmcd(msgspec.Struct, frozen=True, kw_only=True):
    """The keys a player sent, in our units; None (or False) for those it did not send."""

    session_id: str | None = None  # sid
    content_id: str | None = None  # cid
    object_type: str | None = None  # ot: m a v av i c tt k o
    stream_format: str | None = None  # sf: d h s o
    stream_type: str | None = None  # st: v l
    bitrate_kbps: float | None = None  # br
    top_bitrate_kbps: float | None = None  # tb
    duration_s: float | None = None  # d
    buffer_s: float | None = None  # bl
    deadline_s: float | None = None  # dl
    throughput_kbps: float | None = None  # mtp
    requested_throughput_kbps: float | None = None  # rtp
    playback_rate: float | None = None  # pr
    next_object: str | None = None  # nor
    is_starved: bool = False  # bs
    is_startup: bool = False  # su
    version: int | None = None  # v
