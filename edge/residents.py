"""What the node holds: the one place that joins the index's decisions to the hot table.

The index (cache.index) decides what stays and counts the bytes; the hot table is what requests are
matched against. Both change together here, and the driver is told in the same order: what goes
first, what comes in last. Whoever holds an object id may find it gone at any later moment.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec

from cache.eviction import Belonging
from cache.http.conditional import updated
from cache.http.freshness import StorageRules, dated
from cache.http.headers import Headers, get_one
from cache.http.parts import strong_etag
from cache.http.ranges import select_range
from cache.http.vary import vary_names
from cache.index import ENTRY_BYTES, UNCHANGED, Index
from edge.config import EdgeConfig, HttpConfig
from edge.effects import Commit, DropObject, Effect, SetInMemory, StoredObject, UpdateStored
from edge.hot import PARTS_MAX, VARIANTS_MAX, HotEntry, HotTable
from edge.records import ObjectLeft
from edge.services import Service, Services
from edge.status import Counters
from edge.tags import tags_of
from nearcast.horizons import HORIZONS_S
from nearcast.machine import EffectQueue
from nearcast.record import Recorder

FIELD_BYTES: Final = 150
"""Of RAM for each header field of a stored object, its text apart; measured."""
TAG_BYTES: Final = 300
"""Likewise for each surrogate key."""

NEWS_MAX: Final = 10_000
STRAYS_MAX: Final = 100_000
"""URLs of objects of which is not known what they are part of, as far as anybody asks."""

Reason = Literal["evicted", "expired", "replaced", "invalidated", "purged", "lost"]


class News(msgspec.Struct, frozen=True):
    """What became of an object: it was evicted, or it was prefetched and was used or left."""

    url: str
    size_bytes: int
    what: Literal["evicted", "used", "left"]


class Residents:
    """The objects in the store, by URL and by id."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        services: Services,
        effects: EffectQueue[Effect],
        counters: Counters,
        recorder: Recorder,
    ) -> None:
        self.index = Index(config.cache())
        self._services = services
        self._rules = _rules(config.http)
        self._rules_of: dict[Service, StorageRules] = {}
        self._is_memory_only = config.store is None
        self.prefetch_lifetime_s = (
            config.prefetch.lifetime_s if self.index.expects is None else HORIZONS_S[-1]
        )
        """How long prefetched objects are kept at most. A policy that is told what to expect lets
        them go when they are worth less than others; beyond the last horizon nobody knows."""
        self._table = HotTable()
        self._planned: dict[str, None] = {}  # ids of what is pinned
        self.plain = self._table.plain
        """The entry of a URL that a driver may serve by itself (edge.hot). Bound here and asked
        directly: it is called for every hit."""
        self._effects = effects
        self._counters = counters
        self._recorder = recorder
        self.news: deque[News] = deque(maxlen=NEWS_MAX)
        """Who foresees takes these; where nobody does, the oldest are lost."""
        self.pinned_bytes_max = self.index.config.capacity_bytes
        """What comes for a plan beyond this is an object like any other; who follows one says."""
        self.unpinned: deque[str] = deque(maxlen=NEWS_MAX)
        """URLs of pinned objects that are gone or were replaced, for who follows a plan."""
        self.belonging_of: Callable[[str], Belonging | None] = lambda url: None
        """What an object is part of, by its URL; asked only where the policy wants to know."""
        self._strays: OrderedDict[str, None] = OrderedDict()

    def reconfigure(self, config: EdgeConfig) -> None:
        """Judge by these settings what comes in from now on; `renew` what is here."""
        self._rules = _rules(config.http)
        self._rules_of.clear()

    def renew(self, entry: HotEntry) -> None:
        """Judge a resident object anew, by the settings of this moment."""
        self._put(entry.stored)

    def __len__(self) -> int:
        return len(self._table)

    def match(self, url: str, request_headers: Headers) -> HotEntry | None:
        """The entry that may answer such a request, fresh or not. Changes nothing."""
        return self._table.match(url, request_headers)

    def find(self, url: str, method: str, request_headers: Headers) -> HotEntry | None:
        """As `match`, or a part that holds the range which this request wants."""
        entry = self._table.match(url, request_headers)
        if entry is not None or method != "GET" or not self._table.parts(url):
            return entry
        entry = self._table.match_part(url, request_headers, get_one(request_headers, "range"))
        if entry is None or entry.stored.part_of_bytes is None:
            return None
        # If-Range may ask for the whole instead.
        selection = select_range(
            method, request_headers, entry.stored.headers, entry.stored.part_of_bytes
        )
        return entry if selection is not None else None

    def beginning(self, url: str, request_headers: Headers) -> HotEntry | None:
        """The longest part that holds the resource from its first byte and could be gone on
        from."""
        found = None
        for entry in self._table.parts(url):
            if (
                entry.stored.part_first == 0
                and strong_etag(entry.stored.headers) is not None
                and entry.fits(request_headers)
                and (found is None or entry.stored.size_bytes > found.stored.size_bytes)
            ):
                found = entry
        return found

    def variants(self, url: str) -> tuple[HotEntry, ...]:
        """All that is stored for the URL, for whichever request, newest first."""
        return self._table.variants(url)

    def get(self, object_id: str) -> HotEntry | None:
        return self._table.get(object_id)

    def entries(self) -> Iterator[HotEntry]:
        return self._table.entries()

    def rules_for(self, url: str) -> StorageRules:
        """What holds for a URL's responses that do not say all themselves."""
        service = self._services.of_url(url)
        if service is None:
            return self._rules
        rules = self._rules_of.get(service)
        if rules is None:
            rules = self._rules_of[service] = msgspec.structs.replace(
                self._rules,
                default_freshness_s=service.default_freshness_s,
                negative_ttl_s=service.negative_ttl_s,
            )
        return rules

    def counted(self, url: str, sent: Headers, answer: Headers) -> Headers:
        """An answer's fields, as they are stored: Vary names what of the request counts."""
        service = self._services.of_url(url)
        return service.forwarding.counted(sent, answer) if service is not None else answer

    def ids(self) -> tuple[str, ...]:
        """Of all objects, as of now."""
        return self._table.ids()

    def ids_of(self, url: str) -> tuple[str, ...]:
        """Of all that is stored for a URL."""
        found = (*self._table.variants(url), *self._table.parts(url))
        return tuple(entry.stored.object_id for entry in found)

    def tagged(self, tag: str) -> tuple[str, ...]:
        """Of the objects that upstream gave this tag."""
        return tuple(self._table.tagged(tag))

    # -- coming in

    def admit(
        self,
        fill_id: int,
        stored: StoredObject,
        now_s: float,
        *,
        prefetch_until_s: float | None = None,
    ) -> str | None:
        """Keep a finished fill, in place of what it succeeds. Says why not, or None; the caller
        lets the fill go then."""
        for entry in self._replaced_by(stored):
            if entry.stored.is_planned and stored.part_of_bytes is None:
                stored = msgspec.structs.replace(stored, is_planned=True)
            self._remove(entry.stored.object_id, "replaced", now_s)
        if stored.is_planned and (
            self.index.pinned_bytes + stored.size_bytes > self.pinned_bytes_max
        ):
            stored = msgspec.structs.replace(stored, is_planned=False)
        admission = self.index.add(
            stored.object_id,
            stored.size_bytes,
            now_s,
            index_bytes=_index_bytes(stored),
            prefetch_until_s=None if stored.is_planned else prefetch_until_s,
            is_pinned=stored.is_planned,
            belonging=self._belonging(stored.url),
        )
        self._left(admission.evicted, "evicted", now_s)
        if admission.refusal is not None:
            return admission.refusal
        self._unload(admission.unloaded)
        self._put(stored)
        self._effects.emit(
            Commit(
                fill_id=fill_id,
                stored=stored,
                in_memory=admission.is_in_memory or self._is_memory_only,
            )
        )
        return None

    def _belonging(self, url: str) -> Belonging | None:
        """By itself an object is known by its URL: one that is fetched again has another id."""
        if self.index.expects is None:
            return None
        known = self.belonging_of(url)
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

    def belongs(self, url: str, belonging: Belonging | None) -> None:
        """It is known now what a stray is part of."""
        if belonging is not None and url in self._strays:
            del self._strays[url]
            for object_id in self.ids_of(url):
                self.index.belong(object_id, belonging)

    def _replaced_by(self, stored: StoredObject) -> list[HotEntry]:
        """What a new object succeeds, and what must make room for it."""
        is_varied = vary_names(stored.headers) != ()

        def is_same(entry: HotEntry) -> bool:
            # One that does not vary answers every request, so it and its variants exclude
            # each other.
            return entry.stored.vary == stored.vary or not (entry.is_varied and is_varied)

        whole, parts = self._table.variants(stored.url), self._table.parts(stored.url)
        if stored.part_of_bytes is None:
            gone = [entry for entry in (*whole, *parts) if is_same(entry)]
            left = [entry for entry in whole if not is_same(entry)]
            return gone + left[VARIANTS_MAX - 1 :]
        gone = [entry for entry in parts if is_same(entry) and _is_succeeded(entry.stored, stored)]
        left = [entry for entry in parts if entry not in gone]
        # Parts that do not overlap never hold more than the whole does; so many that do are of
        # use to nobody but who wants the store to be full of them.
        held_bytes = stored.size_bytes
        for number, entry in enumerate(left):
            held_bytes += entry.stored.size_bytes
            if number >= PARTS_MAX - 1 or held_bytes > stored.part_of_bytes:
                return gone + left[number:]
        return gone

    def restore(self, objects: Iterable[StoredObject], now_s: float, wall_s: float) -> None:
        """What the store held when the node started; what does not fit any more is dropped."""
        for told in objects:
            stored = not_from_the_future(told, wall_s)
            if stored.object_id in self.index or any(
                entry.stored.vary == stored.vary for entry in self._rivals(stored)
            ):
                self._effects.emit(DropObject(object_id=stored.object_id))
                continue
            admission = self.index.add(
                stored.object_id,
                stored.size_bytes,
                now_s,
                index_bytes=_index_bytes(stored),
                is_pinned=stored.is_planned,
                is_restored=True,
                belonging=self._belonging(stored.url),
            )
            self._left(admission.evicted, "evicted", now_s)
            if admission.is_admitted:
                self._put(stored)
                if stored is not told:
                    self._effects.emit(UpdateStored(stored=stored))
            else:
                self._effects.emit(DropObject(object_id=stored.object_id))

    def _rivals(self, stored: StoredObject) -> tuple[HotEntry, ...]:
        if stored.part_of_bytes is None:
            return self._table.variants(stored.url)
        parts = self._table.parts(stored.url)
        if len(parts) >= PARTS_MAX:
            return parts
        return tuple(one for one in parts if _is_succeeded(one.stored, stored))

    def refresh(
        self, entry: HotEntry, fresh_headers: Headers, requested_wall_s: float, wall_s: float
    ) -> HotEntry:
        """A 304 confirmed the object: its fields and times are renewed."""
        old = entry.stored
        headers = updated(
            old.headers,
            dated(fresh_headers, wall_s),
            with_cookies=self._rules.stores_set_cookie,
        )
        service = self._services.of_url(old.url)
        if service is not None:
            headers = service.forwarding.still_counted(old.headers, headers)
        stored = msgspec.structs.replace(
            old,
            headers=headers,
            requested_wall_s=requested_wall_s,
            received_wall_s=wall_s,
            stale_from_wall_s=None,
        )
        self._effects.emit(UpdateStored(stored=stored))
        return self._put(stored)

    def alike(self, entry: HotEntry) -> tuple[HotEntry, ...]:
        """What else is stored of the same representation: a 304 for one is one for all (RFC 9111,
        4.3.4). Only a strong entity tag says so."""
        etag = strong_etag(entry.stored.headers)
        if etag is None:
            return ()
        url = entry.stored.url
        return tuple(
            other
            for other in (*self._table.variants(url), *self._table.parts(url))
            if other is not entry and strong_etag(other.stored.headers) == etag
        )

    def _put(self, stored: StoredObject) -> HotEntry:
        service = self._services.of_url(stored.url)
        entry = HotEntry.of(
            stored,
            self.rules_for(stored.url),
            visible=service.forwarding.visible if service is not None else None,
        )
        self._table.put(entry)
        if stored.is_planned:
            self._planned[stored.object_id] = None
        else:
            self._planned.pop(stored.object_id, None)
        return entry

    # -- being used

    def touch(self, object_id: str) -> int:
        """The object is being sent. Its size when it was prefetched and this is its first use,
        else 0."""
        use = self.index.touch(object_id)
        if use is UNCHANGED:
            return 0
        if use.prefetched_bytes and (entry := self._table.get(object_id)) is not None:
            self.news.append(News(entry.stored.url, use.prefetched_bytes, "used"))
        if use.is_loaded and not self._is_memory_only:
            self._effects.emit(SetInMemory(object_id=object_id, in_memory=True))
        self._unload(use.unloaded)
        return use.prefetched_bytes

    def has_prefetch_room(self, url: str, size_bytes: int, now_s: float) -> bool:
        """Whether so much of this URL could be taken in before anyone has asked, without anything
        going that is as likely used."""
        belonging = self.belonging_of(url) if self.index.expects is not None else None
        return self.index.has_prefetch_room(size_bytes, now_s, belonging)

    def kept_s(self, probabilities: Sequence[float]) -> float:
        """How long a prefetched object stays that is used with these probabilities per horizon."""
        expects = self.index.expects
        return expects.kept_s(probabilities) if expects is not None else self.prefetch_lifetime_s

    def extend(self, object_id: str, prefetch_until_s: float) -> None:
        """Somebody else is expected to want this prefetched object."""
        self.index.extend(object_id, prefetch_until_s)

    # -- for a placement plan

    def pin(self, entry: HotEntry) -> None:
        """It stays, whatever its use, until it is unpinned."""
        if not entry.stored.is_planned and self.index.pin(entry.stored.object_id):
            self._mark_planned(entry.stored, is_planned=True)

    def unpin(self, object_id: str) -> None:
        """It is an object like any other from now on."""
        entry = self._table.get(object_id)
        if entry is not None and self.index.unpin(object_id):
            self._mark_planned(entry.stored, is_planned=False)

    def pinned(self) -> tuple[str, ...]:
        """The ids of all that are pinned; it looks at nothing else."""
        return tuple(self._planned)

    def _mark_planned(self, stored: StoredObject, *, is_planned: bool) -> None:
        stored = msgspec.structs.replace(stored, is_planned=is_planned)
        self._effects.emit(UpdateStored(stored=stored))
        self._put(stored)

    # -- going out

    def lose(self, object_id: str, now_s: float) -> None:
        """The store cannot serve it any more."""
        self._remove(object_id, "lost", now_s)

    def invalidate(self, url: str, now_s: float) -> None:
        """What is stored for the URL may be outdated (RFC 9111, 4.4)."""
        for entry in (*self._table.variants(url), *self._table.parts(url)):
            self._remove(entry.stored.object_id, "invalidated", now_s)

    def purge(self, object_id: str, now_s: float) -> None:
        """An operator says it is outdated."""
        self._remove(object_id, "purged", now_s)

    def outdate(self, entry: HotEntry, wall_s: float) -> None:
        """It is stale from now on, until upstream confirms it."""
        if entry.stored.stale_from_wall_s is None:
            stored = msgspec.structs.replace(entry.stored, stale_from_wall_s=wall_s)
            self._effects.emit(UpdateStored(stored=stored))
            self._put(stored)

    def advance(self, now_s: float) -> None:
        self._left(self.index.expire(now_s), "expired", now_s)

    def deadline_s(self) -> float | None:
        return self.index.deadline_s()

    def _remove(self, object_id: str, reason: Reason, now_s: float) -> None:
        if self.index.remove(object_id):
            self._left((object_id,), reason, now_s)

    def _left(self, object_ids: tuple[str, ...], reason: Reason, now_s: float) -> None:
        for object_id in object_ids:
            self._effects.emit(DropObject(object_id=object_id))
            entry = self._table.remove(object_id)
            assert entry is not None, f"{object_id} was in the index only"
            stored = entry.stored
            self._planned.pop(object_id, None)
            if stored.is_planned:
                self.unpinned.append(stored.url)
            if stored.is_prefetch:
                self.news.append(News(stored.url, stored.size_bytes, "left"))
            if reason in ("evicted", "expired"):
                self._counters.evictions += 1
            if reason == "evicted":
                self.news.append(News(stored.url, stored.size_bytes, "evicted"))
            self._recorder.record(
                ObjectLeft(
                    at_s=now_s,
                    url=entry.stored.url,
                    size_bytes=entry.stored.size_bytes,
                    reason=reason,
                )
            )

    def _unload(self, object_ids: tuple[str, ...]) -> None:
        if not self._is_memory_only:
            for object_id in object_ids:
                self._effects.emit(SetInMemory(object_id=object_id, in_memory=False))


