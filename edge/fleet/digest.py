"""Which titles an edge holds a useful part of, for those who steer players to it.

A useful part is what a viewer needs to begin: the manifest, and of one rendition of the picture the
initialisation and the first segment. Looking takes a while where there are many titles, so each
look is at some of them, in turn: what is told may be a few minutes old.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable
from typing import Final

import google_crc32c

from edge.media_map import MediaMap, Title
from edge.residents import Residents

LOOKED_AT_MAX: Final = 500
"""Titles at a time: some milliseconds."""
HELD_BYTES_MAX: Final = 120_000
"""Of the digest in a message (nearcast.fleet.Heartbeat): 30,000 titles."""
_CODE: Final = next(code for code in "IL" if array(code).itemsize == 4)


class HeldTitles:
    """The titles that are held, by id."""

    def __init__(
        self, media_map: MediaMap, residents: Residents, id_of: Callable[[str], str]
    ) -> None:
        self._map = media_map
        self._residents = residents
        self._id_of = id_of
        self._held: dict[str, None] = {}
        self._turn: list[str] = []  # manifests still to be looked at in this round
        self._seen: dict[str, None] = {}

    def look(self) -> None:
        """At some of the titles."""
        if not self._turn:
            self._held, self._seen = self._seen, {}
            self._turn = list(self._map.urls())
        taken, self._turn = self._turn[-LOOKED_AT_MAX:], self._turn[:-LOOKED_AT_MAX]
        for url in taken:
            title = self._map.title(url)
            if title is not None and self._is_useful(title):
                title_id = self._id_of(url)
                self._held[title_id] = self._seen[title_id] = None

    def digest(self) -> tuple[str, bytes]:
        """An id of it, and the sorted little-endian crc32c of the titles' ids."""
        sums = sorted({google_crc32c.value(title_id.encode()) for title_id in self._held})
        held = array(_CODE, sums[: HELD_BYTES_MAX // 4])
        if array("H", [1]).tobytes() != b"\x01\x00":
            held.byteswap()
        text = held.tobytes()
        return hashlib.sha256(text).hexdigest()[:16] if text else "", text

    def _is_useful(self, title: Title) -> bool:
        if self._residents.match(title.url, ()) is None:
            return False
        return any(
            (one.init is None or self._residents.match(one.init.url, ()) is not None)
            and len(one.segments) > 0
            and self._residents.match(one.segments[0].url, ()) is not None
            for one in title.representations("video")
        )
