"""GDSF: a price per byte, and an inflation that lets old prices fall behind."""

from __future__ import annotations

import heapq
from typing import Annotated

import msgspec

from nearcast.config import Section


class GdsfParams(Section, frozen=True, kw_only=True):
    """`cost_per_byte`: fetching an object costs 1 and this for each of its bytes. 0, the published
    form, spares requests: small objects stay, and byte hits suffer. 1e-6: a megabyte costs as
    much as a request does. `newcomers_compete`: an object that saves less than those that would
    have to go for it is not taken in, as published; False takes it, for fewer bytes missed:
    docs/results/cache.md."""

    cost_per_byte: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    newcomers_compete: bool = True


class _Entry:
    __slots__ = ("is_held", "object_id", "priority", "sequence_no", "size_bytes", "use_count")

    def __init__(self, object_id: str, size_bytes: int) -> None:
        self.object_id = object_id
        self.size_bytes = size_bytes
        self.use_count = 0
        self.priority = 0.0
        self.sequence_no = 0
        self.is_held = True


class Gdsf:
    """Evict what saves least per byte: uses x fetch cost / size, on top of the last victim's level.

    Each use sets an object's priority to that level plus its own worth, so that what was popular
    once is overtaken. Of equals, the one used longest ago goes. A use costs O(1): priorities only
    rise, so the heap keeps an object's old one as a lower bound until it surfaces; an eviction
    costs O(log n), amortised.
    Source: Cherkasova, "Improving WWW Proxies Performance with Greedy-Dual-Size-Frequency Caching
    Policy", HP Laboratories HPL-98-69R1, 1998.
    """

    def __init__(self, capacity_bytes: int, params: GdsfParams | None = None) -> None:
        del capacity_bytes  # the order does not depend on it
        params = params or GdsfParams()
        self._cost_per_byte = params.cost_per_byte
        self._newcomers_compete = params.newcomers_compete
        self._entries: dict[str, _Entry] = {}
        self._heap: list[tuple[float, int, _Entry]] = []  # lowest first, one each, and removed ones
        self._level = 0.0
        self._newcomer_level: float | None = None  # before anything is evicted for it
        self._sequence_no = 0

    def takes(self, size_bytes: int, room_bytes: int) -> bool:
        if not self._newcomers_compete:
            return True
        self._newcomer_level = self._level
        priority = self._level + self._worth_per_use(size_bytes)
        is_taken = True
        seen: list[tuple[float, int, _Entry]] = []
        while is_taken and room_bytes < size_bytes and len(seen) < len(self._entries):
            entry = self._pop()
            seen.append((entry.priority, entry.sequence_no, entry))
            is_taken = entry.priority <= priority
            room_bytes += entry.size_bytes
        for item in seen:
            heapq.heappush(self._heap, item)
        if not is_taken:
            self._level = priority  # as if it had been taken in and let go of
            self._newcomer_level = None
        return is_taken

    def insert(self, object_id: str, size_bytes: int) -> None:
        assert object_id not in self._entries, object_id
        entry = self._entries[object_id] = _Entry(object_id, size_bytes)
        level = self._level if self._newcomer_level is None else self._newcomer_level
        self._newcomer_level = None
        self._use(entry, level)
        heapq.heappush(self._heap, (entry.priority, entry.sequence_no, entry))

    def hit(self, object_id: str) -> None:
        self._use(self._entries[object_id], self._level)

    def remove(self, object_id: str) -> None:
        self._entries.pop(object_id).is_held = False
        if len(self._heap) > 2 * len(self._entries) + 64:
            self._heap = [item for item in self._heap if item[2].is_held]
            heapq.heapify(self._heap)

    def victim(self) -> str:
        entry = self._pop()
        # Newcomers that were refused may have raised it above what lies lowest here.
        self._level = max(self._level, entry.priority)
        del self._entries[entry.object_id]
        return entry.object_id

    def __len__(self) -> int:
        return len(self._entries)

    def _use(self, entry: _Entry, level: float) -> None:
        self._sequence_no += 1
        entry.sequence_no = self._sequence_no
        entry.use_count += 1
        entry.priority = level + entry.use_count * self._worth_per_use(entry.size_bytes)

    def _worth_per_use(self, size_bytes: int) -> float:
        """Empty objects count as one byte."""
        return 1 / (size_bytes or 1) + self._cost_per_byte

    def _pop(self) -> _Entry:
        """Take the object of the lowest priority out of the heap; one at least is held."""
        while True:
            _, sequence_no, entry = self._heap[0]
            if not entry.is_held:
                heapq.heappop(self._heap)
            elif entry.sequence_no != sequence_no:
                heapq.heapreplace(self._heap, (entry.priority, entry.sequence_no, entry))
            else:
                heapq.heappop(self._heap)
                return entry
