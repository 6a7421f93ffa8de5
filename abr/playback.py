"""Where playback is at any moment, without ticking.

startup -> playing <-> stalled, and any of them -> ended. Between events the position is a linear
function of time; `advance` finds the exact moment at which the data or the viewer's patience ran
out, however late it is called. Every second from the start is counted once: as start-up, played or
stalled.
"""

from __future__ import annotations

from typing import Literal

from abr.holes import Holes

PlaybackState = Literal["startup", "playing", "stalled", "ended"]

TIME_S_TOLERANCE = 1e-7
"""Moments closer than this are one: sums of floats do not meet exactly, least of all when the clock
has run for months."""
STALL_S_MIN = 0.001
"""Shorter interruptions are seen by nobody and not counted, though their time is."""


class Playback:
    """Position and the ledger of time. `stop_at_s` is the position at which it ends by itself."""

    def __init__(self, now_s: float) -> None:
        self.state: PlaybackState = "startup"
        self.position_s = 0.0
        self.startup_s = 0.0
        self.stalled_s = 0.0
        self.stall_count = 0
        self.has_started = False
        """The first picture was shown."""
        self.stop_at_s = float("inf")
        self.holes = Holes()
        """Nobody has what is in them; the position jumps over them in no time."""
        self._at_s = now_s
        self._stall_s = 0.0

    @property
    def played_s(self) -> float:
        return self.position_s - self.skipped_s

    @property
    def skipped_s(self) -> float:
        return self.holes.width_s(0.0, self.position_s)

    def advance(self, now_s: float, buffered_end_s: float) -> None:
        """Move to `now_s`; media is there up to `buffered_end_s`."""
        span_s = max(0.0, now_s - self._at_s)
        self._at_s = max(now_s, self._at_s)
        if self.state == "startup":
            self.startup_s += span_s
        elif self.state == "stalled":
            self._add_stall(span_s)
        elif self.state == "playing":
            self._play(span_s, buffered_end_s)

    def _play(self, span_s: float, buffered_end_s: float) -> None:
        end_s = self.holes.playable_end_s(min(buffered_end_s, self.stop_at_s))
        room_s = self.media_s(end_s)
        if span_s < room_s - TIME_S_TOLERANCE:
            self.position_s = self.holes.after(self.position_s, span_s)
            return
        self.position_s = max(end_s, self.position_s)
        if self.position_s >= self.stop_at_s - TIME_S_TOLERANCE:
            self._at_s -= max(0.0, span_s - room_s)  # nothing is counted after the end
            self.state = "ended"
        else:
            self.state = "stalled"
            self._add_stall(max(0.0, span_s - room_s))

    def _add_stall(self, span_s: float) -> None:
        was_counted = self._stall_s > STALL_S_MIN
        self._stall_s += span_s
        self.stalled_s += span_s
        if not was_counted and self._stall_s > STALL_S_MIN:
            self.stall_count += 1

    def play(self) -> None:
        """Start or go on, from the moment last advanced to."""
        assert self.state in ("startup", "stalled"), self.state
        self.state = "playing"
        self.has_started = True
        self._stall_s = 0.0

    def end(self) -> None:
        """Over at the moment last advanced to."""
        self.state = "ended"

    @property
    def at_s(self) -> float:
        """The moment last advanced to; after the end, the moment of the end."""
        return self._at_s

    def due_s(self, buffered_end_s: float) -> float | None:
        """When data or title run out, or None when not playing."""
        return self.reaches_s(min(buffered_end_s, self.stop_at_s))

    def reaches_s(self, position_s: float) -> float | None:
        """When playback gets to `position_s` if nothing stops it, or None when not playing."""
        if self.state != "playing":
            return None
        return self._at_s + max(0.0, self.media_s(self.holes.playable_end_s(position_s)))

    def media_s(self, end_s: float) -> float:
        """How long it takes to play from the position to `end_s`."""
        return end_s - self.position_s - self.holes.width_s(self.position_s, end_s)
