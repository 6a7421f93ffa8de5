"""Where segments begin.

A segment begins with the first picture at or after each multiple of the segment duration, so all
rungs cut at the same pictures whatever the frame rate, and nothing drifts. Where the source shows
one picture for so long that a segment would be missing (a slide, a frozen camera), that picture is
repeated at the boundary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from origin.catalog import VIDEO_HZ

# Timestamps of 1 ms resolution (Matroska, FLV) may lie up to this far before the true time.
_EARLY_TICKS: Final = VIDEO_HZ // 200


class Placed(msgspec.Struct, frozen=True):
    """A picture to encode at `pts`; `is_repeat`: the one before is shown again."""

    pts: int
    is_start: bool
    is_repeat: bool


class Boundaries:
    """Decides for a rising series of picture times which of them start a segment."""

    def __init__(self, segment_duration_s: float) -> None:
        self._segment_ticks = round(segment_duration_s * VIDEO_HZ)
        self._next = 0
        self.starts: list[int] = []

    def place(self, pts: int) -> Iterator[Placed]:
        """What to encode for the picture at `pts`, in order."""
        while self.starts and pts >= self._next + self._segment_ticks // 2:
            yield self._start(self._next, is_repeat=True)
        if not self.starts or pts >= self._next - _EARLY_TICKS:
            yield self._start(pts, is_repeat=False)
        else:
            yield Placed(pts, is_start=False, is_repeat=False)

    def hold(self, last_pts: int, end: int, interval: int) -> Iterator[Placed]:
        """Show the last picture on until `end`."""
        while self._next < end - interval:
            yield self._start(self._next, is_repeat=True)
        if end - interval > max(last_pts, self.starts[-1]):
            yield Placed(end - interval, is_start=False, is_repeat=True)

    def _start(self, pts: int, *, is_repeat: bool) -> Placed:
        self.starts.append(pts)
        self._next = ((pts + _EARLY_TICKS) // self._segment_ticks + 1) * self._segment_ticks
        return Placed(pts, is_start=True, is_repeat=is_repeat)
