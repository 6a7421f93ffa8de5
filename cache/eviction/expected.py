"""EXPECTED: keep what will be asked for soonest, as far as anybody foresees it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Final

from cache.eviction.hopes import ExpectedParams, Hopes
from cache.eviction.policy import Belonging

LCG_MULTIPLIER: Final = 1_103_515_245
LCG_STEP: Final = 12_345
LCG_MASK: Final = 0x7FFFFFFF

_BAR_WEIGHT: Final = 1 / 256
"""Of the last victim, in what has to be surpassed to stay."""

_CLEARLY: Final = 0.8
"""One prefetch pushes out another for this much of its worth: equals must not chase each other."""


class _Draw:
    """A set from which members can be drawn: a list without gaps."""

    def __init__(self) -> None:
        self.members: list[str] = []
        self._place: dict[str, int] = {}

    def __contains__(self, member: str) -> bool:
        return member in self._place

    def __len__(self) -> int:
        return len(self.members)

    def add(self, member: str) -> None:
        self._place[member] = len(self.members)
        self.members.append(member)

    def discard(self, member: str) -> None:
        at = self._place.pop(member, None)
        if at is None:
            return
        moved = self.members.pop()
        if moved != member:
            self.members[at] = moved
            self._place[moved] = at


class Expected:
    """Evict the one of a few drawn residents that is least likely to be asked for soon.

    What is expected is told to `hopes`, by group; an object of no group is one by itself, and known
    by its own requests alone (then this is LFU that fades, by samples). A use costs O(1), an
    eviction looks at `drawn_count` objects. Prefetched objects are ordered with all others; as
    long as nobody has used them they count `spare` times, and those of a title that somebody is
    watching go last.
    Source: sampling as in Redis' LRU; the order is our own, docs/adr/0015. In the simulator
    kernels/foreseen.py replays years by the same rules, which a test holds.
    """

    def __init__(self, capacity_bytes: int, params: ExpectedParams | None = None) -> None:
        del capacity_bytes  # the order does not depend on it
        params = params or ExpectedParams()
        self.hopes = Hopes(params)
        self.now_s = 0.0
        """Set by whoever knows it, before anything that depends on it."""
        self._spare = params.spare
        self._drawn_count = params.drawn_count
        self._held: dict[str, Belonging] = {}
        self._all = _Draw()
        self._unused = _Draw()
        self._state = 1
        self._bar = 0.0
        self._least_unused = -math.inf, 0.0

    def takes(self, size_bytes: int, room_bytes: int) -> bool:
        return True

    def insert(self, object_id: str, size_bytes: int) -> None:
        self.insert_of(object_id, Belonging(group=object_id), is_prefetch=False)

    def insert_of(self, object_id: str, belonging: Belonging, *, is_prefetch: bool) -> None:
        assert object_id not in self._held, object_id
        self._held[object_id] = belonging
        self._all.add(object_id)
        if is_prefetch:
            self._unused.add(object_id)
        elif not belonging.is_told:
            self.hopes.counted(belonging.group, self.now_s)

    def regroup(self, object_id: str, belonging: Belonging) -> None:
        self._held[object_id] = belonging

    def hit(self, object_id: str) -> None:
        self._unused.discard(object_id)
        held = self._held[object_id]
        if not held.is_told:
            self.hopes.counted(held.group, self.now_s)

    def remove(self, object_id: str) -> None:
        held = self._held[object_id]
        self._let_go(object_id)
        if not held.is_told:
            self.hopes.drop_group(held.group)

    def _let_go(self, object_id: str) -> None:
        del self._held[object_id]
        self._all.discard(object_id)
        self._unused.discard(object_id)

    def victim(self) -> str:
        victim, worth = self._least(self._all)
        self._bar += (worth - self._bar) * _BAR_WEIGHT
        self._let_go(victim)
        return victim

    def unused_victim(self) -> str | None:
        if not self._unused:
            return None
        victim, _ = self._least(self._unused)
        self._let_go(victim)
        return victim

    def surpasses(self, group: Hashable) -> bool:
        if not self._unused:
            return False
        at_s, least = self._least_unused
        if at_s != self.now_s:  # asked for each candidate of a moment
            _, least = self._least(self._unused)
            self._least_unused = self.now_s, least
        return least < _CLEARLY * self._spare * self.hopes.worth(group, self.now_s)

    def __len__(self) -> int:
        return len(self._held)

    def worth(self, object_id: str) -> float:
        """What holding it is worth now: P(asked for soon), times what its loss costs."""
        group = self._held[object_id].group
        worth = self.hopes.worth(group, self.now_s)
        if object_id not in self._unused:
            return worth
        if self.hopes.is_watched(group, self.now_s):
            return self._spare
        return worth * self._spare

    def kept_s(self, probabilities: Sequence[float]) -> float:
        return self.hopes.kept_s(probabilities, self._bar / self._spare)

    def _least(self, among: _Draw) -> tuple[str, float]:
        members = among.members
        least, victim = math.inf, ""
        for _ in range(self._drawn_count):
            self._state = (self._state * LCG_MULTIPLIER + LCG_STEP) & LCG_MASK
            object_id = members[(self._state >> 8) % len(members)]
            worth = self.worth(object_id)
            if worth < least:
                least, victim = worth, object_id
        return victim, least
