"""From a URL to a presentation: one manifest, and what it needs beside it.

An HLS master needs the playlists it names, an MPD may need the indexes inside its media files. What
is needed and is not to be had costs its rendition, not the title, as long as there is another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from abr.events import RequestKind
from nearcast.errors import RemoteProtocolError
from nearcast.manifests import (
    HlsMaster,
    IndexedMpd,
    IndexReader,
    MediaPlaylist,
    SteeringTag,
    foreign_urls,
    origin_of,
    read_alternates,
    read_dash_tag,
    read_manifest,
)
from nearcast.manifests.limits import SegmentBudget
from nearcast.manifests.playlist import read_media
from nearcast.media import Base, ByteRange, Presentation

StreamFormat = Literal["d", "h"]
ANY_HOST = "*"
Origin = tuple[str, str, int | None]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A text, or the bytes of an index, that is to be fetched."""

    kind: RequestKind
    url: str
    byte_range: ByteRange | None = None


class Loader:
    """Collects the parts of one title. Its methods raise RemoteProtocolError."""

    def __init__(self, url: str, allow_hosts: Iterable[str], *, steered_count_max: int = 0) -> None:
        """`steered_count_max`: where the manifest names a steering server, which may then name any
        host, bytes may come from that server, too; and where it is the manifest's own, from as many
        hosts that the manifest calls pathways."""
        self.url = url
        self._steered_count_max = steered_count_max
        self._pathways: frozenset[Origin] = frozenset()
        self.alternates: tuple[tuple[Base, ...], ...] = ()
        """Bases under which the same bytes are, of hosts that may be asked."""
        self.steering: SteeringTag | None = None
        self.presentation: Presentation | None = None
        self.stream_format: StreamFormat | None = None
        self._allow_hosts = frozenset(allow_hosts)
        self._base_url = url
        self._master: HlsMaster | None = None
        self._mpd: IndexedMpd | None = None
        self._playlists: dict[str, MediaPlaylist] = {}
        self._readers: tuple[IndexReader, ...] = ()
        self._asked: dict[Part, IndexReader | None] = {}
        self._budget = SegmentBudget()

    def read(self, text: bytes, url: str) -> tuple[Part, ...]:
        """Take in the manifest, found at `url`; the parts that must be fetched as well."""
        self._base_url = url
        is_hls = text.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"#EXTM3U")
        self.stream_format = "h" if is_hls else "d"
        found = read_manifest(text, url)
        alternates = (
            found.alternates
            if isinstance(found, HlsMaster)
            else ()
            if is_hls
            else read_alternates(text, url)
        )
        if isinstance(found, HlsMaster):
            self.steering = found.steering
        elif not is_hls:
            self.steering = read_dash_tag(text, url)
        self._pathways = self._named(alternates)
        self.alternates = tuple(tuple(self._allowed(group)) for group in alternates)
        if isinstance(found, Presentation):
            self._accept(found)
            return ()
        home = origin_of(url)
        if isinstance(found, HlsMaster):
            self._master = found
            self._asked = {Part(kind="playlist", url=url): None for url in found.playlist_urls}
        else:
            self._mpd = found
            self._readers = found.readers()
            self._asked = {_part_of(reader): reader for reader in self._readers}
        self._refuse([part.url for part in self._asked if origin_of(part.url) != home])
        return tuple(self._asked)

    def read_part(self, part: Part, data: bytes, url: str | None = None) -> tuple[Part, ...]:
        """Take in what was asked for as `part`, found at `url` if that is another place; what must
        be fetched because of it."""
        reader = self._asked.pop(part)
        if reader is None:
            self._playlists[part.url] = read_media(data, url or part.url, self._budget)
        else:
            reader.feed(data)
            if reader.wanted is not None:
                further = _part_of(reader)
                self._asked[further] = reader
                return (further,)
        self._assemble()
        return ()

    def do_without(self, part: Part) -> bool:
        """What was asked for as `part` is not to be had: whether the title can be played yet."""
        del self._asked[part]
        if not self._asked:
            try:
                self._assemble()
            except RemoteProtocolError:
                return False
        return True

    def _assemble(self) -> None:
        if self._asked:
            return
        if self._master is not None:
            presentation = self._master.put_together(self._playlists)
            has_lost = {
                "video": bool(self._master.video) and not presentation.video,
                "audio": bool(self._master.audio) and not presentation.audio,
            }
        else:
            assert self._mpd is not None
            found = {one.place: one.found for one in self._readers if one.found is not None}
            presentation = self._mpd.assemble(found)
            kinds = {draft.rendition.kind for one in self._mpd.periods for draft in one.drafts}
            has_lost = {
                "video": "video" in kinds and not presentation.video,
                "audio": "audio" in kinds and not presentation.audio,
            }
        for kind, is_lost in has_lost.items():
            if is_lost:
                raise RemoteProtocolError(f"none of the title's {kind} could be had")
        self._accept(presentation)

    def _accept(self, presentation: Presentation) -> None:
        self._refuse(foreign_urls(presentation, self._base_url))
        self.presentation = presentation

    def _allowed(self, group: Iterable[Base]) -> Iterator[Base]:
        steering = self.steering if self._steered_count_max else None
        server = None if steering is None else origin_of(steering.server_url)
        return (base for base in group if self.allows(base.url) or origin_of(base.url) == server)

    def _named(self, alternates: Iterable[Iterable[Base]]) -> frozenset[Origin]:
        """The pathways' hosts of a manifest that its own steering server gave.

        What it may name in every answer it may name here as well: nobody is trusted with more. A
        manifest that others passed on, or that has another's server, does not get this.
        """
        home = origin_of(self._base_url)
        if self.steering is None or origin_of(self.steering.server_url) != home:
            return frozenset()
        schemes = ("https",) if home[0] == "https" else ("http", "https")
        named = (origin_of(base.url) for group in alternates for base in group if base.pathway)
        found = dict.fromkeys(each for each in named if each != home and each[0] in schemes)
        return frozenset(islice(found, self._steered_count_max))

    def allows(self, url: str) -> bool:
        """Whether the manifest may lead there: to its own origin, or a host that is allowed."""
        return origin_of(url) == origin_of(self._base_url) or self._allows(url)

    def _allows(self, url: str) -> bool:
        if origin_of(url) in self._pathways:
            return True
        place = urlsplit(url)
        names = {ANY_HOST, place.hostname or "", place.netloc}
        return bool(names & self._allow_hosts) and place.scheme in ("http", "https")

    def _refuse(self, foreign: Iterable[str]) -> None:
        for url in foreign:
            if not self._allows(url):
                host = urlsplit(url).netloc or ANY_HOST
                raise RemoteProtocolError(
                    f"the manifest refers to {url}, outside its own origin; "
                    f"if that is meant, allow it: --set allow_hosts={host}"
                )


def _part_of(reader: IndexReader) -> Part:
    return Part(kind="index", url=reader.place.url, byte_range=reader.wanted)
