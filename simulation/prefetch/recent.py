"""Least recently used, one call at a time."""

from __future__ import annotations

from collections import OrderedDict


class Recent:
    """Resident objects, used longest ago first. A prefetch counts as a use."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._sizes: OrderedDict[int, int] = OrderedDict()
        self._held_bytes = 0

    def __contains__(self, name: int) -> bool:
        return name in self._sizes

    @property
    def size_bytes(self) -> int:
        return self._held_bytes

    def touch(self, name: int) -> bool:
        """It was asked for; False when it is not here."""
        if name not in self._sizes:
            return False
        self._sizes.move_to_end(name)
        return True

    def add(self, name: int, size_bytes: int, now_s: float, *, is_prefetch: bool = False) -> None:
        """Take it in, and let others go for it; too large a one is not."""
        del now_s, is_prefetch  # the order depends on neither
        if size_bytes > self._capacity_bytes or name in self._sizes:
            return
        while self._held_bytes + size_bytes > self._capacity_bytes:
            _, gone_bytes = self._sizes.popitem(last=False)
            self._held_bytes -= gone_bytes
        self._sizes[name] = size_bytes
        self._held_bytes += size_bytes
