"""At which rung the next segment of a title will be asked for.

Players stay on a rung most of the time, and what moves them they say themselves: the throughput
they measured and the buffer they hold (CMCD `mtp` and `bl`). So the changes are counted for each
situation: where on the ladder a player is, how many rungs up or down its throughput would carry,
how full its buffer is and whether it has just moved; over all viewers of this edge, for a situation
seldom seen moved towards all that are like it in place, and for each viewer how often it stays.
Nothing is known at first: then the rung is taken to stay.

Players may name their next object (CMCD `nor`). Of some that is right each time, of others hardly
more than every third time, as they decide anew later; so it is counted as well, and of the two the
one that has been right more often is followed.
"""

from __future__ import annotations

from bisect import bisect
from typing import Final

import msgspec

STAY_PRIOR: Final = 0.92
"""Share of segments at the rung of the one before, before anything was counted."""
HINT_PRIOR: Final = 0.7
"""Share of hints that are right, before any was seen to be."""
PRIOR_WEIGHT: Final = 10.0
OWN_WEIGHT: Final = 20.0
"""Segments after which a viewer's own habit weighs as much as everybody's."""
KNOWN_MAX: Final = 2_000
"""Segments remembered per situation, by halving: habits change with players and links."""
FAR: Final = 3
"""A change by more rungs counts as one by so many."""
COLUMNS: Final = 2 * FAR + 1
_STAYS: Final = (
    [(1.0 - STAY_PRIOR) / (COLUMNS - 1)] * FAR
    + [STAY_PRIOR]
    + [(1.0 - STAY_PRIOR) / (COLUMNS - 1)] * FAR
)

_Situation = tuple[int, ...]

BUFFERS_S: Final = (6.0, 12.0, 20.0)
"""Where a buffer counts as another situation."""
UNKNOWN: Final = 9


class Guess(msgspec.Struct, frozen=True):
    """The rung of a video segment to come, and how likely it is that one."""

    level: int
    share: float


class Climb:
    """How one session moved on its ladder; levels count from the lowest rate, 0."""

    def __init__(self) -> None:
        self.level: int | None = None
        self.last_change = 0
        self.since = 0
        """Segments since that change."""
        self.stay_count = 0
        self.count = 0
        self.outlook: int | None = None
        """How many rungs up or down its throughput would carry, as of the last request."""
        self.buffer_s: float | None = None
        self.before: tuple[_Situation, ...] = ()
        """The situation of the last request, the finest first."""
        self.hint_level: int | None = None
        """What the player said about the next one."""
        self.hint_right = 0
        self.hint_count = 0
        self.counted_right = 0
        self.counted = self.best = Guess(0, STAY_PRIOR)
        """What is expected next: by counts alone, and by the better of counts and hint."""


class Tally:
    """How often guesses were right."""

    def __init__(self) -> None:
        self.right = 0
        self.count = 0

    def add(self, *, is_right: bool) -> None:
        self.right += is_right
        self.count += 1

    def mixed(self, own_right: int, own_count: int, prior: float) -> float:
        """The share of one session, moved towards that of all, which begins at `prior`."""
        shared = (self.right + PRIOR_WEIGHT * prior) / (self.count + PRIOR_WEIGHT)
        return (own_right + PRIOR_WEIGHT * shared) / (own_count + PRIOR_WEIGHT)


class Rungs:
    """What is known of all viewers."""

    def __init__(self) -> None:
        self._changes: dict[_Situation, list[int]] = {}
        """By how many rungs the next segment changed, from -FAR on; the last is the sum."""
        self.by_counts, self.by_hint, self.by_best = Tally(), Tally(), Tally()

    def learn(self, climb: Climb, level: int, top_level: int, hint_level: int | None) -> None:
        """A viewer asked for a segment at this level of `0..top_level`; `hint_level`: what its
        player says the next one will be."""
        if climb.level is not None:
            self._learn_change(climb, level)
        climb.level = min(level, top_level)
        climb.hint_level = hint_level
        climb.before = _situations(climb, top_level)
        climb.counted = self._counted(climb, top_level)
        climb.best = self._best(climb, top_level)

    def guess(self, climb: Climb) -> Guess:
        """The level of the next segment."""
        return climb.best

    def _learn_change(self, climb: Climb, level: int) -> None:
        assert climb.level is not None
        is_right = climb.counted.level == level
        self.by_counts.add(is_right=is_right)
        climb.counted_right += is_right
        self.by_best.add(is_right=climb.best.level == level)
        if climb.hint_level is not None:
            is_right = climb.hint_level == level
            self.by_hint.add(is_right=is_right)
            climb.hint_right += is_right
            climb.hint_count += 1
        change = level - climb.level
        column = max(-FAR, min(change, FAR)) + FAR
        for situation in climb.before:
            known = self._changes.get(situation)
            if known is None:
                known = self._changes[situation] = [0] * (COLUMNS + 1)
            known[column] += 1
            known[-1] += 1
            if known[-1] > KNOWN_MAX:
                known[:-1] = [count // 2 for count in known[:-1]]
                known[-1] = sum(known[:-1])
        climb.count += 1
        climb.stay_count += change == 0
        climb.since = climb.since + 1 if change == 0 else 0
        climb.last_change = change if change else climb.last_change

    def _best(self, climb: Climb, top_level: int) -> Guess:
        if climb.hint_level is None:
            return climb.counted
        hint_share = self.by_hint.mixed(climb.hint_right, climb.hint_count, HINT_PRIOR)
        if hint_share <= self.by_counts.mixed(climb.counted_right, climb.count, STAY_PRIOR):
            return climb.counted
        return Guess(max(0, min(climb.hint_level, top_level)), hint_share)

    def _counted(self, climb: Climb, top_level: int) -> Guess:
        shares = _STAYS
        for situation in reversed(climb.before):  # from the coarsest to the finest
            known = self._changes.get(situation)
            if known is not None:
                total = known[-1] + PRIOR_WEIGHT
                shares = [
                    (count + PRIOR_WEIGHT * share) / total
                    for count, share in zip(known, shares, strict=False)
                ]
        # How often everybody stays in this situation, moved towards how often this viewer stays.
        stays = shares[FAR]
        own = (climb.stay_count + OWN_WEIGHT * stays) / (climb.count + OWN_WEIGHT)
        column, likeliest = FAR, own
        leaves = (1.0 - own) / (1.0 - stays) if stays < 1.0 else 0.0
        for other, share in enumerate(shares):
            if other != FAR and share * leaves > likeliest:
                column, likeliest = other, share * leaves
        level = (climb.level or 0) + column - FAR
        return Guess(max(0, min(level, top_level)), min(likeliest, 1.0))


def _situations(climb: Climb, top_level: int) -> tuple[_Situation, ...]:
    """What is known of a player's situation, then less and less of it."""
    level = climb.level or 0
    where = 0 if level == 0 else 2 if level >= top_level else 1
    outlook = UNKNOWN if climb.outlook is None else max(-2, min(climb.outlook, 2))
    buffer = UNKNOWN if climb.buffer_s is None else bisect(BUFFERS_S, climb.buffer_s)
    direction = (climb.last_change > 0) - (climb.last_change < 0)
    moved = direction if climb.since == 0 else 0
    return (where, outlook, buffer, moved), (where, outlook, buffer), (where, outlook), (where,)
