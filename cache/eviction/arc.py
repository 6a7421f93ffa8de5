"""ARC: a recency list and a frequency list that move their border by what they miss."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from cache.eviction.policy import GHOST_COUNT_MAX
from nearcast.config import Section


class ArcParams(Section, frozen=True, kw_only=True):
    """`step`: by how much a return from a ghost list moves the border. `"byte"`: one byte times the
    ratio of the ghost lists, as libCacheSim has it; with large objects the border hardly leaves 0,
    so that objects used once go first. `"size"`: the returning object's size times that ratio."""

    step: Literal["byte", "size"] = "byte"  # which is better where: docs/results/cache.md


class Arc:
    """Evict from the objects used once or from those used more, whichever is above its target.

    *once* and *more* are LRU lists of resident objects, each with a ghost list of ids evicted from
    it. An object that returns from a ghost enters *more* and shows that the list it left was too
    short: the target of *once* moves towards it. An eviction forgets one ghost when *once* and its
    ghost hold the capacity, or all four lists twice that. All operations cost O(1).
    Source: Megiddo and Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache", FAST 2003.
    Lists and target are measured in bytes here. The paper moves the target before it evicts for a
    returning object, and forgets no ghost for that; here an eviction does not know for which
    object it makes room.
    """

    def __init__(self, capacity_bytes: int, params: ArcParams | None = None) -> None:
        self._capacity_bytes = capacity_bytes
        self._is_step_sized = (params or ArcParams()).step == "size"
        # Used longest ago first.
        self._once: OrderedDict[str, int] = OrderedDict()
        self._more: OrderedDict[str, int] = OrderedDict()
        self._once_ghost: OrderedDict[str, int] = OrderedDict()
        self._more_ghost: OrderedDict[str, int] = OrderedDict()
        self._once_bytes = 0
        self._more_bytes = 0
        self._once_ghost_bytes = 0
        self._more_ghost_bytes = 0
        self._once_bytes_target = 0.0

    def takes(self, size_bytes: int, room_bytes: int) -> bool:
        return True

    def insert(self, object_id: str, size_bytes: int) -> None:
        assert object_id not in self._once, object_id
        assert object_id not in self._more, object_id
        step_bytes = size_bytes if self._is_step_sized else 1
        ghost_bytes = self._once_ghost.pop(object_id, None)
        if ghost_bytes is not None:
            ratio = self._more_ghost_bytes / max(self._once_ghost_bytes, 1)
            self._once_ghost_bytes -= ghost_bytes
            self._once_bytes_target = min(
                self._once_bytes_target + max(ratio, 1.0) * step_bytes, self._capacity_bytes
            )
        else:
            ghost_bytes = self._more_ghost.pop(object_id, None)
            if ghost_bytes is not None:
                ratio = self._once_ghost_bytes / max(self._more_ghost_bytes, 1)
                self._more_ghost_bytes -= ghost_bytes
                self._once_bytes_target = max(
                    self._once_bytes_target - max(ratio, 1.0) * step_bytes, 0.0
                )
        if ghost_bytes is None:
            self._once[object_id] = size_bytes
            self._once_bytes += size_bytes
        else:
            self._more[object_id] = size_bytes
            self._more_bytes += size_bytes

    def hit(self, object_id: str) -> None:
        size_bytes = self._once.pop(object_id, None)
        if size_bytes is None:
            self._more.move_to_end(object_id)
        else:
            self._once_bytes -= size_bytes
            self._more[object_id] = size_bytes
            self._more_bytes += size_bytes

    def remove(self, object_id: str) -> None:
        size_bytes = self._once.pop(object_id, None)
        if size_bytes is None:
            self._more_bytes -= self._more.pop(object_id)
        else:
            self._once_bytes -= size_bytes

    def victim(self) -> str:
        self._forget_one()
        if self._once and (self._once_bytes > self._once_bytes_target or not self._more):
            object_id, size_bytes = self._once.popitem(last=False)
            self._once_bytes -= size_bytes
            self._once_ghost[object_id] = size_bytes
            self._once_ghost_bytes += size_bytes
        else:
            object_id, size_bytes = self._more.popitem(last=False)
            self._more_bytes -= size_bytes
            self._more_ghost[object_id] = size_bytes
            self._more_ghost_bytes += size_bytes
        return object_id

    def __len__(self) -> int:
        return len(self._once) + len(self._more)

    def _forget_one(self) -> None:
        """Let go of a ghost for the one that is about to be made, if the lists are full."""
        once_bytes = self._once_bytes + self._once_ghost_bytes
        more_bytes = self._more_bytes + self._more_ghost_bytes
        ghost_count = len(self._once_ghost) + len(self._more_ghost)
        if once_bytes >= self._capacity_bytes and self._once_ghost:
            _, size_bytes = self._once_ghost.popitem(last=False)
            self._once_ghost_bytes -= size_bytes
        elif self._more_ghost and (
            once_bytes + more_bytes >= 2 * self._capacity_bytes or ghost_count >= GHOST_COUNT_MAX
        ):
            _, size_bytes = self._more_ghost.popitem(last=False)
            self._more_ghost_bytes -= size_bytes
        elif ghost_count >= GHOST_COUNT_MAX:
            _, size_bytes = self._once_ghost.popitem(last=False)
            self._once_ghost_bytes -= size_bytes
