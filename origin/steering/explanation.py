"""Why an edge is where it is in a steering answer."""

from __future__ import annotations

import msgspec

from origin.steering.networks import Nearness
from origin.steering.rules import Candidate, Standing, said_of


class EdgePlace(msgspec.Struct, frozen=True, kw_only=True):
    """Why an edge is where it is in an answer, or not in it."""

    edge: str
    place: int | None = None
    """From 1; None: it is not offered."""
    reason: str
    nearness: Nearness
    standing: Standing
    holds_title: bool
    load_share: float
    is_slower: bool = False
    """Than another edge, as clients of the same network measured."""


def place_of(each: Candidate, place: int | None, reason: str) -> EdgePlace:
    return EdgePlace(
        edge=each.edge.edge,
        place=place,
        reason=reason,
        nearness=each.nearness,
        standing=each.standing,
        holds_title=each.holds,
        load_share=each.edge.load_share,
        is_slower=each.is_slower,
    )


def why(each: Candidate, index: int, current: str) -> str:
    said = [*said_of(each)]
    if each.edge.edge == current:
        said.insert(1, "the client is there" if index == 0 else "the client is moved from there")
    return ", ".join(said)
