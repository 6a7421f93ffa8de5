"""The store of a simulated edge: what it holds, what is wrong with it.

As live, a body is checked when it is read from the disk, and not in RAM, where it came from a fill
or from such a reading.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from edge.effects import StoredObject


class Held(msgspec.Struct):
    """A stored object. `text` is there for those that were small enough to be read."""

    stored: StoredObject
    text: bytes | None
    in_memory: bool
    is_damaged: bool = False


class EdgeDisk:
    """Objects by id. Outlives the process that put them there."""

    def __init__(self, *, is_memory_only: bool) -> None:
        self.is_full = False
        self.damaged_served_count = 0
        """Bodies sent although they are damaged: none, ever."""
        self._is_memory_only = is_memory_only
        self._held: dict[str, Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return iter(self._held.values())

    def get(self, object_id: str) -> Held | None:
        return self._held.get(object_id)

    def put(self, held: Held) -> None:
        self._held[held.stored.object_id] = held

    def drop(self, object_id: str) -> None:
        del self._held[object_id]

    def is_readable(self, held: Held) -> bool:
        """Whether its bytes are what was stored."""
        return held.in_memory or not held.is_damaged

    def restart(self) -> tuple[StoredObject, ...]:
        """What a new process finds."""
        if self._is_memory_only:
            self._held.clear()
        for held in self:
            held.in_memory = False
        return tuple(held.stored for held in self)

    def fill_up(self, is_full: bool) -> None:
        self.is_full = is_full

    def rot(self, count: int, generator: np.random.Generator) -> None:
        """Damage so many bodies."""
        object_ids = list(self._held)
        for index in generator.permutation(len(object_ids))[:count]:
            self._held[object_ids[int(index)]].is_damaged = True
