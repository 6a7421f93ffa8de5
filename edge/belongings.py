"""What stored objects are part of, for eviction policies that expect something of it.

The media map tells it of a URL, through whoever foresees (edge.prefetch.expectations). An object
may come before its manifest was read: it is by itself then, and a *stray* until somebody says what
it is part of.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from cache.eviction import Belonging
from cache.index import Index

STRAYS_MAX: Final = 100_000
"""URLs of objects of which is not known what they are part of, as far as anybody asks."""


class Belongings:
    """Tells the index what belongs together, where its policy wants to know."""

    def __init__(self, index: Index, ids_of: Callable[[str], tuple[str, ...]]) -> None:
        """`ids_of`: the resident objects of a URL."""
        self._index = index
        self._ids_of = ids_of
        self._strays: OrderedDict[str, None] = OrderedDict()
        self.find: Callable[[str], Belonging | None] = lambda url: None
        """What an object is part of, by its URL; whoever knows sets it."""

    def of(self, url: str) -> Belonging | None:
        """What is known of a URL now; None also where the policy does not care."""
        return self.find(url) if self._index.expects is not None else None

    def of_new(self, url: str) -> Belonging | None:
        """As `of`, for an object that comes in. By itself it is known by its URL: one that is
        fetched again has another id."""
        if self._index.expects is None:
            return None
        known = self.find(url)
        if known is not None:
            return known
        self._strays[url] = None
        if len(self._strays) > STRAYS_MAX:
            self._strays.popitem(last=False)
        return Belonging(group=url)

    @property
    def has_strays(self) -> bool:
        """Whether there are objects of which it might be learnt what they are part of."""
        return bool(self._strays)

    def learned(self, url: str, belonging: Belonging | None) -> None:
        """It is known now what a stray is part of."""
        if belonging is not None and url in self._strays:
            del self._strays[url]
            for object_id in self._ids_of(url):
                self._index.belong(object_id, belonging)
