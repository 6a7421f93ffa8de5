"""The clocks of the IANA's time zones, by name.

The rules are those of the package `tzdata`, which comes with Nearcast, and never the system's: so
two nodes of one version reckon alike, and a slim container knows the zones too. New rules come with
a newer `tzdata`. Files are read here, so cores are given what this returns (nearcast.local_time).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from nearcast.errors import InputError
from nearcast.local_time import LocalTime, fixed
from nearcast.units import HOUR_S

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

FROM_WALL_S: Final = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
UNTIL_WALL_S: Final = datetime(2080, 1, 1, tzinfo=UTC).timestamp()
"""Changes before and after are left out: clocks go on as at the first or the last moment."""
STEP_S: Final = 6 * 86_400.0
"""How far apart offsets are looked at. zoneinfo does not say when clocks are set; nowhere was that
twice within so many days since 1970, so each change is seen, and found by halving."""
GUESSES_MAX: Final = 3


@cache
def zone_names() -> frozenset[str]:
    return frozenset(_package().joinpath("zones").read_text("ascii").split())


@cache  # of no more than there are names
def local_time(name: str) -> LocalTime:
    """The clocks of a zone; the first time takes 10 ms. Raises InputError when there is none."""
    if name not in zone_names():
        raise InputError(_unknown(name))
    with _package().joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        zone = ZoneInfo.from_file(file, key=name)
    offsets_s, changes_wall_s = [_offset_s(zone, FROM_WALL_S)], []
    wall_s = FROM_WALL_S
    while wall_s < UNTIL_WALL_S:
        next_s = min(wall_s + STEP_S, UNTIL_WALL_S)
        offset_s = _offset_s(zone, next_s)
        if offset_s != offsets_s[-1]:
            changes_wall_s.append(_change_s(zone, wall_s, next_s))
            offsets_s.append(offset_s)
        wall_s = next_s
    return LocalTime(tuple(offsets_s), tuple(changes_wall_s))


def _package() -> Traversable:
    from importlib import resources  # 15 ms, which nobody pays who names no zone

    return resources.files("tzdata")


def viewers_time(time_zone: str | None, utc_offset_h: float | None) -> LocalTime:
    """As settings say it: a zone, or an offset for all the year; UTC if they say neither. Raises
    InputError."""
    return local_time(time_zone) if time_zone is not None else fixed(utc_offset_h or 0.0)


def stated(time_zone: str, utc_offset_h: float | None, wall_s: float) -> tuple[str, float]:
    """The zone and the offset of a profile: beside a zone the offset that holds now, for an origin
    that does not know the zone; right until clocks are set next. Raises InputError."""
    if not time_zone:
        return "", utc_offset_h or 0.0
    if utc_offset_h is not None:
        raise InputError("a time zone and an offset to UTC exclude each other: give the zone alone")
    return time_zone, local_time(time_zone).offset_s(wall_s) / HOUR_S


def _offset_s(zone: ZoneInfo, wall_s: float) -> float:
    offset = datetime.fromtimestamp(wall_s, zone).utcoffset()
    assert isinstance(offset, timedelta), "zones know their offset"
    return offset.total_seconds()


def _change_s(zone: ZoneInfo, before_s: float, after_s: float) -> float:
    """The first whole second with the offset of `after_s`."""
    offset_s = _offset_s(zone, after_s)
    while after_s - before_s > 1.0:
        middle_s = (before_s + after_s) // 2
        if _offset_s(zone, middle_s) == offset_s:
            after_s = middle_s
        else:
            before_s = middle_s
    return after_s


def _unknown(name: str) -> str:
    import difflib

    by_place = {each.rpartition("/")[2].lower(): each for each in sorted(zone_names())}
    wanted = name.rpartition("/")[2].lower().replace(" ", "_")
    near = difflib.get_close_matches(wanted, by_place, GUESSES_MAX)
    guesses = ", ".join(by_place[place] for place in near) or "Europe/Berlin"
    return (
        f"there is no time zone {name!r}; write one of the IANA's names, such as {guesses} "
        "(newer zones come with a newer package tzdata)"
    )
