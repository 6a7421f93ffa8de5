"""At which rung a viewer will start the next title.

Not always the one it is on: many players start low and climb, the more so on links that vary.
What they start with is what start-up waits for, so it is learnt: for each rung that a viewer was on
when it went on to a successor, how often the successor began on which. A viewer's own last time
counts several times, the rung that it began this title with counts once, and as long as nothing is
known it is the rung it is on.

The first seconds of a second rung are few bytes that decide about the whole start-up, so they pay
from a probability of about 0.1 on (edge.prefetch.value); less likely rungs are not named.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Final

from edge.prefetch.tallies import halved
from edge.sessions import Session
from edge.viewers import Rung

SAME_WEIGHT: Final = 2.0
BEGAN_WEIGHT: Final = 1.0
OWN_WEIGHT: Final = 4.0
RUNGS_MAX: Final = 1000
"""Rungs learnt about; names repeat from title to title, so that a few dozen are the rule."""

KNOWN_MAX: Final = 200
"""Starts remembered per rung, by halving: habits change with players."""


class Starts:
    """What viewers began successors with."""

    def __init__(self, threshold: float) -> None:
        """Rungs below this share are not worth naming."""
        self._threshold = threshold
        self._began: OrderedDict[str, Counter[Rung]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._began)

    def start_count(self, representation_id: str) -> int:
        """How many rungs are remembered as following this one."""
        return len(self._began.get(representation_id, ()))

    def learn(self, session: Session) -> None:
        """A session that follows another has begun with its first rung."""
        before, first = session.came_from, session.first_rung
        if before is None or first is None:
            return
        session.viewer.last_start = first
        known = self._began.setdefault(before.representation_id, Counter())
        self._began.move_to_end(before.representation_id)
        known[first] += 1
        if known.total() > KNOWN_MAX:
            self._began[before.representation_id] = halved(known)
        if len(self._began) > RUNGS_MAX:
            self._began.popitem(last=False)

    def likely(self, session: Session) -> tuple[tuple[Rung, float], ...]:
        """The rungs beside the present one that are likely enough, likeliest first, each with its
        share of what is expected."""
        now = session.rungs.get("video")
        if now is None:
            return ()
        weights: dict[Rung, float] = {now: SAME_WEIGHT}
        for rung, count in self._began.get(now.representation_id, Counter[Rung]()).items():
            weights[rung] = weights.get(rung, 0.0) + count
        for other, weight in (
            (session.viewer.last_start, OWN_WEIGHT),
            (session.first_rung, BEGAN_WEIGHT),
        ):
            if other is not None:
                weights[other] = weights.get(other, 0.0) + weight
        total = sum(weights.values())
        likely = [
            (rung, weight / total)
            for rung, weight in weights.items()
            if rung != now and weight / total >= self._threshold
        ]
        return tuple(sorted(likely, key=lambda one: (-one[1], one[0].representation_id)))
