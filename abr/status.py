"""A player at a glance, for a live line."""

from __future__ import annotations

import msgspec

from abr.downloads import Downloads
from abr.playback import Playback, PlaybackState
from abr.tally import Tally
from abr.throughput import ThroughputMeter


class PlayerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """As of `at_s`; `position_at` looks a little further."""

    at_s: float
    url: str
    state: PlaybackState
    position_s: float
    buffered_end_s: float
    duration_s: float | None
    """None until the manifest is understood."""
    bitrate_kbps: float | None
    """Of the newest segment."""
    rung: int | None
    rung_count: int
    throughput_kbps: float | None
    stall_count: int
    stalled_s: float
    response_count: int
    edge_hit_count: int

    def position_at(self, now_s: float) -> float:
        if self.state != "playing":
            return self.position_s
        return min(self.position_s + max(0.0, now_s - self.at_s), self.buffered_end_s)


def player_status(
    url: str,
    playback: Playback,
    downloads: Downloads | None,
    tally: Tally,
    meter: ThroughputMeter,
) -> PlayerStatus:
    main = None if downloads is None else downloads.main
    rung = main.last_rung if main is not None and main.last_rung >= 0 else None
    return PlayerStatus(
        at_s=playback.at_s,
        url=url,
        state=playback.state,
        position_s=playback.position_s,
        buffered_end_s=0.0 if downloads is None else downloads.end_s,
        duration_s=None if downloads is None else downloads.title.end_s,
        bitrate_kbps=None if main is None or rung is None else float(main.track.ladder_kbps[rung]),
        rung=rung,
        rung_count=0 if main is None else main.track.rung_count,
        throughput_kbps=meter.next_kbps(),
        stall_count=playback.stall_count,
        stalled_s=playback.stalled_s,
        response_count=tally.response_count,
        edge_hit_count=tally.edge_hit_count,
    )
