"""What puts one edge before another for a client, the weightiest first.

A rule gives a candidate a number, the least of which comes first, and says in words what it was,
where that is worth a word. Adding one is a function pair here (or in a file of its own) and a line
in `RULES`: the ranking sorts by the table, and explanations are written from it. What a rule must
know of the client, rather than of the edge, is in its `Wish`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import msgspec

from origin.fleet import WatchedEdge
from origin.steering.networks import NEARNESSES, Nearness
from origin.steering.wish import Wish

Standing = Literal["good", "strained", "suspect"]
_STANDINGS: Final[tuple[Standing, ...]] = ("good", "strained", "suspect")


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An edge that may be offered to a client."""

    edge: WatchedEdge
    nearness: Nearness
    standing: Standing
    holds: bool
    draw: float
    """The greater, the sooner. Drawn for many edges at once."""


class Rule(NamedTuple):
    key: Callable[[Candidate, Wish], float]
    says: Callable[[Candidate, Wish], str]


def _silent(each: Candidate, wish: Wish) -> str:
    return ""


def _is_slower(each: Candidate, wish: Wish) -> bool:
    return each.edge.edge in wish.slower


RULES: Final = (
    Rule(
        lambda each, wish: _STANDINGS.index(each.standing),
        lambda each, wish: "" if each.standing == "good" else each.standing,
    ),
    # In every explanation anyway.
    Rule(lambda each, wish: NEARNESSES.index(each.nearness), _silent),
    Rule(
        _is_slower,
        lambda each, wish: "slower for its network than another" if _is_slower(each, wish) else "",
    ),
    Rule(
        lambda each, wish: not each.holds,
        lambda each, wish: "holds the title" if each.holds else "",
    ),
    Rule(lambda each, wish: -each.draw, _silent),
)


def order_of(each: Candidate, wish: Wish) -> tuple[float, ...]:
    """The least comes first."""
    return tuple(rule.key(each, wish) for rule in RULES)


def said_of(each: Candidate, wish: Wish) -> tuple[str, ...]:
    """What the rules say of it."""
    return tuple(filter(None, (rule.says(each, wish) for rule in RULES)))
