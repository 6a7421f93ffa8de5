"""Which objects have a copy in RAM: those that were used last. Losing a copy costs nothing."""

from __future__ import annotations

from collections import OrderedDict


class MemoryTier:
    """Copies by LRU, up to a number of bytes."""

    def __init__(self, capacity_bytes: int, object_bytes_max: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._object_bytes_max = min(object_bytes_max, capacity_bytes)
        self.copies: OrderedDict[str, int] = OrderedDict()
        """Sizes, used longest ago first. The index moves what is used to the end by itself: it does
        so for every hit, and a call would cost a tenth of all that it does then."""
        self.size_bytes = 0
        """Of all copies; at most the capacity."""

    def load(self, object_id: str, size_bytes: int) -> tuple[str, ...] | None:
        """Copy what has no copy; the objects whose copies go for that. None: it is too large."""
        if size_bytes > self._object_bytes_max:
            return None
        self.copies[object_id] = size_bytes
        self.size_bytes += size_bytes
        unloaded = []
        while self.size_bytes > self._capacity_bytes:
            oldest, oldest_bytes = self.copies.popitem(last=False)
            self.size_bytes -= oldest_bytes
            unloaded.append(oldest)
        return tuple(unloaded)

    def discard(self, object_id: str) -> None:
        """The object has left."""
        self.size_bytes -= self.copies.pop(object_id, 0)
