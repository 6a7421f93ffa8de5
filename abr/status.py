"""A player at a glance, for a live line."""

from __future__ import annotations

import msgspec

from abr.playback import PlaybackState


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
