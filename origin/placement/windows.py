"""When an edge may fetch for the plan: local hours, as windows of absolute time.

Hours are local by the edge's offset from UTC, which the operator sets: summer time is not known
here, so twice a year the windows are an hour off until the offset is changed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from nearcast.placement import FillWindow

DAY_S: Final = 86_400
HOUR_S: Final = 3_600
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
    texts: Sequence[str], utc_offset_h: float, from_wall_s: float, until_wall_s: float
) -> tuple[FillWindow, ...]:
    """The windows between two times, in order; those that touch or overlap are one."""
    offset_s = utc_offset_h * HOUR_S
    # A window that opened yesterday may still be open.
    first_day = math.floor((from_wall_s + offset_s) / DAY_S) - 1
    last_day = math.floor((until_wall_s + offset_s) / DAY_S)
    spans = sorted(
        (day * DAY_S - offset_s + opens_s, day * DAY_S - offset_s + closes_s)
        for day in range(first_day, last_day + 1)
        for opens_s, closes_s in map(parse_window, texts)
    )
    found: list[tuple[float, float]] = []
    for opens, closes in spans:
        start_s, end_s = max(opens, from_wall_s), min(closes, until_wall_s)
        if start_s >= end_s:
            continue
        if found and start_s <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end_s))
        else:
            found.append((start_s, end_s))
    return tuple(
        FillWindow(from_wall_s=start_s, until_wall_s=end_s)
        for start_s, end_s in found[:WINDOWS_MAX]
    )


def open_s(windows: Sequence[FillWindow]) -> float:
    """How long they are open together."""
    return sum(window.until_wall_s - window.from_wall_s for window in windows)
