"""What an edge of these settings holds and believes, for objects known by number.

As an edge does it: `cache.index` keeps what was asked for by the eviction policy and what was
fetched ahead until its time is over (with `eviction = "expected"` all of it by what is expected),
and `edge.prefetch.trust` believes the model by the bytes that were used. What is not modelled is
the link: what is fetched is here at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cache.config import CacheConfig
from cache.eviction import Belonging
from cache.eviction.hopes import Hopes
from cache.index import Index
from edge.config import EdgeConfig
from edge.prefetch.plans import Source
from edge.prefetch.trust import Trust
from nearcast.horizons import HORIZONS_S, within

SOURCE: Final[Source] = "model"
_INDEX_BYTES: Final = 1  # of RAM for an object: the simulator's are few


class EdgeStore:
    """One edge's cache, and what its planner remembers of the model."""

    def __init__(
        self,
        capacity_bytes: int,
        sizes: Sequence[int],  # by object number, in the unit of the capacity
        *,
        trust_per_s: float,
        eviction: str = EdgeConfig().eviction,
        group_of: Sequence[int] | None = None,  # by object number
    ) -> None:
        """`trust_per_s`: the rate of prefetching in that unit, by which trust is measured;
        `group_of`: what is asked for together, each object by itself if that is not given."""
        settings = EdgeConfig(eviction=eviction)
        self._sizes = sizes
        self._group_of = group_of
        self._index = Index(
            CacheConfig(
                capacity_bytes=capacity_bytes,
                memory_capacity_bytes=0,
                prefetch_share=settings.prefetch.capacity_share,
                eviction=eviction,
                eviction_params=settings.eviction_params,
            )
        )
        self._lifetime_s = (
            settings.prefetch.lifetime_s if self._index.expects is None else HORIZONS_S[-1]
        )
        self._trust = Trust(trust_per_s, self._index.prefetch_bytes_max)
        self._said: dict[int, float] = {}  # of what was fetched ahead and not used yet
        self._wasted: list[int] = []

    @property
    def hopes(self) -> Hopes | None:
        """Where to say who may ask for which group, if the policy wants to know."""
        return self._index.expects.hopes if self._index.expects is not None else None

    def trust(self, now_s: float) -> float:
        """How far the model is believed."""
        return self._trust.factor(SOURCE, now_s)

    def ask(self, number: int, now_s: float) -> tuple[bool, bool]:
        """A client asks for it: whether it is here, and by a prefetch that nobody had used."""
        self._let_go(self._index.expire(now_s), now_s)
        key, size_bytes = str(number), self._sizes[number]
        if key not in self._index:
            self._add(number, now_s, None)
            return False, False
        said = self._said.pop(number, None)
        if said is not None:
            self._trust.resolved(SOURCE, said, size_bytes, now_s, is_used=True)
        self._index.touch(key)
        return True, said is not None

    def chance(self, probabilities: Sequence[float], now_s: float) -> tuple[float, float]:
        """That it is used while it would be kept: as the model says, and as it is believed."""
        expects = self._index.expects
        kept_s = expects.kept_s(probabilities) if expects is not None else self._lifetime_s
        said = within(probabilities, kept_s)
        return said, said * self.trust(now_s)

    def fetch(self, number: int, said: float, now_s: float) -> bool:
        """Have it here; False when it was already, or the store has no room for it."""
        self._let_go(self._index.expire(now_s), now_s)
        if str(number) in self._index:
            self.keep(number, now_s)
            return False
        if not self._add(number, now_s, now_s + self._lifetime_s):
            return False
        self._said[number] = said
        return True

    def keep(self, number: int, now_s: float) -> None:
        """Somebody is still expected to want it."""
        self._index.extend(str(number), now_s + self._lifetime_s)

    def take_wasted(self) -> list[int]:
        """What was let go before anyone asked, since this was last asked."""
        wasted, self._wasted = self._wasted, []
        return wasted

    def _add(self, number: int, now_s: float, prefetch_until_s: float | None) -> bool:
        found = self._index.add(
            str(number),
            self._sizes[number],
            now_s,
            index_bytes=_INDEX_BYTES,
            prefetch_until_s=prefetch_until_s,
            belonging=Belonging(group=self._group(number), is_told=True),
        )
        self._let_go(found.evicted, now_s)
        return found.refusal is None

    def _group(self, number: int) -> int:
        return number if self._group_of is None else self._group_of[number]

    def _let_go(self, keys: tuple[str, ...], now_s: float) -> None:
        for key in keys:
            said = self._said.pop(int(key), None)
            if said is not None:
                size_bytes = self._sizes[int(key)]
                self._trust.resolved(SOURCE, said, size_bytes, now_s, is_used=False)
                self._wasted.append(int(key))
