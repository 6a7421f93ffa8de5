"""SIEVE: one queue, one mark per object, one hand."""

from __future__ import annotations

from nearcast.config import Section


class _Node:
    __slots__ = ("is_marked", "newer", "object_id", "older")

    def __init__(self, object_id: str) -> None:
        self.object_id = object_id
        self.is_marked = False
        self.newer: _Node | None = None
        self.older: _Node | None = None


class Sieve:
    """Evict by a lazily moving hand that spares recently hit objects.

    Objects stay in insertion order; a hit only sets a mark, so hits cost O(1). The hand moves from
    the oldest towards the newest, clears marks, evicts the first unmarked object it meets, and
    stays there; past the newest it starts again at the oldest. Sizes are ignored.
    Source: Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024, Algorithm 1. It is not resistant
    to scans, as its authors say.
    """

    def __init__(self, capacity_bytes: int, params: Section | None = None) -> None:
        del capacity_bytes, params  # the order depends on neither
        self._nodes: dict[str, _Node] = {}
        self._newest: _Node | None = None
        self._oldest: _Node | None = None
        self._hand: _Node | None = None

    def takes(self, size_bytes: int, room_bytes: int) -> bool:
        return True

    def insert(self, object_id: str, size_bytes: int) -> None:
        assert object_id not in self._nodes, object_id
        node = _Node(object_id)
        node.older = self._newest
        if self._newest is not None:
            self._newest.newer = node
        self._newest = node
        if self._oldest is None:
            self._oldest = node
        self._nodes[object_id] = node

    def hit(self, object_id: str) -> None:
        self._nodes[object_id].is_marked = True

    def remove(self, object_id: str) -> None:
        node = self._nodes.pop(object_id)
        if self._hand is node:
            self._hand = node.newer
        if node.newer is not None:
            node.newer.older = node.older
        else:
            self._newest = node.older
        if node.older is not None:
            node.older.newer = node.newer
        else:
            self._oldest = node.newer

    def victim(self) -> str:
        node = self._hand or self._oldest
        assert node is not None, "victim() asked of an empty policy"
        while node.is_marked:
            node.is_marked = False
            node = node.newer or self._oldest
            assert node is not None
        self._hand = node
        self.remove(node.object_id)  # which moves the hand on
        return node.object_id

    def __len__(self) -> int:
        return len(self._nodes)
