"""At which rung the next segment of a title will be asked for.

Players stay on a rung most of the time, and when they move it is seldom far: after a step up often
up again, never above the top. Counted for each situation (at the bottom, between or at the top of
the ladder; what the last change was; how long ago), over all viewers of this edge, and for each
viewer how often it stays. Nothing is known at first: then the rung is taken to stay.

Players may name their next object (CMCD `nor`). Of some that is right each time, of others hardly
more than every third time, as they decide anew later; so it is counted as well, and of the two the
one that has been right more often is followed.
"""

from __future__ import annotations

from collections import Counter
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

_Situation = tuple[int, int, int]


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
        self.hint_level: int | None = None
        """What the player said about the next one."""
        self.hint_right = 0
        self.hint_count = 0
        self.counted_right = 0


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
        self._changes: dict[_Situation, Counter[int]] = {}
        self.by_counts, self.by_hint, self.by_best = Tally(), Tally(), Tally()

    def learn(self, climb: Climb, level: int, top_level: int, hint_level: int | None) -> None:
        """A viewer asked for a segment at this level of `0..top_level`; `hint_level`: what its
        player says the next one will be."""
        if climb.level is not None:
            self._learn_change(climb, level, top_level)
        climb.level = min(level, top_level)
        climb.hint_level = hint_level

    def _learn_change(self, climb: Climb, level: int, top_level: int) -> None:
        assert climb.level is not None
        is_right = self._counted(climb, top_level).level == level
        self.by_counts.add(is_right=is_right)
        climb.counted_right += is_right
        self.by_best.add(is_right=self.guess(climb, top_level).level == level)
        if climb.hint_level is not None:
            is_right = climb.hint_level == level
            self.by_hint.add(is_right=is_right)
            climb.hint_right += is_right
            climb.hint_count += 1
        change = level - climb.level
        known = self._changes.setdefault(_situation(climb, top_level), Counter())
        known[max(-FAR, min(change, FAR))] += 1
        if known.total() > KNOWN_MAX:
            for one in list(known):
                known[one] //= 2
        climb.count += 1
        climb.stay_count += change == 0
        climb.since = climb.since + 1 if change == 0 else 0
        climb.last_change = change if change else climb.last_change

    def guess(self, climb: Climb, top_level: int) -> Guess:
        """The level of the next segment."""
        counted = self._counted(climb, top_level)
        if climb.hint_level is None:
            return counted
        hint_share = self.by_hint.mixed(climb.hint_right, climb.hint_count, HINT_PRIOR)
        if hint_share <= self.by_counts.mixed(climb.counted_right, climb.count, STAY_PRIOR):
            return counted
        return Guess(max(0, min(climb.hint_level, top_level)), hint_share)

    def _counted(self, climb: Climb, top_level: int) -> Guess:
        level = climb.level or 0
        known = self._changes.get(_situation(climb, top_level), Counter())
        total = known.total() + PRIOR_WEIGHT
        shares = {change: count / total for change, count in known.items()}
        shares[0] = shares.get(0, 0.0) + PRIOR_WEIGHT * STAY_PRIOR / total
        # How often everybody stays in this situation, moved towards how often this viewer stays.
        own = (climb.stay_count + OWN_WEIGHT * shares[0]) / (climb.count + OWN_WEIGHT)
        others = 1.0 - shares[0]
        weighed = {
            change: own if change == 0 else share / others * (1.0 - own)
            for change, share in shares.items()
            if change == 0 or others > 0
        }
        change, share = max(weighed.items(), key=lambda one: (one[1], one[0] == 0, one[0]))
        return Guess(max(0, min(level + change, top_level)), share)


def _situation(climb: Climb, top_level: int) -> _Situation:
    level = climb.level or 0
    where = 0 if level == 0 else 2 if level >= top_level else 1
    direction = (climb.last_change > 0) - (climb.last_change < 0)
    return where, direction, min(climb.since, 4) if climb.since < 8 else 5
