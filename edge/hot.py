"""The table that hits are read from.

One immutable entry per resident object, with everything that serving it needs worked out when it
was stored or refreshed. Looking up changes nothing, so the hit path can do it without telling
anyone (docs/adr/0004-hits-read-only.md). Changing an object means putting another entry in its
place.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from cache.http.freshness import Freshness, describe
from cache.http.headers import Headers
from cache.http.vary import is_match, vary_names
from edge.events import StoredObject
from edge.requests import varying_headers

VARIANTS_MAX = 8
"""Stored responses of one URL that differ by Vary; the one stored first makes room."""


class HotEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A resident object, ready to be judged and served."""

    stored: StoredObject
    freshness: Freshness
    is_varied: bool

    @classmethod
    def of(cls, stored: StoredObject, *, default_freshness_s: float) -> HotEntry:
        return cls(
            stored=stored,
            freshness=describe(
                stored.status,
                stored.headers,
                requested_wall_s=stored.requested_wall_s,
                received_wall_s=stored.received_wall_s,
                default_freshness_s=default_freshness_s,
            ),
            is_varied=vary_names(stored.headers) != (),
        )


class HotTable:
    """Entries by URL and by object id."""

    def __init__(self) -> None:
        self._by_url: dict[str, tuple[HotEntry, ...]] = {}
        self._by_id: dict[str, HotEntry] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def match(self, url: str, request_headers: Headers) -> HotEntry | None:
        """The newest entry that may answer a request with these fields, fresh or not."""
        for entry in self._by_url.get(url, ()):
            if not entry.is_varied:
                return entry
            if is_match(entry.stored.headers, entry.stored.vary, varying_headers(request_headers)):
                return entry
        return None

    def variants(self, url: str) -> tuple[HotEntry, ...]:
        """All entries of a URL, newest first."""
        return self._by_url.get(url, ())

    def get(self, object_id: str) -> HotEntry | None:
        return self._by_id.get(object_id)

    def entries(self) -> Iterator[HotEntry]:
        return iter(self._by_id.values())

    def put(self, entry: HotEntry) -> None:
        """Add an entry, or put it in the place of the one with its object id."""
        url, object_id = entry.stored.url, entry.stored.object_id
        others = tuple(e for e in self.variants(url) if e.stored.object_id != object_id)
        self._by_url[url] = (entry, *others)
        self._by_id[object_id] = entry

    def remove(self, object_id: str) -> HotEntry | None:
        entry = self._by_id.pop(object_id, None)
        if entry is None:
            return None
        url = entry.stored.url
        others = tuple(e for e in self.variants(url) if e.stored.object_id != object_id)
        if others:
            self._by_url[url] = others
        else:
            del self._by_url[url]
        return entry
