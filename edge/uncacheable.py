"""URLs whose answers turned out not to be storable, remembered for a few seconds.

Without it, every client of such a URL would queue behind one fetch only to be told that the answer
is not for it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

COUNT_MAX: Final = 10_000
"""Bounds the memory; a URL pushed out early costs its next client one wait."""


class Uncacheable:
    """A bounded set of URLs, each for `lifetime_s`."""

    def __init__(self, lifetime_s: float) -> None:
        self.lifetime_s = lifetime_s
        self._until_s: OrderedDict[str, float] = OrderedDict()  # soonest first

    def add(self, url: str, now_s: float) -> None:
        self._until_s.pop(url, None)
        self._until_s[url] = now_s + self.lifetime_s
        if len(self._until_s) > COUNT_MAX:
            self._until_s.popitem(last=False)

    def holds(self, url: str, now_s: float) -> bool:
        until_s = self._until_s.get(url)
        return until_s is not None and until_s > now_s

    def forget(self, url: str) -> None:
        """A response of this URL was storable after all."""
        self._until_s.pop(url, None)
