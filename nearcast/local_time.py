"""Local time at one place: how far its clocks are from UTC, and when that changes.

A clock is a table of changes, plain numbers: whoever decides by local hours is given one, and needs
neither the rules of time zones nor a file. `nearcast.zones` makes it from the name of a zone.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import Annotated, Final

import msgspec

from nearcast.units import HOUR_S

ZoneName = Annotated[
    str, msgspec.Meta(max_length=64, pattern=r"^([A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*)?$(?!\n)")
]
"""Such as `Europe/Berlin`, of the IANA's time zones; empty: none is said."""


class LocalTime(msgspec.Struct, frozen=True):
    """Make it with `fixed`, or with `nearcast.zones.local_time`."""

    offsets_s: tuple[float, ...]
    """Local time less UTC: the first from ever, each other from its change on."""
    changes_wall_s: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        assert len(self.offsets_s) == len(self.changes_wall_s) + 1

    def offset_s(self, wall_s: float) -> float:
        """At a moment."""
        return self.offsets_s[bisect_right(self.changes_wall_s, wall_s)]

    def local_s(self, wall_s: float) -> float:
        """What clocks there show, in seconds since their own 1 January 1970."""
        return wall_s + self.offset_s(wall_s)

    def change_after(self, wall_s: float) -> float | None:
        """When clocks are set next; None: not any more."""
        index = bisect_right(self.changes_wall_s, wall_s)
        return self.changes_wall_s[index] if index < len(self.changes_wall_s) else None

    def spans(self, from_wall_s: float, until_wall_s: float) -> tuple[Span, ...]:
        """That time, cut where clocks are set."""
        first = bisect_right(self.changes_wall_s, from_wall_s)
        inside = [at for at in self.changes_wall_s[first:] if at < until_wall_s]
        bounds = [from_wall_s, *inside, until_wall_s]
        return tuple(
            Span(begin, end, self.offsets_s[first + index])
            for index, (begin, end) in enumerate(pairwise(bounds))
            if begin < end
        )


class Span(msgspec.Struct, frozen=True):
    """Some time over which clocks are not set."""

    from_wall_s: float
    until_wall_s: float
    offset_s: float


def fixed(utc_offset_h: float) -> LocalTime:
    """Clocks that are never set."""
    return LocalTime((utc_offset_h * HOUR_S,))


UTC: Final = fixed(0.0)
