"""The table that hits are read from.

One immutable entry per resident object, with everything that serving it needs worked out when it
was stored or refreshed. Looking up changes nothing, so the hit path can do it without telling
anyone (docs/adr/0004-hits-read-only.md). Changing an object means putting another entry in its
place.

**What a driver may decide from an entry by itself.** For a GET or HEAD whose URL has exactly one
entry (`HotTable.plain`), while `is_plain` and `now < fresh_until_wall_s`, and when the request
carries none of Cache-Control, Pragma, Authorization, Cookie, If-Match, If-Unmodified-Since,
If-Range or a body:

- no condition and no Range: 200 with `fields`, Age = `now - made_wall_s` rounded down, and
  Cache-Status after `cache_status_before`;
- If-None-Match with one entity tag whose bytes, less a leading `W/`, equal `etag`: 304 with
  `not_modified_fields`, whatever If-Modified-Since says;
- no If-None-Match, and If-Modified-Since that is byte for byte `last_modified`: 304 likewise;
- one Range `first-last`, `first-` or `-n` within `stored.size_bytes`, no condition: 206.

Everything else, and every doubt, is a question to `EdgeCore.find_hit` or `Requested`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from cache.http.conditional import not_modified_headers, stored_etag
from cache.http.dates import parse_date
from cache.http.freshness import Freshness, StorageRules, describe, ended
from cache.http.headers import Headers, get_all, get_one, without
from cache.http.parts import Part, wanted_of
from cache.http.vary import is_match, vary_names
from edge.effects import StoredObject
from edge.forwarding import varying_headers
from edge.tags import TagIndex
from nearcast.cache_status import readable_only

MADE_PER_ANSWER = frozenset({"age", "cache-status", "content-length"})
"""Fields that are never sent as they were stored."""


class HotEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A resident object, ready to be judged and served."""

    stored: StoredObject
    freshness: Freshness
    is_varied: bool
    is_plain: bool
    """A whole 200 for everyone that needs no validation: the driver may serve it while fresh."""
    fresh_until_wall_s: float
    made_wall_s: float
    """Age counts from here."""
    etag: bytes | None
    """As sent but for a leading `W/`, for the weak comparison of If-None-Match."""
    last_modified: bytes | None
    """As sent, when it is a date."""
    last_modified_wall_s: float | None
    fields: Headers
    """Of a 200 answer with the whole body, but for Age and Cache-Status; Date is the origin's."""
    not_modified_fields: Headers
    """Of a 304, likewise."""
    cache_status_before: str
    """What the caches between us and the origin said; ours goes after it. May be empty."""

    @property
    def part(self) -> Part | None:
        """Which part of the resource is stored; None: the whole."""
        of_bytes, first = self.stored.part_of_bytes, self.stored.part_first
        if of_bytes is None:
            return None
        return Part(first=first, last=first + self.stored.size_bytes - 1, of_bytes=of_bytes)

    def fits(self, request_headers: Headers) -> bool:
        """Whether a request with these fields would get this variant."""
        return not self.is_varied or is_match(
            self.stored.headers, self.stored.vary, varying_headers(request_headers)
        )

    @classmethod
    def of(
        cls,
        stored: StoredObject,
        rules: StorageRules,
        *,
        visible: Callable[[Headers], Headers] | None = None,
    ) -> HotEntry:
        """`visible`: which of the fields clients get; None: all."""
        freshness = describe(
            stored.status,
            stored.headers,
            requested_wall_s=stored.requested_wall_s,
            received_wall_s=stored.received_wall_s,
            rules=rules,
        )
        if stored.stale_from_wall_s is not None:
            freshness = ended(freshness, stored.stale_from_wall_s)
        is_varied = vary_names(stored.headers) != ()
        etag = stored_etag(stored.headers)
        last_modified = get_one(stored.headers, "last-modified")
        last_modified_wall_s = parse_date(last_modified)
        common = without(stored.headers, MADE_PER_ANSWER)
        if visible is not None:
            common = visible(common)
        accepts: Headers = () if get_all(common, "accept-ranges") else (("accept-ranges", "bytes"),)
        return cls(
            stored=stored,
            freshness=freshness,
            is_varied=is_varied,
            is_plain=(
                stored.status == 200
                and stored.part_of_bytes is None
                and not is_varied
                and not freshness.must_validate
            ),
            fresh_until_wall_s=freshness.fresh_until_wall_s,
            made_wall_s=freshness.received_wall_s - freshness.initial_age_s,
            etag=_opaque(etag) if etag is not None else None,
            last_modified=(
                last_modified.encode("ascii")
                if last_modified is not None and last_modified_wall_s is not None
                else None
            ),
            last_modified_wall_s=last_modified_wall_s,
            fields=(*common, *accepts, ("content-length", str(stored.size_bytes))),
            not_modified_fields=not_modified_headers(common),
            cache_status_before=readable_only(", ".join(get_all(stored.headers, "cache-status"))),
        )


