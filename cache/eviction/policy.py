"""What an eviction policy promises.

A policy orders the objects it was told of and names the next to go. It decides nothing else: what
is stored, how much room there is and what is exempt (pinned or prefetched objects) is known to
`cache.index.Index` alone, which keeps exempt objects out of the policy altogether; prefetched ones
are not exempt from a policy that is told what to expect (`Expecting`). Every policy in the table
runs the contract suite in tests/property/test_cache_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec

from nearcast.config import Section

if TYPE_CHECKING:
    from cache.eviction.hopes import Hopes

GHOST_COUNT_MAX = 1_000_000
"""Bounds a list of evicted ids (about 200 bytes an entry) where objects are tiny."""


class EvictionPolicy(Protocol):
    """An order among resident objects. Deterministic; no method is told the time, see Expecting."""

    def takes(self, size_bytes: int, room_bytes: int) -> bool:
        """Whether an object of that size is worth the objects that may have to go for it, with so
        much room free. Asked before anything is evicted; most policies always say yes."""

    def insert(self, object_id: str, size_bytes: int) -> None:
        """Take in an object that is not held; `size_bytes` > 0."""

    def hit(self, object_id: str) -> None:
        """A held object was used."""

    def remove(self, object_id: str) -> None:
        """A held object left for a reason of its own: leave no memory of it."""

    def victim(self) -> str:
        """Let one object go and say which. Called only while at least one is held."""

    def __len__(self) -> int:
        """How many objects are held."""


class Belonging(msgspec.Struct, frozen=True, kw_only=True):
    """What an object is part of, for policies that expect something of it."""

    group: Hashable
    is_told: bool = False
    """Whoever asks for the group is told of; else the requests for its objects are counted."""


@runtime_checkable
class Expecting(EvictionPolicy, Protocol):
    """A policy that orders by what is expected; prefetched objects are ordered with all others.

    Whoever knows something says so to `hopes`. The index says what time it is and what belongs
    together; the policies that are no more than an EvictionPolicy are told neither.
    """

    hopes: Hopes
    now_s: float
    """Set before whatever depends on it."""

    def insert_of(self, object_id: str, belonging: Belonging, *, is_prefetch: bool) -> None:
        """As `insert`, of an object that is part of something, or that nobody has asked for."""

    def regroup(self, object_id: str, belonging: Belonging) -> None:
        """It is known now what a held object is part of."""

    def unused_victim(self) -> str | None:
        """As `victim`, of the prefetched objects that nobody has used; None: there is none."""

    def surpasses(self, group: Hashable) -> bool:
        """Whether some prefetched object that nobody has used is worth clearly less than one of
        this group would be."""

    def kept_s(self, probabilities: Sequence[float]) -> float:
        """How long an unused prefetch stays that is asked for with these probabilities per horizon
        (nearcast.horizons), as far as the last victims tell."""


class EvictionPart(msgspec.Struct, frozen=True):
    """A policy and the struct of its parameters; `build` is given the tier's bytes and those."""

    params: type[Section]
    build: Callable[[int, Any], EvictionPolicy]
