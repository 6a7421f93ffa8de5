"""Which stored objects of one URL exclude each other.

Variants of a whole differ by what Vary counts; one that does not vary answers every request, so it
and its variants exclude each other. Parts of a resource stay beside each other until the whole
comes, unless a newer one holds all of an older, or is of another representation. Of both kinds a
URL has a bounded number, and its parts together never have more bytes than the whole: so many that
overlap are of use to nobody but who wants the store to be full of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cache.http.headers import get_one
from cache.http.vary import vary_names
from edge.effects import StoredObject
from edge.hot import HotEntry

VARIANTS_MAX: Final = 8
"""Stored responses of one URL that differ by Vary; the one stored first makes room."""

PARTS_MAX: Final = 256
"""Stored parts of one URL; the one stored first makes room."""


def replaced_by(
    stored: StoredObject, whole: Sequence[HotEntry], parts: Sequence[HotEntry]
) -> list[HotEntry]:
    """What a new object succeeds, and what must make room for it, of what is stored for its URL
    (each newest first)."""
    is_varied = vary_names(stored.headers) != ()

    def is_same(entry: HotEntry) -> bool:
        return entry.stored.vary == stored.vary or not (entry.is_varied and is_varied)

    if stored.part_of_bytes is None:
        gone = [entry for entry in (*whole, *parts) if is_same(entry)]
        left = [entry for entry in whole if not is_same(entry)]
        return gone + left[VARIANTS_MAX - 1 :]
    gone = [entry for entry in parts if is_same(entry) and _is_succeeded(entry.stored, stored)]
    left = [entry for entry in parts if entry not in gone]
    held_bytes = stored.size_bytes
    for number, entry in enumerate(left):
        held_bytes += entry.stored.size_bytes
        if number >= PARTS_MAX - 1 or held_bytes > stored.part_of_bytes:
            return gone + left[number:]
    return gone


def is_excluded(stored: StoredObject, whole: Sequence[HotEntry], parts: Sequence[HotEntry]) -> bool:
    """Whether an object that a store still had has no place beside what was found before it."""
    rivals = whole
    if stored.part_of_bytes is not None:
        rivals = parts
        if len(parts) < PARTS_MAX:
            rivals = [one for one in parts if _is_succeeded(one.stored, stored)]
    return any(one.stored.vary == stored.vary for one in rivals)


def _is_succeeded(old: StoredObject, new: StoredObject) -> bool:
    """Whether one part of a resource is of no use beside a newer one: it lies inside it, or it is
    of another representation."""
    if old.part_of_bytes != new.part_of_bytes:
        return True
    if get_one(old.headers, "etag") != get_one(new.headers, "etag"):
        return True
    return (
        new.part_first <= old.part_first
        and old.part_first + old.size_bytes <= new.part_first + new.size_bytes
    )