def _opaque(etag: str) -> bytes:
    return etag.removeprefix("W/").encode("latin-1", "replace")  # as fields are read


class HotTable:
    """Entries by URL and by object id."""

    def __init__(self) -> None:
        self._by_url: dict[str, tuple[HotEntry, ...]] = {}
        self._parts: dict[str, tuple[HotEntry, ...]] = {}
        self._by_id: dict[str, HotEntry] = {}
        self._plain: dict[str, HotEntry] = {}
        self._tags = TagIndex()
        self.plain = self._plain.get
        """The entry of a URL that a driver may serve by itself while it is fresh; see the top of
        this file."""

    def __len__(self) -> int:
        return len(self._by_id)

    def match(self, url: str, request_headers: Headers) -> HotEntry | None:
        """The newest whole entry that may answer a request with these fields, fresh or not."""
        for entry in self._by_url.get(url, ()):
            if entry.fits(request_headers):
                return entry
        return None

    def match_part(
        self, url: str, request_headers: Headers, range_text: str | None
    ) -> HotEntry | None:
        """The newest part that holds the one range wanted."""
        for entry in self._parts.get(url, ()):
            part = entry.part
            assert part is not None
            wanted = wanted_of(range_text, part.of_bytes)
            if wanted is not None and part.holds(wanted) and entry.fits(request_headers):
                return entry
        return None

    def variants(self, url: str) -> tuple[HotEntry, ...]:
        """All whole entries of a URL, newest first."""
        return self._by_url.get(url, ())

    def parts(self, url: str) -> tuple[HotEntry, ...]:
        """All parts of a URL, newest first."""
        return self._parts.get(url, ())

    def get(self, object_id: str) -> HotEntry | None:
        return self._by_id.get(object_id)

    def ids(self) -> tuple[str, ...]:
        return tuple(self._by_id)

    def tagged(self, tag: str) -> Iterator[str]:
        """The ids of the objects that upstream gave this tag."""
        return self._tags.find(tag)

    def entries(self) -> Iterator[HotEntry]:
        return iter(self._by_id.values())

    def put(self, entry: HotEntry) -> None:
        """Add an entry, or put it in the place of the one with its object id."""
        url, object_id = entry.stored.url, entry.stored.object_id
        table = self._table_of(entry)
        others = tuple(e for e in table.get(url, ()) if e.stored.object_id != object_id)
        table[url] = (entry, *others)
        self._by_id[object_id] = entry
        self._see_plain(url)
        self._tags.put(object_id, entry.stored.headers)

    def remove(self, object_id: str) -> HotEntry | None:
        entry = self._by_id.pop(object_id, None)
        if entry is None:
            return None
        self._tags.remove(object_id)
        url, table = entry.stored.url, self._table_of(entry)
        others = tuple(e for e in table.get(url, ()) if e.stored.object_id != object_id)
        if others:
            table[url] = others
        else:
            del table[url]
        self._see_plain(url)
        return entry

    def _see_plain(self, url: str) -> None:
        entries = self._by_url.get(url, ())
        if len(entries) == 1 and entries[0].is_plain:
            self._plain[url] = entries[0]
        else:
            self._plain.pop(url, None)

    def _table_of(self, entry: HotEntry) -> dict[str, tuple[HotEntry, ...]]:
        return self._by_url if entry.stored.part_of_bytes is None else self._parts
