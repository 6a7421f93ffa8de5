"""When an edge may fetch for the plan: local hours, as windows of absolute time.

A window is open at each moment at which clocks at the edge show a time within it. So where clocks
are put forward over it there is less of it that night, or none; where they are put back over it,
the hour that comes twice counts twice. Never is it open at a time that clocks do not show.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from nearcast.local_time import LocalTime, Span
from nearcast.placement import FillWindow
from nearcast.units import DAY_S, HOUR_S

WINDOWS_MAX: Final = 64
"""As many as a plan may have; those of later days are left out."""

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")


def parse_window(text: str) -> tuple[int, int]:
    """Seconds of the local day at which a window such as `22:30-06:00` opens and closes; one that
    closes no later than it opens goes over midnight. Raises ValueError."""
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r}: write a window of local hours as 02:00-08:00")
    hours = [int(group) for group in match.groups()]
    opens_s = hours[0] * HOUR_S + hours[1] * 60
    closes_s = hours[2] * HOUR_S + hours[3] * 60
    if closes_s > DAY_S:
        raise ValueError(f"{text!r}: a day ends at 24:00")
    return opens_s, closes_s if closes_s > opens_s else closes_s + DAY_S


def fill_windows(
    texts: Sequence[str], clock: LocalTime, from_wall_s: float, until_wall_s: float
) -> tuple[FillWindow, ...]:
    """The windows between two times, in order; those that touch or overlap are one."""
    hours = [parse_window(text) for text in texts]
    found: list[tuple[float, float]] = []
    for start_s, end_s in (
        opened for span in clock.spans(from_wall_s, until_wall_s) for opened in _within(span, hours)
    ):
        if found and start_s <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end_s))
        else:
            found.append((start_s, end_s))
    return tuple(
        FillWindow(from_wall_s=start_s, until_wall_s=end_s)
        for start_s, end_s in found[:WINDOWS_MAX]
    )


def _within(span: Span, hours: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    """What of a time over which clocks are not set is within these hours, by when it begins."""
    # A window that opened yesterday may still be open.
    first_day = math.floor((span.from_wall_s + span.offset_s) / DAY_S) - 1
    last_day = math.floor((span.until_wall_s + span.offset_s) / DAY_S)
    opened = (
        (
            max(day * DAY_S - span.offset_s + opens_s, span.from_wall_s),
            min(day * DAY_S - span.offset_s + closes_s, span.until_wall_s),
        )
        for day in range(first_day, last_day + 1)
        for opens_s, closes_s in hours
    )
    return sorted((start_s, end_s) for start_s, end_s in opened if start_s < end_s)


def open_s(windows: Sequence[FillWindow]) -> float:
    """How long they are open together."""
    return sum(window.until_wall_s - window.from_wall_s for window in windows)
