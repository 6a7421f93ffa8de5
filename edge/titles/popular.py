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


class Popular:
    """Titles by how often they were taken up of late."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, tuple[float, float]] = OrderedDict()  # count, as of when

    def taken(self, name: str, now_s: float) -> None:
        count, at_s = self._counts.pop(name, (0.0, now_s))
        self._counts[name] = _aged(count, at_s, now_s) + 1.0, now_s
        if len(self._counts) > TITLES_MAX:
            self._counts.popitem(last=False)

    def most(self, count: int, now_s: float) -> tuple[str, ...]:
        """The most popular first; of equal ones by name."""
        aged = ((-_aged(*known, now_s), name) for name, known in self._counts.items())
        return tuple(name for _, name in heapq.nsmallest(count, aged))


def _aged(count: float, at_s: float, now_s: float) -> float:
    return float(count * 0.5 ** ((now_s - at_s) / HALF_LIFE_S))
