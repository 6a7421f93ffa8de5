"""The clocks of edges' viewers, by which plans' windows are reckoned."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from nearcast.fleet import EdgeProfile
from nearcast.local_time import LocalTime, fixed
from nearcast.zones import local_time, zone_names

logger = logging.getLogger(__name__)


class Clocks:
    """Asked whenever a plan is made.

    A zone that is not known here, of an edge with a newer `tzdata`, is no reason to turn the edge
    away: the offset that it says beside it is right for a part of the year.
    """

    def __init__(self) -> None:
        self._told: frozenset[str] = frozenset()

    def of(self, profiles: Mapping[str, EdgeProfile]) -> dict[str, LocalTime]:
        """By edge. A zone takes 10 ms when it is first asked for: call it in a thread."""
        unknown = {edge: one for edge, one in profiles.items() if is_unknown(one)}
        for edge, one in unknown.items():
            if edge not in self._told:
                logger.warning(
                    "fleet.zone_unknown edge=%s zone=%s offset_h=%.2f; its windows go by the "
                    "offset until this origin has a package tzdata that knows the zone",
                    edge, one.time_zone, one.utc_offset_h,
                )  # fmt: skip
        self._told = frozenset(unknown)
        return {
            edge: local_time(one.time_zone)
            if one.time_zone and edge not in unknown
            else fixed(one.utc_offset_h)
            for edge, one in profiles.items()
        }


def is_unknown(profile: EdgeProfile) -> bool:
    """Whether it names a zone that is not known here."""
    return bool(profile.time_zone) and profile.time_zone not in zone_names()


def unknown_count(profiles: Iterable[EdgeProfile]) -> int:
    return sum(is_unknown(one) for one in profiles)
