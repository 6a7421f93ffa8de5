"""What is taken up here: for those of whom nothing is known.

Counted by viewers, with a half-life of a week (what everybody watched last month is no news), for a
bounded number of titles; those taken up longest ago make room. What one or two have watched is not
said to others.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import Final

HALF_LIFE_S: Final = 7 * 86_400.0
TITLES_MAX: Final = 20_000
VIEWERS_MIN: Final = 3
LISTED_S: Final = 10.0
"""How long a list holds: sorting all titles for each client would take milliseconds."""


class Popular:
    """Titles by how many took them up of late."""

    def __init__(self, listed_max: int) -> None:
        self._listed_max = listed_max
        # A later play weighs more instead of all earlier ones less, so that the order stands still
        # between plays. In a float the weight doubles for a thousand weeks.
        self._taken: OrderedDict[str, tuple[float, int]] = OrderedDict()  # weight, viewers
        self._listed: tuple[str, ...] = ()
        self._listed_until_s = float("-inf")

    def taken(self, name: str, now_s: float) -> None:
        """By a viewer who had not watched it before."""
        weight, viewer_count = self._taken.pop(name, (0.0, 0))
        self._taken[name] = weight + 2.0 ** (now_s / HALF_LIFE_S), viewer_count + 1
        if len(self._taken) > TITLES_MAX:
            self._taken.popitem(last=False)

    def most(self, now_s: float) -> tuple[str, ...]:
        """The most popular first, at most `listed_max`; of equal ones by name."""
        if now_s >= self._listed_until_s:
            self._listed_until_s = now_s + LISTED_S
            ordered = (
                (-weight, name)
                for name, (weight, viewer_count) in self._taken.items()
                if viewer_count >= VIEWERS_MIN
            )
            self._listed = tuple(name for _, name in heapq.nsmallest(self._listed_max, ordered))
        return self._listed
