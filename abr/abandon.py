"""When a segment under way should be given up for a lower rung.

The segment's own progress is extrapolated: what is left, at the rate so far. It is late when that
is more than playback can wait. Then the highest lower rung that would still be in time, fetched
from scratch, is taken; where none would be, the lowest, if it comes clearly sooner than the rest
of this one. A transfer that has stopped bringing bytes looks slower by the second, so the moment
at which it becomes late is known in advance, and nobody has to poll for it.
"""

from __future__ import annotations

import msgspec

from abr.view import Floats

WORTHWHILE_RATIO = 0.8
"""Where nothing is in time, the lowest rung must take less than this share of the rest."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A segment under way. `first_s` is when its first `first_bytes` came."""

    rung: int
    sent_s: float
    first_s: float
    first_bytes: int
    received_bytes: int
    size_bytes: float

    @property
    def left_bytes(self) -> float:
        return max(0.0, self.size_bytes - self.received_bytes)

    def timed(self) -> tuple[float, float]:
        """Bytes, and since when they came. All since the request while only the first read is
        here."""
        timed_bytes = self.received_bytes - self.first_bytes
        if timed_bytes > 0:
            return timed_bytes, self.first_s
        return self.received_bytes, self.sent_s

    def left_s(self, now_s: float) -> float:
        timed_bytes, since_s = self.timed()
        return self.left_bytes * (now_s - since_s) / timed_bytes


def lower_rung(
    progress: Progress, now_s: float, *, patience_s: float, sizes_bytes: Floats, ttfb_s: float
) -> int | None:
    """The rung to fetch instead, or None to go on. `patience_s`: how long playback can wait.

    `sizes_bytes` (rungs,) is this segment at each rung.
    """
    left_s = progress.left_s(now_s)
    timed_bytes, since_s = progress.timed()
    if progress.rung == 0 or left_s <= patience_s or now_s <= since_s:
        return None
    again_s = ttfb_s + sizes_bytes[: progress.rung] * (now_s - since_s) / timed_bytes
    for rung in range(progress.rung - 1, -1, -1):
        if again_s[rung] <= patience_s:
            return rung
    return 0 if again_s[0] < WORTHWHILE_RATIO * left_s else None


def late_s(progress: Progress, now_s: float, *, patience_s: float, is_shrinking: bool) -> float:
    """When the segment becomes late if no more bytes come. `is_shrinking`: playback goes on, so the
    patience at `now_s` is used up by then."""
    timed_bytes, since_s = progress.timed()
    ratio = progress.left_bytes / timed_bytes
    if ratio <= 0:
        return float("inf")
    if is_shrinking:
        return (patience_s + now_s + ratio * since_s) / (1.0 + ratio)
    return since_s + patience_s / ratio
