"""Which objects have a copy in RAM: those that were used last. Losing a copy costs nothing."""

from __future__ import annotations

from collections import OrderedDict


class MemoryTier:
    """Copies by LRU, up to a number of bytes."""

    def __init__(self, capacity_bytes: int, object_bytes_max: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._object_bytes_max = min(object_bytes_max, capacity_bytes)
        self._copies: OrderedDict[str, int] = OrderedDict()  # used longest ago first
        self.size_bytes = 0
        """Of all copies; at most the capacity."""

    def __contains__(self, object_id: str) -> bool:
        return object_id in self._copies

    def use(self, object_id: str) -> bool:
        """The object was used. False when it has no copy."""
        if object_id not in self._copies:
            return False
        self._copies.move_to_end(object_id)
        return True

    def load(self, object_id: str, size_bytes: int) -> tuple[str, ...] | None:
        """Copy what has no copy; the objects whose copies go for that. None: it is too large."""
        if size_bytes > self._object_bytes_max:
            return None
        self._copies[object_id] = size_bytes
        self.size_bytes += size_bytes
        unloaded = []
        while self.size_bytes > self._capacity_bytes:
            oldest, oldest_bytes = self._copies.popitem(last=False)
            self.size_bytes -= oldest_bytes
            unloaded.append(oldest)
        return tuple(unloaded)

    def discard(self, object_id: str) -> None:
        """The object has left."""
        self.size_bytes -= self._copies.pop(object_id, 0)
