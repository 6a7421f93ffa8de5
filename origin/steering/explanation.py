"""Why an edge is where it is in a steering answer."""

from __future__ import annotations

import msgspec

from origin.steering.networks import Nearness
from origin.steering.rules import Candidate, Standing, said_of
from origin.steering.wish import Wish


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


def place_of(each: Candidate, place: int | None, reason: str) -> EdgePlace:
    return EdgePlace(
        edge=each.edge.edge,
        place=place,
        reason=reason,
        nearness=each.nearness,
        standing=each.standing,
        holds_title=each.holds,
        load_share=each.edge.load_share,
    )


def why(each: Candidate, wish: Wish, index: int, current: str) -> str:
    """Of an edge that is offered; `current` is where the client is."""
    said: list[str] = [each.nearness]
    if each.edge.edge == current:
        said.append("the client is there" if index == 0 else "the client is moved from there")
    return ", ".join((*said, *said_of(each, wish)))
