"""What puts one edge before another for a client, the weightiest first.

A rule gives a candidate a number, the least of which comes first, and says in words what it was,
where that is worth a word. Adding one is a function pair here (or in a file of its own) and a line
in `RULES`: the ranking sorts by the table, and explanations are written from it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import msgspec

from origin.fleet import WatchedEdge
from origin.steering.networks import NEARNESSES, Nearness

Standing = Literal["good", "strained", "suspect"]
_STANDINGS: Final[tuple[Standing, ...]] = ("good", "strained", "suspect")


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An edge that may be offered to a client, and what rules go by."""

    edge: WatchedEdge
    nearness: Nearness
    standing: Standing
    holds: bool
    is_slower: bool
    """Than another edge, for this client's network."""
    draw: float
    """The greater, the sooner."""

    @property
    def order(self) -> tuple[float, ...]:
        """The least comes first."""
        return tuple(rule.key(self) for rule in RULES)


class Rule(NamedTuple):
    name: str
    key: Callable[[Candidate], float]
    says: Callable[[Candidate], str]


def _silent(each: Candidate) -> str:
    return ""


RULES: Final = (
    Rule(
        "standing",
        lambda each: _STANDINGS.index(each.standing),
        lambda each: "" if each.standing == "good" else each.standing,
    ),
    Rule(
        "nearness",
        lambda each: NEARNESSES.index(each.nearness),
        lambda each: each.nearness,
    ),
    Rule(
        "throughput",
        lambda each: each.is_slower,
        lambda each: "slower for its network than another" if each.is_slower else "",
    ),
    Rule(
        "holds",
        lambda each: not each.holds,
        lambda each: "holds the title" if each.holds else "",
    ),
    Rule("draw", lambda each: -each.draw, _silent),
)


def said_of(each: Candidate) -> tuple[str, ...]:
    """What the rules say of it, the nearness first, as people ask for that."""
    found = [(rule.name != "nearness", rule.says(each)) for rule in RULES]
    return tuple(text for _, text in sorted(found, key=lambda one: one[0]) if text)