def _index_bytes(stored: StoredObject) -> int:
    """What knowing of an object takes."""
    fields_bytes = sum([len(name) + len(value) for name, value in stored.headers])
    tags = len(tags_of(stored.headers))
    return (
        ENTRY_BYTES
        + len(stored.url)
        + fields_bytes
        + FIELD_BYTES * len(stored.headers)
        + TAG_BYTES * tags
    )


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


def _rules(http: HttpConfig) -> StorageRules:
    return StorageRules(
        default_freshness_s=http.default_freshness_s,
        negative_ttl_s=http.negative_ttl_s,
        heuristic_fraction=http.heuristic_fraction,
        heuristic_s_max=http.heuristic_s_max,
        stores_set_cookie=http.store_set_cookie,
        stores_any_status=http.store_any_status,
    )


def object_id_of(url: str, vary: Headers, received_wall_s: float, fill_id: int) -> str:
    """A new object's name: another one for each fetch, so that what replaces an object never
    shares its file. The wall time keeps it apart from those of earlier runs."""
    text = f"{url}\n{vary}\n{received_wall_s!r}\n{fill_id}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def not_from_the_future(stored: StoredObject, wall_s: float) -> StoredObject:
    """The wall clock was put back since it was stored: it counts as received just now. Else it
    would be fresh until the clock has caught up, which may take years."""
    if stored.received_wall_s <= wall_s:
        return stored
    return msgspec.structs.replace(stored, requested_wall_s=wall_s, received_wall_s=wall_s)
