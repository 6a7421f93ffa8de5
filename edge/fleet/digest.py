"""Which titles an edge holds a useful part of, for those who steer players to it.

A useful part is what a viewer needs to begin: the manifest, and of one rendition of the picture the
initialisation and the first segment. Looking takes a while where there are many titles, so each
look is at some of them, in turn, and the digest is made anew when a round has ended and found other
titles than the one before: what is told may be a few minutes old.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Final

from edge.media_map import MediaMap, Title
from edge.residents import Residents
from nearcast import held_digest

LOOKED_AT_MAX: Final = 500
"""Titles at a time: some milliseconds."""


class HeldTitles:
    """The titles that are held, by id."""

    def __init__(
        self, media_map: MediaMap, residents: Residents, id_of: Callable[[str], str]
    ) -> None:
        self._map = media_map
        self._residents = residents
        self._id_of = id_of
        self._held: dict[str, int] = {}  # by title's id its sum, as the last round found them
        self._seen: dict[str, int] = {}
        self._turn: list[str] = []  # manifests still to be looked at in this round
        self._digest = "", b""

    def look(self) -> None:
        """At some of the titles."""
        if not self._turn:
            self._turn = list(self._map.urls())
        taken, self._turn = self._turn[-LOOKED_AT_MAX:], self._turn[:-LOOKED_AT_MAX]
        for url in taken:
            title = self._map.title(url)
            if title is not None and self._is_useful(title):
                title_id = self._id_of(url)
                known = self._held.get(title_id)
                self._seen[title_id] = known if known is not None else held_digest.sum_of(title_id)
        if not self._turn:
            if self._seen.keys() != self._held.keys():
                self._digest = _digest(self._seen.values())
            self._held, self._seen = self._seen, {}

    def digest(self) -> tuple[str, bytes]:
        """An id of it, and it itself, packed. Costs nothing."""
        return self._digest

    def _is_useful(self, title: Title) -> bool:
        if self._residents.match(title.url, ()) is None:
            return False
        return any(
            (one.init is None or self._residents.match(one.init.url, ()) is not None)
            and len(one.segments) > 0
            and self._residents.match(one.segments[0].url, ()) is not None
            for one in title.representations("video")
        )


def _digest(sums: Iterable[int]) -> tuple[str, bytes]:
    text = held_digest.pack(sums)
    return hashlib.sha256(text).hexdigest()[:16] if text else "", text
