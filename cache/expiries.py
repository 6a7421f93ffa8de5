"""Which objects are kept only until a set time, and which of them goes next.

A heap in the order of the times. An object whose time is put off, or that has left, stays in the
heap as it was: what is found there is held against the time that counts now, when it surfaces. The
heap is made anew before such leftovers outnumber what they are among.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

_SLACK = 16
"""Leftovers that are borne however few objects there are."""


class Expiries:
    """Objects and their times. Equal times end in the order in which they were set."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, int]] = {}  # and a sequence number
        self._heap: list[tuple[float, int, str]] = []
        self._sequence_no = 0

    def set(self, object_id: str, until_s: float) -> None:
        """Keep it until then."""
        self._sequence_no += 1
        self._until[object_id] = (until_s, self._sequence_no)
        heapq.heappush(self._heap, (until_s, self._sequence_no, object_id))
        if len(self._heap) > 2 * len(self._until) + _SLACK:
            self._heap = [item for item in self._heap if self._is_current(*item)]
            heapq.heapify(self._heap)

    def put_off(self, object_id: str, until_s: float) -> bool:
        """Keep it at least until then. False when it has no time set."""
        until = self._until.get(object_id)
        if until is None:
            return False
        if until_s > until[0]:
            self.set(object_id, until_s)
        return True

    def discard(self, object_id: str) -> None:
        """Its time does not matter any more."""
        self._until.pop(object_id, None)

    def soonest(self) -> str | None:
        """What goes next."""
        while self._heap:
            if self._is_current(*self._heap[0]):
                return self._heap[0][2]
            heapq.heappop(self._heap)
        return None

    def next_s(self) -> float | None:
        """When that goes."""
        return self._heap[0][0] if self.soonest() is not None else None

    def due(self, now_s: float) -> str | None:
        """What goes next, if its time is over."""
        soonest = self.soonest()
        return soonest if soonest is not None and self._heap[0][0] <= now_s else None

    def before(self, until_s: float) -> Iterator[str]:
        """What goes before then, soonest first. Sorts all: O(n log n)."""
        for item in sorted(self._heap):
            if item[0] >= until_s:
                return
            if self._is_current(*item):
                yield item[2]

    def _is_current(self, until_s: float, sequence_no: int, object_id: str) -> bool:
        until = self._until.get(object_id)
        return until is not None and until[1] == sequence_no
