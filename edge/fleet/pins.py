"""What of the store belongs to the plan: objects that stay, within the plan's share.

What is pinned is marked in the store, so a restart finds it so. When another plan comes, what it
wants of it is claimed, and the rest let go: unpinned, not dropped.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from edge.hot import HotEntry
from edge.residents import Residents
from nearcast.placement import EdgePlan

SLICE: Final = 300
"""Objects at a time: a few milliseconds."""


class Pins:
    """Pins and unpins."""

    def __init__(self, residents: Residents, *, share_max: float) -> None:
        self._residents = residents
        self._share_max = share_max
        self._bytes_max = 0
        self._claimed: set[str] = set()
        self._before: list[str] = []  # pinned when this plan came
        self._wanted: deque[str] = deque()  # held and wanted, but not pinned

    def follow(self, plan: EdgePlan | None) -> None:
        """This plan is followed from now on: nothing is claimed for it yet."""
        share_bytes = int(self._residents.index.config.capacity_bytes * self._share_max)
        self._bytes_max = min(plan.pinned_bytes_max, share_bytes) if plan is not None else 0
        self._residents.pinned_bytes_max = self._bytes_max
        self._claimed = set()
        self._before = list(self._residents.pinned())
        self._wanted.clear()

    def held(self, url: str) -> HotEntry | None:
        """The whole object, if it is here."""
        entry = self._residents.match(url, ())
        if entry is None or entry.part is not None or entry.stored.status != 200:
            return None
        return entry

    def has_room(self, size_bytes: int) -> bool:
        return self._residents.index.pinned_bytes + size_bytes <= self._bytes_max

    def pin(self, entry: HotEntry) -> bool:
        """Whether it is pinned now; else there is no room for it."""
        if not entry.stored.is_planned:
            if not self.has_room(entry.stored.size_bytes):
                return False
            self._residents.pin(entry)
        self._claimed.add(entry.stored.object_id)
        return True

    def claim(self, url: str) -> bool:
        """The plan wants this: if it is pinned it stays so, if it is only here it is pinned when
        there is room. Whether it is pinned already."""
        entry = self.held(url)
        if entry is None:
            return False
        if entry.stored.is_planned:
            self._claimed.add(entry.stored.object_id)
            return True
        self._wanted.append(entry.stored.object_id)
        return False

    def settle(self) -> bool:
        """When all is claimed: let a slice of the rest go, then pin a slice of what is wanted.
        False when nothing is left to be done."""
        if not self._before and not self._wanted:
            return False
        for _ in range(SLICE):
            if self._before:
                object_id = self._before.pop()
                if object_id not in self._claimed:
                    self._residents.unpin(object_id)
            elif self._wanted:
                entry = self._residents.get(self._wanted.popleft())
                if entry is not None:
                    self.pin(entry)
            else:
                break
        return True
