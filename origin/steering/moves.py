"""Why a client leaves the edge it is at, and for which: the first reason that holds.

A reason looks at the client's place and gives the edge it should be at, or None. Adding one is a
function here (or in a file of its own) and a line in `MOVES`, after `out`; it is counted by its
name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from origin.steering.choice import faster_place
from origin.steering.networks import NEARNESSES
from origin.steering.ranking import is_shed, is_welcome
from origin.steering.rules import Candidate
from origin.steering.tried import Tried
from origin.steering.wish import Wish


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a client is, among what is near it, the best first; there is at least one."""

    here: Candidate | None
    """None: nowhere that a player may be."""
    is_new: bool
    """It comes from home."""
    near: Sequence[Candidate]
    wish: Wish
    tried: tuple[Tried, ...]
    wall_s: float

    @property
    def edge(self) -> Candidate:
        """Where it is, for those who ask after `out` did."""
        assert self.here is not None
        return self.here

    @property
    def others(self) -> list[Candidate]:
        """Those that are well, but for its own."""
        return [each for each in self.near if each is not self.here and each.standing == "good"]


class Move(NamedTuple):
    name: str
    to: Callable[[Place], Candidate | None]
    is_pushed: bool
    """The edge that is left comes last of those offered."""


def _new(place: Place) -> Candidate | None:
    return place.near[0] if place.here is None and place.is_new else None


def _out(place: Place) -> Candidate | None:
    best = place.near[0]
    if place.here is None:
        return best
    is_suspect = place.here.standing == "suspect"
    return best if is_suspect and best.standing != "suspect" else None


def _shed(place: Place) -> Candidate | None:
    others = place.others
    return others[0] if others and is_shed(place.edge.edge, place.wish) else None


def _nearer(place: Place) -> Candidate | None:
    best = place.near[0]
    is_nearer = NEARNESSES.index(best.nearness) < NEARNESSES.index(place.edge.nearness)
    is_open = best.standing == "good" and is_welcome(best.edge, place.wish)
    return best if is_nearer and is_open else None


def _slow(place: Place) -> Candidate | None:
    equals = [each for each in place.others if each.nearness == place.edge.nearness]
    faster = faster_place(place.tried, [each.edge.edge for each in equals], place.wall_s)
    return next((each for each in equals if each.edge.edge == faster), None)


MOVES: Final = (
    Move("new", _new, is_pushed=False),
    Move("out", _out, is_pushed=False),
    Move("shed", _shed, is_pushed=True),
    Move("nearer", _nearer, is_pushed=False),
    Move("slow", _slow, is_pushed=True),
)
