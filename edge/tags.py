"""Surrogate keys: words by which upstream marks what belongs together, so that it can be purged
together. `Surrogate-Key: a b` and `Cache-Tag: a, b` say the same; case counts.

They travel in the stored header fields, so they survive restarts with them. Each takes memory for
every object that has it, so an object has a bounded number; those beyond it do not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cache.http.headers import Headers, get_all

_FIELDS: Final = frozenset({"surrogate-key", "cache-tag"})


TAGS_MAX: Final = 64
TAG_LENGTH_MAX: Final = 256


def tags_of(headers: Headers) -> tuple[str, ...]:
    """The tags of a response, each once, at most TAGS_MAX."""
    if _FIELDS.isdisjoint([name for name, _ in headers]):
        return ()
    found: dict[str, None] = {}
    for value in get_all(headers, "surrogate-key"):
        found.update(dict.fromkeys(value.split()))
    for value in get_all(headers, "cache-tag"):
        found.update((tag, None) for one in value.split(",") if (tag := one.strip(" \t")))
    return tuple(tag for tag in found if len(tag) <= TAG_LENGTH_MAX)[:TAGS_MAX]


class TagIndex:
    """Object ids by tag. Finding costs as much as there is to find, and what has no tag costs
    nothing."""

    def __init__(self) -> None:
        # The inner dicts are ordered sets: purges go in the order of storing, run after run.
        self._objects: dict[str, dict[str, None]] = {}
        self._tags: dict[str, tuple[str, ...]] = {}

    def __len__(self) -> int:
        """How many tags there are."""
        return len(self._objects)

    def put(self, object_id: str, headers: Headers) -> None:
        """An object is stored, or has other fields from now on."""
        tags = tags_of(headers)
        if self._tags.get(object_id, ()) == tags:
            return
        self.remove(object_id)
        if tags:
            self._tags[object_id] = tags
            for tag in tags:
                self._objects.setdefault(tag, {})[object_id] = None

    def remove(self, object_id: str) -> None:
        for tag in self._tags.pop(object_id, ()):
            objects = self._objects[tag]
            del objects[object_id]
            if not objects:
                del self._objects[tag]

    def find(self, tag: str) -> Iterator[str]:
        return iter(self._objects.get(tag, ()))
