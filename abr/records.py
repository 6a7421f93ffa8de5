"""What a player did, as typed events for the recorder."""

from __future__ import annotations

from typing import Literal

from nearcast.media import TrackKind
from nearcast.record import Record


class PlayerRecord(Record, frozen=True, kw_only=True):
    """Base of the player's records."""

    session_id: str


class PlaybackChanged(PlayerRecord, frozen=True, kw_only=True, tag="playback_changed"):
    """Playback started, stopped for want of data, went on, or ended."""

    state: Literal["playing", "stalled", "ended"]
    position_s: float
    detail: str = ""


class SegmentFetched(PlayerRecord, frozen=True, kw_only=True, tag="segment_fetched"):
    """One segment is here. `duration_s` runs from the request to the last byte."""

    track: TrackKind
    start_s: float
    rung: int
    size_bytes: int
    duration_s: float
    is_hit: bool | None
    buffer_s: float


class RequestGivenUp(PlayerRecord, frozen=True, kw_only=True, tag="request_given_up"):
    """A running segment was cancelled for a lower rung, or a request failed."""

    track: TrackKind | None
    rung: int
    received_bytes: int
    detail: str
