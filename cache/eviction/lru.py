"""Least recently used: the baseline every other policy is measured against."""

from __future__ import annotations

from collections import OrderedDict

from nearcast.config import Section


class Lru:
    """Evict what was used longest ago.

    Every operation costs O(1). One pass over many objects that are used once pushes out all that
    is popular, which is what SIEVE and S3-FIFO cure.
    Source: Mattson et al., "Evaluation techniques for storage hierarchies", IBM Systems Journal
    9(2), 1970.
    """

    def __init__(self, capacity_bytes: int, params: Section | None = None) -> None:
        del capacity_bytes, params  # the order depends on neither
        self._order: OrderedDict[str, None] = OrderedDict()

    def takes(self, size_bytes: int, room_bytes: int) -> bool:
        return True

    def insert(self, object_id: str, size_bytes: int) -> None:
        assert object_id not in self._order, object_id
        self._order[object_id] = None

    def hit(self, object_id: str) -> None:
        self._order.move_to_end(object_id)

    def remove(self, object_id: str) -> None:
        del self._order[object_id]

    def victim(self) -> str:
        object_id, _ = self._order.popitem(last=False)
        return object_id

    def __len__(self) -> int:
        return len(self._order)
