"""What an eviction policy promises.

A policy orders the objects it was told of and names the next to go. It decides nothing else: what
is stored, how much room there is and what is exempt (pinned or prefetched objects) is known to
`cache.index.Index` alone, which keeps exempt objects out of the policy altogether. Every policy
in the table runs the contract suite in tests/property/test_cache_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from nearcast.config import Section

GHOST_COUNT_MAX = 1_000_000
"""Bounds a list of evicted ids (about 200 bytes an entry) where objects are tiny."""


class EvictionPolicy(Protocol):
    """An order among resident objects. Deterministic; no method is told the time."""

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


class EvictionPart(msgspec.Struct, frozen=True):
    """A policy and the struct of its parameters; `build` is given the tier's bytes and those."""

    params: type[Section]
    build: Callable[[int, Any], EvictionPolicy]
