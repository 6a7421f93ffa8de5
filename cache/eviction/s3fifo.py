"""S3-FIFO: a small queue that filters, a main queue that keeps, a ghost that remembers."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

import msgspec

from cache.eviction.policy import GHOST_COUNT_MAX
from nearcast.config import Section


class S3FifoParams(Section, frozen=True, kw_only=True):
    """Defaults are the paper's; shares are of the tier's bytes. `object_share_max`: an object above
    it is taken in only where there is room, as it would push all others out of small. 1 takes
    everything, for fewer bytes missed and more requests: docs/results/cache.md."""

    small_share: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.1
    ghost_share: Annotated[float, msgspec.Meta(ge=0)] = 0.9
    hit_count_max: Annotated[int, msgspec.Meta(ge=1)] = 3
    promotion_hit_count: Annotated[int, msgspec.Meta(ge=1)] = 2
    object_share_max: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.1


class S3Fifo:
    """Evict from a small FIFO what was not asked for again, else from a main FIFO with reinsertion.

    New objects enter *small*. When it holds its share of the bytes, its oldest object goes: to
    *main* if it was hit `promotion_hit_count` times, else out, and its id into the *ghost*. An
    object whose id is in the ghost enters main at once. Main gives an object one more round for
    each hit, at most `hit_count_max`. Hits only count, so they cost O(1); eviction is amortised
    O(1).
    Source: Yang et al., "FIFO Queues are All You Need for Cache Eviction", SOSP 2023, Algorithm 1.
    As in the authors' libCacheSim, queues are measured in bytes, since segments differ in size by
    two orders of magnitude between rungs (the paper counts objects), and until the first eviction
    what small has no room for enters main: else a cache that has just become full holds a long
    queue of objects nobody has asked for again.
    """

    def __init__(self, capacity_bytes: int, params: S3FifoParams | None = None) -> None:
        params = params or S3FifoParams()
        self._hit_count_max = params.hit_count_max
        self._promotion_hit_count = params.promotion_hit_count
        self._small_bytes_max = capacity_bytes * params.small_share
        self._object_bytes_max = capacity_bytes * params.object_share_max
        self._main_bytes_max = capacity_bytes - self._small_bytes_max
        self._ghost_bytes_max = capacity_bytes * params.ghost_share
        # Sizes, oldest first. Hits are counted apart: small integers cost no memory.
        self._small: OrderedDict[str, int] = OrderedDict()
        self._main: OrderedDict[str, int] = OrderedDict()
        self._ghost: OrderedDict[str, int] = OrderedDict()
        self._hit_counts: dict[str, int] = {}
        self._has_evicted = False
        self._small_bytes = 0
        self._main_bytes = 0
        self._ghost_bytes = 0

    def takes(self, size_bytes: int, room_bytes: int) -> bool:
        return size_bytes <= room_bytes or size_bytes <= self._object_bytes_max

    def insert(self, object_id: str, size_bytes: int) -> None:
        assert object_id not in self._hit_counts, object_id
        self._hit_counts[object_id] = 0
        remembered_bytes = self._ghost.pop(object_id, None)
        if remembered_bytes is not None:
            self._ghost_bytes -= remembered_bytes
        is_filling = not self._has_evicted and self._small_bytes >= self._small_bytes_max
        if remembered_bytes is None and not is_filling:
            self._small[object_id] = size_bytes
            self._small_bytes += size_bytes
        else:
            self._main[object_id] = size_bytes
            self._main_bytes += size_bytes

    def hit(self, object_id: str) -> None:
        hit_count = self._hit_counts[object_id]
        if hit_count < self._hit_count_max:
            self._hit_counts[object_id] = hit_count + 1

    def remove(self, object_id: str) -> None:
        del self._hit_counts[object_id]
        size_bytes = self._small.pop(object_id, None)
        if size_bytes is not None:
            self._small_bytes -= size_bytes
        else:
            self._main_bytes -= self._main.pop(object_id)

    def victim(self) -> str:
        self._has_evicted = True
        if self._small_bytes >= self._small_bytes_max or not self._main:
            victim = self._evict_small()
            if victim is not None:
                return victim
        return self._evict_main()

    def __len__(self) -> int:
        return len(self._hit_counts)

    def _evict_small(self) -> str | None:
        """None when everything in small had earned a place in main."""
        hit_counts = self._hit_counts
        while self._small:
            object_id, size_bytes = self._small.popitem(last=False)
            self._small_bytes -= size_bytes
            if hit_counts[object_id] < self._promotion_hit_count:
                del hit_counts[object_id]
                self._ghost[object_id] = size_bytes
                self._ghost_bytes += size_bytes
                self._trim_ghost()
                return object_id
            hit_counts[object_id] = 0  # hits counted before do not carry over
            self._main[object_id] = size_bytes
            self._main_bytes += size_bytes
            if self._main_bytes > self._main_bytes_max:
                return self._evict_main()
        return None

    def _evict_main(self) -> str:
        hit_counts = self._hit_counts
        while True:
            object_id, size_bytes = self._main.popitem(last=False)
            hit_count = hit_counts[object_id]
            if not hit_count:
                self._main_bytes -= size_bytes
                del hit_counts[object_id]
                return object_id
            hit_counts[object_id] = hit_count - 1
            self._main[object_id] = size_bytes

    def _trim_ghost(self) -> None:
        while self._ghost_bytes > self._ghost_bytes_max or len(self._ghost) > GHOST_COUNT_MAX:
            _, size_bytes = self._ghost.popitem(last=False)
            self._ghost_bytes -= size_bytes
