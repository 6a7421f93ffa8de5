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
    __slots__ = ("sequence_no", "size_bytes", "use_count")

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.use_count = 1
        self.sequence_no = 0


class Gdsf:
    """Evict what saves least per byte: uses x fetch cost / size, on top of the last victim's level.

    Each use sets an object's priority to that level plus its own worth, so that what was popular
    once is overtaken. O(log n) a use; the heap keeps outdated entries until they surface or
    outnumber the others. Of equals, the one used longest ago goes.
    Source: Cherkasova, "Improving WWW Proxies Performance with Greedy-Dual-Size-Frequency Caching
    Policy", HP Laboratories HPL-98-69R1, 1998.
    """

    def __init__(self, capacity_bytes: int, params: GdsfParams | None = None) -> None:
        del capacity_bytes  # the order does not depend on it
        self._params = params or GdsfParams()
        self._entries: dict[str, _Entry] = {}
        # Lowest first; an entry counts while its sequence number is its object's.
        self._heap: list[tuple[float, int, str]] = []
        self._level = 0.0
        self._sequence_no = 0

    def takes(self, size_bytes: int, room_bytes: int) -> bool:
        if not self._params.newcomers_compete:
            return True
        priority = self._priority(1, size_bytes)
        is_taken = True
        seen = []
        while is_taken and room_bytes < size_bytes and self._heap:
            item = heapq.heappop(self._heap)
            if self._is_current(item):
                seen.append(item)
                is_taken = item[0] <= priority
                room_bytes += self._entries[item[2]].size_bytes
        for item in seen:
            heapq.heappush(self._heap, item)
        if not is_taken:
            self._level = priority  # as if it had been taken in and let go of
        return is_taken

    def insert(self, object_id: str, size_bytes: int) -> None:
        assert object_id not in self._entries, object_id
        entry = self._entries[object_id] = _Entry(size_bytes)
        self._push(object_id, entry)

    def hit(self, object_id: str) -> None:
        entry = self._entries[object_id]
        entry.use_count += 1
        self._push(object_id, entry)

    def remove(self, object_id: str) -> None:
        del self._entries[object_id]

    def victim(self) -> str:
        while True:
            item = heapq.heappop(self._heap)
            if self._is_current(item):
                self._level, _, object_id = item
                del self._entries[object_id]
                return object_id

    def __len__(self) -> int:
        return len(self._entries)

    def _push(self, object_id: str, entry: _Entry) -> None:
        self._sequence_no += 1
        entry.sequence_no = self._sequence_no
        priority = self._priority(entry.use_count, entry.size_bytes)
        heapq.heappush(self._heap, (priority, self._sequence_no, object_id))
        if len(self._heap) > 4 * len(self._entries) + 64:
            self._heap = [item for item in self._heap if self._is_current(item)]
            heapq.heapify(self._heap)

    def _priority(self, use_count: int, size_bytes: int) -> float:
        """Empty objects count as one byte."""
        return self._level + use_count * (1 / (size_bytes or 1) + self._params.cost_per_byte)

    def _is_current(self, item: tuple[float, int, str]) -> bool:
        entry = self._entries.get(item[2])
        return entry is not None and entry.sequence_no == item[1]
