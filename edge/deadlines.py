"""How long each open fill has been silent, and which has been silent for too long.

A fill is *watched* from its start to its end, except while it is our own side that does not read
(a paused prefetch, readers or a disk that are behind). Whatever is heard of it puts its deadline
off. Only that is written down; the heap is put right when a deadline that was put off comes up. So
hearing of a fill, which happens a thousand times as often as a deadline passes, costs one write.
"""

from __future__ import annotations

import heapq
import math


class Deadlines:
    """Which fill is due when."""

    def __init__(self) -> None:
        self._due_s: dict[int, float] = {}
        self._queued_s: dict[int, float] = {}  # where each stands in the heap: not after its due
        self._heap: list[tuple[float, int]] = []

    def set(self, fill_id: int, due_s: float) -> None:
        """It is to be heard of before then."""
        self._due_s[fill_id] = due_s
        if due_s < self._queued_s.get(fill_id, math.inf):
            self._queued_s[fill_id] = due_s
            heapq.heappush(self._heap, (due_s, fill_id))

    def clear(self, fill_id: int) -> None:
        """Nothing is expected of it."""
        self._due_s.pop(fill_id, None)

    def next_s(self) -> float | None:
        """When to look again: no later than the first is due."""
        self._skip_cleared()
        return self._heap[0][0] if self._heap else None

    def take_overdue(self, now_s: float) -> list[int]:
        """The fills that are due, in the order in which they were; they are watched no longer."""
        overdue: list[tuple[float, int]] = []
        while self._heap and self._heap[0][0] <= now_s:
            queued_s, fill_id = heapq.heappop(self._heap)
            if queued_s != self._queued_s.get(fill_id):  # stands elsewhere in the heap too
                continue
            del self._queued_s[fill_id]
            due_s = self._due_s.get(fill_id)
            if due_s is None:
                continue
            if due_s > now_s:
                self.set(fill_id, due_s)
            else:
                del self._due_s[fill_id]
                overdue.append((due_s, fill_id))
        return [fill_id for _, fill_id in sorted(overdue)]

    def _skip_cleared(self) -> None:
        while self._heap and self._heap[0][1] not in self._due_s:
            queued_s, fill_id = heapq.heappop(self._heap)
            if queued_s == self._queued_s.get(fill_id):
                del self._queued_s[fill_id]
