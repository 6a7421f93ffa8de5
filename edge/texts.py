"""Manifests on their way to the map: fetched from the store if need be, and read.

Those that are in the store but not on the map, as after a restart, are asked for. Reading is slow
work, done elsewhere, one text at a time; of those that wait for it only the newest of each URL is
kept, and no more than a bounded number of bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from cache.http.headers import Headers, get_one
from edge.effects import Effect, ReadManifest, ReadObject
from edge.events import ManifestRead, ObjectRead
from edge.hot import HotEntry
from edge.media_map import MediaMap
from edge.residents import Residents
from edge.status import Counters
from nearcast.errors import RemoteProtocolError
from nearcast.machine import EffectQueue
from nearcast.manifests import is_manifest, read_part

READ_AT_START_MAX: Final = 1000
"""Manifests read when the node starts; others are read when they are needed."""

WAITING_BYTES_MAX: Final = 32 * 1024 * 1024
"""Of the texts that wait to be read, the present one included. What finds no room is read when it
is fetched again, or needed."""


def read_manifest(effect: ReadManifest) -> ManifestRead:
    """What a driver does for `ReadManifest`: long work, and a bounded amount of it."""
    try:
        return ManifestRead(url=effect.url, manifest=read_part(effect.text, effect.url))
    except RemoteProtocolError as error:
        return ManifestRead(url=effect.url, manifest=None, detail=str(error))


class Texts:
    """Asks the driver for stored manifests, each once at a time, and has them read."""

    def __init__(
        self,
        *,
        media_map: MediaMap,
        residents: Residents,
        effects: EffectQueue[Effect],
        counters: Counters,
    ) -> None:
        self._map = media_map
        self._residents = residents
        self._effects = effects
        self._counters = counters
        self._asked: dict[str, str] = {}  # object id -> URL
        self._reading: ReadManifest | None = None
        self._waiting: OrderedDict[str, bytes] = OrderedDict()  # URL -> text, waiting longest first
        self._waiting_bytes = 0

    def restored(self) -> None:
        """The store's contents are known: read its manifests."""
        found = [entry for entry in self._residents.entries() if _is_manifest(entry)]
        # Newest last, so that they are the ones that stay when there are too many.
        found.sort(key=lambda entry: (entry.stored.received_wall_s, entry.stored.object_id))
        for entry in found[-READ_AT_START_MAX:]:
            self._ask(entry)

    def want(self, url: str, headers: Headers) -> bool:
        """Read what is stored for the URL, if it is a manifest that the map lacks."""
        entry = self._residents.match(url, headers)
        if entry is None or not _is_manifest(entry) or self._map.has_text(url):
            return False
        self._ask(entry)
        return True

    def arrived(self, event: ObjectRead) -> str | None:
        """The URL of what was read; None when it was not asked for."""
        return self._asked.pop(event.object_id, None)

    def is_coming(self, url: str) -> bool:
        """Whether the text is here and will be on the map as soon as it has been read."""
        return url in self._waiting or (self._reading is not None and self._reading.url == url)

    def read(self, url: str, text: bytes) -> None:
        """Have a text read; what still waits under its URL is outdated."""
        self._waiting_bytes -= len(self._waiting.pop(url, b""))
        reading = self._reading
        if reading is not None and reading.url == url and reading.text == text:
            return
        taken_bytes = self._waiting_bytes + (len(reading.text) if reading is not None else 0)
        if reading is not None and taken_bytes + len(text) > WAITING_BYTES_MAX:
            self._counters.manifests_dropped += 1
            return
        self._waiting[url] = text
        self._waiting_bytes += len(text)
        self._read_next()

    def done(self, event: ManifestRead) -> None:
        """The text that was being read has been."""
        if self._reading is not None and self._reading.url == event.url:
            self._reading = None
            self._read_next()

    def _read_next(self) -> None:
        if self._reading is None and self._waiting:
            url, text = self._waiting.popitem(last=False)
            self._waiting_bytes -= len(text)
            self._reading = ReadManifest(url=url, text=text)
            self._effects.emit(self._reading)

    def _ask(self, entry: HotEntry) -> None:
        object_id = entry.stored.object_id
        if object_id not in self._asked:
            self._asked[object_id] = entry.stored.url
            self._effects.emit(ReadObject(object_id=object_id))


def _is_manifest(entry: HotEntry) -> bool:
    stored = entry.stored
    return stored.status == 200 and is_manifest(get_one(stored.headers, "content-type"), stored.url)
