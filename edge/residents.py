"""What the node holds: the one place that joins the index's decisions to the hot table.

The index (cache.index) decides what stays and counts the bytes; the hot table is what requests are
matched against. Both change together here, and the driver is told in the same order: what goes
first, what comes in last. Whoever holds an object id may find it gone at any later moment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec

from cache.http.headers import Headers, get_one
from cache.http.parts import strong_etag
from cache.http.ranges import select_range
from cache.index import UNCHANGED, Index
from edge.belongings import Belongings
from edge.config import EdgeConfig
from edge.effects import Commit, DropObject, Effect, SetInMemory, StoredObject, UpdateStored
from edge.hot import HotEntry, HotTable
from edge.records import ObjectLeft
from edge.response_rules import ResponseRules
from edge.rivals import is_excluded, replaced_by
from edge.status import Counters
from edge.stored import index_bytes, not_from_the_future
from nearcast.horizons import HORIZONS_S
from nearcast.machine import EffectQueue
from nearcast.record import Recorder

NEWS_MAX: Final = 10_000

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
        rules: ResponseRules,
        effects: EffectQueue[Effect],
        counters: Counters,
        recorder: Recorder,
    ) -> None:
        self.index = Index(config.cache())
        self._rules = rules
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
        self.belongings = Belongings(self.index, self.ids_of)
        """What the objects are part of."""

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
        whole, parts = self._table.variants(stored.url), self._table.parts(stored.url)
        for entry in replaced_by(stored, whole, parts):
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
            index_bytes=index_bytes(stored),
            prefetch_until_s=None if stored.is_planned else prefetch_until_s,
            is_pinned=stored.is_planned,
            belonging=self.belongings.of_new(stored.url),
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

    def restore(self, objects: Iterable[StoredObject], now_s: float, wall_s: float) -> None:
        """What the store held when the node started; what does not fit any more is dropped."""
        for told in objects:
            stored = not_from_the_future(told, wall_s)
            whole, parts = self._table.variants(stored.url), self._table.parts(stored.url)
            if stored.object_id in self.index or is_excluded(stored, whole, parts):
                self._effects.emit(DropObject(object_id=stored.object_id))
                continue
            admission = self.index.add(
                stored.object_id,
                stored.size_bytes,
                now_s,
                index_bytes=index_bytes(stored),
                is_pinned=stored.is_planned,
                is_restored=True,
                belonging=self.belongings.of_new(stored.url),
            )
            self._left(admission.evicted, "evicted", now_s)
            if admission.is_admitted:
                self._put(stored)
                if stored is not told:
                    self._effects.emit(UpdateStored(stored=stored))
            else:
                self._effects.emit(DropObject(object_id=stored.object_id))

    def refresh(
        self, entry: HotEntry, fresh_headers: Headers, requested_wall_s: float, wall_s: float
    ) -> HotEntry:
        """A 304 confirmed the object: its fields and times are renewed."""
        stored = self._rules.renewed(entry.stored, fresh_headers, requested_wall_s, wall_s)
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
        entry = self._rules.entry(stored)
        self._table.put(entry)
        if stored.is_planned:
            self._planned[stored.object_id] = None
        else:
            self._planned.pop(stored.object_id, None)
        return entry

    def renew(self, entry: HotEntry) -> None:
        """Judge a resident object anew, by the settings of this moment."""
        self._put(entry.stored)

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
        return self.index.has_prefetch_room(size_bytes, now_s, self.belongings.of(url))

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
