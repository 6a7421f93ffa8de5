"""Reading manifests that are in the store but not on the map, as after a restart."""

from __future__ import annotations

from typing import Final

from cache.http.headers import Headers, get_one
from edge.events import Effect, ObjectRead, ReadObject
from edge.hot import HotEntry
from edge.media_map import MediaMap
from edge.residents import Residents
from nearcast.machine import EffectQueue
from nearcast.manifests import is_manifest

READ_AT_START_MAX: Final = 1000
"""Manifests read when the node starts; others are read when they are needed."""


class Texts:
    """Asks the driver for stored manifests, each once at a time."""

    def __init__(
        self, *, media_map: MediaMap, residents: Residents, effects: EffectQueue[Effect]
    ) -> None:
        self._map = media_map
        self._residents = residents
        self._effects = effects
        self._asked: dict[str, str] = {}  # object id -> URL

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

    def _ask(self, entry: HotEntry) -> None:
        object_id = entry.stored.object_id
        if object_id not in self._asked:
            self._asked[object_id] = entry.stored.url
            self._effects.emit(ReadObject(object_id=object_id))


def _is_manifest(entry: HotEntry) -> bool:
    stored = entry.stored
    return stored.status == 200 and is_manifest(get_one(stored.headers, "content-type"), stored.url)
