"""What is downloaded: per track, contiguous from the start of the title."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from abr.holes import Holes


class Held(msgspec.Struct, frozen=True):
    """A stretch of one track that is here, and the rung it came at."""

    start_s: float
    end_s: float
    rung: int
    size_bytes: int

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


class TrackBuffer:
    """One track's media. `is_complete` once its last segment is here. `holes` are the title's, and
    nothing to play."""

    def __init__(self, holes: Holes | None = None) -> None:
        self.holes = Holes() if holes is None else holes
        self.end_s = 0.0
        self.is_complete = False
        self.held: list[Held] = []
        """Everything that ever was here, in order: played parts stay for the report."""

    def append(self, end_s: float, rung: int, *, size_bytes: int, is_last: bool) -> None:
        """A segment is here that reaches `end_s`; what overlaps the end so far is left out."""
        if end_s > self.end_s:
            self.held.append(Held(self.end_s, end_s, rung, size_bytes))
            self.end_s = end_s
        self.is_complete = self.is_complete or is_last

    def skip(self, end_s: float, *, is_last: bool) -> None:
        """Nothing will be here up to `end_s`."""
        if end_s > self.end_s:
            self.holes.add(self.end_s, end_s)
            self.end_s = end_s
        self.is_complete = self.is_complete or is_last

    def ahead_s(self, position_s: float) -> float:
        missing_s = self.holes.width_s(position_s, self.end_s)
        return max(0.0, self.end_s - position_s - missing_s)


def buffered_end_s(buffers: Iterable[TrackBuffer], title_end_s: float) -> float:
    """Up to where all tracks can be played. A track that ends before the others holds nobody up."""
    ends = [title_end_s if b.is_complete else min(b.end_s, title_end_s) for b in buffers]
    return min(ends, default=0.0)
