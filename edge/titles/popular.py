"""What is taken up here: for those of whom nothing is known.

Counted with a half-life of a week (what everybody watched last month is no news), for a bounded
number of titles; those taken up longest ago make room.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import Final

HALF_LIFE_S: Final = 7 * 86_400.0
TITLES_MAX: Final = 20_000
LISTED_S: Final = 10.0
"""How long a list holds: sorting all titles for each client would take milliseconds."""


class Popular:
    """Titles by how often they were taken up of late."""

    def __init__(self, listed_max: int) -> None:
        self._listed_max = listed_max
        # A later play weighs more instead of all earlier ones less, so that the order stands still
        # between plays. In a float the weight doubles for a thousand weeks.
        self._weights: OrderedDict[str, float] = OrderedDict()
        self._listed: tuple[str, ...] = ()
        self._listed_until_s = float("-inf")

    def taken(self, name: str, now_s: float) -> None:
        weight = self._weights.pop(name, 0.0)
        self._weights[name] = weight + 2.0 ** (now_s / HALF_LIFE_S)
        if len(self._weights) > TITLES_MAX:
            self._weights.popitem(last=False)

    def most(self, now_s: float) -> tuple[str, ...]:
        """The most popular first, at most `listed_max`; of equal ones by name."""
        if now_s >= self._listed_until_s:
            self._listed_until_s = now_s + LISTED_S
            ordered = ((-weight, name) for name, weight in self._weights.items())
            self._listed = tuple(name for _, name in heapq.nsmallest(self._listed_max, ordered))
        return self._listed
