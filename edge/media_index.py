"""Finds the segments that a URL may be, among all titles that are known.

A representation is kept under very few keys, however many its segments are: under what is before
and after the number in its URLs where a template makes them, else under the folders they are in.
What is found there is compared with the whole URL, so that a key need not be exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from edge.services import Services
from nearcast.manifests.tables import SegmentTable, split
from nearcast.media import Representation, Segment, TrackKind

SHARED_MAX: Final = 64
"""Representations under one key; of more the last stay. They are looked through one by one."""

DIGITS_MAX: Final = 20
"""Of a number in a URL."""

REMEMBERED_MAX: Final = 4096
REMEMBERED_LENGTH_MAX: Final = 300
"""Questions whose answers are kept, and how long their URLs may be. Each hit asks one, and hits
repeat themselves; to look one up takes ten times as long."""

_DIGITS: Final = re.compile(r"[0-9]+")
_TOKEN: Final = "01234567890123456789"

Key = str | tuple[str, str]
"""A folder or the URL of an initialisation; what is before and after a number."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What one URL (or byte range of it) is. `segment_index` None: the initialisation."""

    title_url: str
    kind: TrackKind
    representation_id: str
    segment_index: int | None
    segment: Segment

    @property
    def first_byte(self) -> int:
        return self.segment.byte_range.first if self.segment.byte_range is not None else 0


class Track(msgspec.Struct, frozen=True, eq=False):
    """A representation of a title."""

    title_url: str
    kind: TrackKind
    representation: Representation

    def place(self, segment_index: int | None) -> Place:
        segment = self.representation.init
        if segment_index is not None:
            segment = self.representation.segments[segment_index]
        assert segment is not None
        return Place(
            title_url=self.title_url,
            kind=self.kind,
            representation_id=self.representation.rendition.id,
            segment_index=segment_index,
            segment=segment,
        )


class MediaIndex:
    """Representations by what their URLs have in common."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._tracks: dict[Key, list[Track]] = {}
        self._remembered: dict[tuple[str, int], tuple[Place, ...]] = {}
        self._revision = services.revision

    def add(self, track: Track) -> tuple[Key, ...]:
        """The keys that it is now under, for `remove`; none if it is outside of the services."""
        self._remembered.clear()
        keys = tuple(dict.fromkeys((*self._segment_keys(track), *self._init_keys(track))))
        for key in keys:
            sharing = self._tracks.setdefault(key, [])
            sharing.append(track)
            if len(sharing) > SHARED_MAX:
                del sharing[0]
        return keys

    def remove(self, title_url: str, keys: tuple[Key, ...]) -> None:
        self._remembered.clear()
        for key in keys:
            left = [one for one in self._tracks.get(key, ()) if one.title_url != title_url]
            if left:
                self._tracks[key] = left
            else:
                self._tracks.pop(key, None)

    def find(self, url: str, first_byte: int) -> tuple[Place, ...]:
        """What a request for this URL from this byte on is, once per title."""
        found = self._remembered.get((url, first_byte))
        if found is None or self._revision != self._services.revision:
            if len(self._remembered) >= REMEMBERED_MAX or self._revision != self._services.revision:
                self._remembered.clear()
                self._revision = self._services.revision
            found = self._find(url, first_byte)
            if len(url) <= REMEMBERED_LENGTH_MAX:
                self._remembered[url, first_byte] = found
        return found

    def _find(self, url: str, first_byte: int) -> tuple[Place, ...]:
        best: dict[str, Place] = {}
        for place in self._meant(url, first_byte):
            known = best.get(place.title_url)
            if known is None or _nearness(place, first_byte) >= _nearness(known, first_byte):
                best[place.title_url] = place
        return tuple(best.values())

    def _meant(self, url: str, first_byte: int) -> Iterator[Place]:
        for track, segment_indexes in self._candidates(url, first_byte):
            for segment_index in segment_indexes:
                place = track.place(segment_index)
                if self._services.canonical(place.segment.url) == url:
                    yield place
                    break

    def _candidates(
        self, url: str, first_byte: int
    ) -> Iterator[tuple[Track, Iterator[int | None]]]:
        tracks = self._tracks
        for number in _DIGITS.finditer(url):
            start, end = number.span()
            if end - start > DIGITS_MAX:
                continue
            for track in tracks.get((url[:start], url[end:]), ()):
                index = _table(track).with_digits(int(number[0]))
                if index is not None:
                    yield track, iter((index,))
        folder, name = split(url)
        for track in tracks.get(folder, ()):
            yield track, iter(_table(track).with_name(name, first_byte))
        for track in tracks.get(f"{url} init", ()):
            yield track, iter((None,))

    def _segment_keys(self, track: Track) -> Iterator[Key]:
        table = _table(track)
        if table.names is not None:
            for folder in table.names.folders:
                inside = self._services.canonical(folder + "x")
                if inside is not None:
                    yield split(inside)[0]
            return
        assert table.template is not None
        assert table.template.digits is not None
        before, after = table.template.digits
        inside = self._services.canonical(before + _TOKEN + after)
        pieces = inside.split(_TOKEN) if inside is not None else ()
        if len(pieces) == 2:
            yield pieces[0], pieces[1]

    def _init_keys(self, track: Track) -> Iterator[Key]:
        if track.representation.init is not None:
            url = self._services.canonical(track.representation.init.url)
            if url is not None:
                yield f"{url} init"


def _table(track: Track) -> SegmentTable:
    segments = track.representation.segments
    assert isinstance(segments, SegmentTable), "the map holds what was read from manifests"
    return segments


def _nearness(place: Place, first_byte: int) -> tuple[bool, int]:
    """Larger for what begins at the byte, or last before it; else for what begins soonest."""
    is_before = place.first_byte <= first_byte
    return is_before, place.first_byte if is_before else -place.first_byte
