"""Which objects have a copy in RAM: those that were used last. Losing a copy costs nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable


class MemoryTier:
    """Copies by LRU, up to a number of bytes."""

    def __init__(self, capacity_bytes: int, object_bytes_max: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._object_bytes_max = min(object_bytes_max, capacity_bytes)
        self._copies: OrderedDict[str, int] = OrderedDict()
        """Sizes, used longest ago first."""
        self.holds = self._copies.__contains__
        """Whether there is a copy of this object."""
        self.touch: Callable[[str], None] = self._copies.move_to_end
        """What has a copy is used. Bound here, as `holds` is: both are called for every hit, where
        a method would cost a tenth of all that the index does then."""
        self.size_bytes = 0
        """Of all copies; at most the capacity."""

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
