"""Who leaves when there is no room for another connection.

One address must not keep all others out: the address that holds the most makes way for one that
holds fewer, and within an address what has been quiet for longest makes way for what is new. What
is at work leaves only for another address's sake.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol, TypeVar


class Held(Protocol):
    """A connection, or one that is about to be."""

    peer: str
    is_busy: bool
    last_s: float
    """When it last did something."""


HeldT = TypeVar("HeldT", bound=Held)


def makes_way(held: Iterable[HeldT], peer: str) -> HeldT | None:
    """Which of `held` leaves for a newcomer from `peer`; None: the newcomer does."""
    held = tuple(held)
    counts = Counter(one.peer for one in held)
    if not counts:
        return None
    crowded, most = max(sorted(counts.items()), key=lambda item: item[1])
    if counts[peer] >= most:
        able = [one for one in held if one.peer == peer and not one.is_busy]
    else:
        able = [one for one in held if one.peer == crowded]
    return min(able, key=lambda one: (one.is_busy, one.last_s), default=None)
