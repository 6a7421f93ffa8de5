"""Residency by expectation, one call at a time: kernels/foreseen.py says what it does and why.

The kernel replays a year in a second; this serves where transfers take time and an object is only
resident when it has come. Both make the same choices, which a test holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from nearcast.horizons import within
from simulation.prefetch.kernels.foreseen import (
    RESUME_DAY,
    RESUME_SOON,
    VIEWERS_PER_TITLE,
    WEEK_S,
)

_LCG_MULTIPLIER, _LCG_STEP, _LCG_MASK = 1_103_515_245, 12_345, 0x7FFFFFFF


class Residency(msgspec.Struct, frozen=True, kw_only=True):
    """Chosen on logs of other seeds than those shown, see docs/results/prefetch.md."""

    window_s: float = 6 * 3600.0
    popularity_s: float = 120 * 86_400.0
    popularity_first: float = 0.15  # requests by others to come, per request there was
    popularity_again: float = 0.1  # beyond that, per request after the first
    popularity_none: float = 0.1  # of what nobody has asked for yet
    broken_off: float = 0.35  # share of plays that end before 90 %
    resumed: float = 0.5  # share of plays broken off that are taken up again
    later: float = 0.1  # of those who have not come within a week, share within four
    spare: float = 2.0  # an unused prefetch counts so many times
    drawn_count: int = 32
    trust_prior: float = 200.0  # prefetches
    trust_half_life_s: float = 7 * 86_400.0


class Expected:
    """Resident objects of titles: `name // parts` is the title of an object."""

    def __init__(self, capacity_bytes: int, residency: Residency, *, parts: int = 1) -> None:
        self._capacity_bytes = capacity_bytes
        self._of = residency
        self._parts = parts
        self._sizes: dict[int, int] = {}
        self._place: dict[int, int] = {}
        self._held: list[int] = []
        self._held_bytes = 0
        self._unused: set[int] = set()
        self._hopes: dict[int, dict[int, tuple[float, Sequence[float]]]] = {}
        self._popularity: dict[int, tuple[float, float]] = {}
        self._state = 1
        self.wasted_bytes = 0

    def __contains__(self, name: int) -> bool:
        return name in self._place

    @property
    def size_bytes(self) -> int:
        return self._held_bytes

    # -- what is expected

    def asked(self, title: int, viewer: int, ends_s: float, now_s: float) -> None:
        """A viewer has started it; it would end then."""
        of = self._of
        self._hope(title, viewer, ends_s, self._resume(of.broken_off * of.resumed))
        known, at_s = self._popularity.get(title, (0.0, now_s))
        self._popularity[title] = known * math.exp((at_s - now_s) / of.popularity_s) + 1.0, now_s

    def left(self, title: int, viewer: int, now_s: float, *, is_finished: bool) -> None:
        """A viewer has left it: seen, or in the middle."""
        if is_finished:
            self._hopes.get(title, {}).pop(viewer, None)
        else:
            self._hope(title, viewer, now_s, self._resume(self._of.resumed))

    def foreseen(
        self, title: int, viewer: int, since_s: float, probabilities: Sequence[float]
    ) -> None:
        """A viewer may go on to it, within the horizons after `since_s`."""
        self._hope(title, viewer, since_s, probabilities)

    def _resume(self, chance: float) -> tuple[float, float, float]:
        return chance * RESUME_SOON, chance * RESUME_DAY, chance

    def _hope(self, title: int, viewer: int, since_s: float, chances: Sequence[float]) -> None:
        hopes = self._hopes.setdefault(title, {})
        if viewer not in hopes and len(hopes) >= VIEWERS_PER_TITLE:
            del hopes[min(hopes, key=lambda each: hopes[each][0])]
        hopes[viewer] = since_s, chances

    def worth(self, name: int, now_s: float) -> float:
        """P(asked for within the window), times `spare` for an unused prefetch."""
        of, title = self._of, name // self._parts
        idle = 1.0
        for since_s, chances in self._hopes.get(title, {}).values():
            waited_s = now_s - since_s
            before = self._ever(chances, waited_s)
            by_then = self._ever(chances, waited_s + of.window_s)
            idle *= 1.0 - (by_then - before) / max(1.0 - before, 1e-6)
        known, at_s = self._popularity.get(title, (0.0, now_s))
        known *= math.exp((at_s - now_s) / of.popularity_s)
        rate = (
            of.popularity_none
            + of.popularity_first * known
            + of.popularity_again * max(known - 1.0, 0.0)
        )
        worth = 1.0 - idle * math.exp(-rate * of.window_s / of.popularity_s)
        return worth * of.spare if name in self._unused else worth

    def _ever(self, chances: Sequence[float], time_s: float) -> float:
        if time_s <= 0.0:
            return 0.0
        found = within(chances, time_s)
        if time_s > WEEK_S:
            weeks = min(math.log(time_s / WEEK_S) / math.log(4.0), 1.0)
            found += (1.0 - found) * self._of.later * weeks
        return found

    # -- what is resident

    def touch(self, name: int) -> bool:
        """It was asked for; False when it is not here."""
        self._unused.discard(name)
        return name in self._place

    def add(self, name: int, size_bytes: int, now_s: float, *, is_prefetch: bool = False) -> None:
        """Take it in, and let others go for it; too large a one is not."""
        if size_bytes > self._capacity_bytes or name in self._place:
            return
        while self._held_bytes + size_bytes > self._capacity_bytes:
            self._let_go(self._victim(now_s))
        self._place[name] = len(self._held)
        self._held.append(name)
        self._sizes[name] = size_bytes
        self._held_bytes += size_bytes
        if is_prefetch:
            self._unused.add(name)

    def _victim(self, now_s: float) -> int:
        least, victim = math.inf, -1
        for _ in range(self._of.drawn_count):
            self._state = (self._state * _LCG_MULTIPLIER + _LCG_STEP) & _LCG_MASK
            name = self._held[(self._state >> 8) % len(self._held)]
            worth = self.worth(name, now_s)
            if worth < least:
                least, victim = worth, name
        return victim

    def _let_go(self, victim: int) -> None:
        size_bytes = self._sizes.pop(victim)
        self._held_bytes -= size_bytes
        moved = self._held.pop()
        at = self._place.pop(victim)
        if moved != victim:
            self._held[at] = moved
            self._place[moved] = at
        if victim in self._unused:
            self._unused.discard(victim)
            self.wasted_bytes += size_bytes
