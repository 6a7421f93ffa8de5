"""What happened in a session, segment by segment: enough to draw it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

LOW_SHARE = 0.1
"""Of outcomes expected below a forecast's `low_kbps`, and as many above `high_kbps`."""


class SegmentMark(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that came. Times are from the start of the session."""

    asked_s: float
    here_s: float
    duration_s: float
    rung: int
    kbps: float
    """From first byte to last."""
    is_hit: bool = False
    """An edge had it in its store."""
    abandon_count: int = 0
    """Attempts at it given up before."""


class ForecastMark(msgspec.Struct, frozen=True, kw_only=True):
    """What a controller expected at `at_s` of the transfer it was about to ask for."""

    at_s: float
    low_kbps: float
    median_kbps: float
    high_kbps: float


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """One session."""

    caption: str
    ladder_kbps: tuple[float, ...]
    buffer_s_max: float
    startup_s: float
    """When playback began."""
    segments: tuple[SegmentMark, ...]
    """Of the track that adapts, in order."""
    stalls: tuple[tuple[float, float], ...]
    """From when to when playback stood still after its start."""
    link: tuple[tuple[float, float], ...] = ()
    """From each time on, what the link carried (kbit/s), where that is known."""
    forecasts: tuple[ForecastMark, ...] = ()

    @property
    def end_s(self) -> float:
        """When the last segment was here."""
        return max((each.here_s for each in self.segments), default=0.0)


def buffer_points(timeline: Timeline) -> list[tuple[float, float]]:
    """The buffer over time as a broken line: it falls while playing, and jumps up by each segment.

    Playing stops before the start, within stalls, and when nothing is left.
    """
    still = [(0.0, timeline.startup_s), *timeline.stalls]
    arrivals = {each.here_s: 0.0 for each in timeline.segments}
    for each in timeline.segments:
        arrivals[each.here_s] += each.duration_s
    bends = {bend_s for span in still for bend_s in span if bend_s <= timeline.end_s}
    moments = sorted({0.0, *arrivals, *bends})
    points = [(0.0, 0.0)]
    level_s = arrivals.get(0.0, 0.0)
    if level_s > 0:
        points.append((0.0, level_s))
    for since_s, now_s in pairwise(moments):
        if not _is_within(still, since_s, now_s):
            empty_s = since_s + level_s
            if empty_s < now_s:
                points.append((empty_s, 0.0))
            level_s = max(level_s - (now_s - since_s), 0.0)
        points.append((now_s, level_s))
        if now_s in arrivals:
            level_s += arrivals[now_s]
            points.append((now_s, level_s))
    return points


def _is_within(spans: Sequence[tuple[float, float]], start_s: float, end_s: float) -> bool:
    middle_s = (start_s + end_s) / 2.0
    return any(first_s <= middle_s <= last_s for first_s, last_s in spans)
