"""What an edge's own index keeps under `eviction = "expected"`, one call at a time.

The compiled replay of whole years (kernels/foreseen.py) follows the same rules; a test holds that
both make the same choices.
"""

from __future__ import annotations

import math
from typing import Final

from cache.config import CacheConfig
from cache.eviction import Belonging, EvictionParams
from cache.eviction.hopes import ExpectedParams
from cache.index import Index

_INDEX_BYTES: Final = 1  # of RAM for an object: the simulator's titles are few


class Kept:
    """Resident objects of titles: `name // parts` is the title of an object."""

    def __init__(
        self, capacity_bytes: int, params: ExpectedParams | None = None, *, parts: int = 1
    ) -> None:
        self._parts = parts
        self._index = Index(
            CacheConfig(
                capacity_bytes=capacity_bytes,
                memory_capacity_bytes=0,
                prefetch_share=1.0,
                eviction="expected",
                eviction_params=EvictionParams(expected=params or ExpectedParams()),
            )
        )
        expects = self._index.expects
        assert expects is not None
        self.hopes = expects.hopes
        """Where to say who may ask for which title."""

    def __contains__(self, name: int) -> bool:
        return str(name) in self._index

    @property
    def size_bytes(self) -> int:
        return self._index.size_bytes

    def touch(self, name: int) -> bool:
        """It was asked for; False when it is not here."""
        self._index.touch(str(name))
        return name in self

    def add(self, name: int, size_bytes: int, now_s: float, *, is_prefetch: bool = False) -> None:
        """Take it in, and let others go for it; too large a one is not."""
        if name not in self:
            self._index.add(
                str(name),
                size_bytes,
                now_s,
                index_bytes=_INDEX_BYTES,
                prefetch_until_s=math.inf if is_prefetch else None,
                belonging=Belonging(group=name // self._parts, is_told=True),
            )
