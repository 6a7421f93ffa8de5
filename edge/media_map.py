"""Which title, rendition and segment a URL is, learnt from the manifests that pass through.

A title is known by the URL of its manifest: an MPD, an HLS master, or a media playlist that no
master names. Of an HLS title only the playlists that were fetched are known, which grows as
players switch. The same segment may belong to several titles (one set of files for DASH and HLS).

Manifests are somebody else's text: what cannot be read is counted and ignored, what lies outside
the services is left out of the map, and the titles used longest ago make room for new ones.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from typing import Literal

import msgspec

from edge.config import SessionsConfig
from edge.records import ManifestIgnored, TitleLearned
from edge.services import Services
from edge.status import Counters
from nearcast.errors import RemoteProtocolError
from nearcast.manifests import HlsMaster, read_manifest
from nearcast.media import Presentation, Representation, Segment, TrackKind
from nearcast.record import Recorder

StreamFormat = Literal["dash", "hls"]


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


class Title:
    """A manifest and what is known from it so far."""

    def __init__(self, url: str, stream_format: StreamFormat) -> None:
        self.url = url
        self.stream_format: StreamFormat = stream_format
        self.master: HlsMaster | None = None
        self.texts: dict[str, bytes] = {}
        """Of the media playlists that are here."""
        self.presentation: Presentation | None = None
        self.used_no = 0
        """Larger for titles used later."""
        self.mapped: tuple[str, ...] = ()
        self.segment_count = 0

    @property
    def runtime_s(self) -> float:
        """How long the picture lasts; the sound may be a little longer."""
        if self.presentation is None:
            return 0.0
        video = self.presentation.video
        return video[0].duration_s if video else self.presentation.duration_s

    def representations(self, kind: TrackKind) -> tuple[Representation, ...]:
        if self.presentation is None:
            return ()
        return self.presentation.video if kind == "video" else self.presentation.audio


class MediaMap:
    """Titles by manifest URL, and places by segment URL."""

    def __init__(
        self,
        services: Services,
        config: SessionsConfig,
        *,
        counters: Counters,
        recorder: Recorder,
    ) -> None:
        self._services = services
        self._config = config
        self._counters = counters
        self._recorder = recorder
        self._titles: OrderedDict[str, Title] = OrderedDict()  # used longest ago first
        self._places: dict[str, dict[str, list[Place]]] = {}  # URL -> title URL -> by first byte
        self._masters_of: dict[str, list[str]] = {}  # media playlist -> masters naming it
        self._segment_count = 0
        self._use_no = 0

    def __len__(self) -> int:
        return len(self._titles)

    def title(self, url: str) -> Title | None:
        return self._titles.get(url)

    def titles_of(self, url: str) -> tuple[Title, ...]:
        """The titles whose manifest or media playlist this is; the one used last comes first."""
        urls = self._masters_of.get(url, [])
        found = [self._titles[one] for one in (url, *urls) if one in self._titles]
        return tuple(found)

    def knows(self, url: str) -> bool:
        """Whether this is a manifest, a playlist or a segment of any title."""
        return url in self._places or url in self._titles or url in self._masters_of

    def has_text(self, url: str) -> bool:
        """Whether this manifest or media playlist has been read into the map."""
        if url in self._titles:
            return True
        masters = self._masters_of.get(url, ())
        return bool(masters) and all(url in self._titles[one].texts for one in masters)

    def places(self, url: str, first_byte: int = 0) -> tuple[Place, ...]:
        """What a request for this URL from this byte on is, once per title."""
        by_title = self._places.get(url)
        if by_title is None:
            return ()
        found = []
        for places in by_title.values():
            index = bisect_right(places, first_byte, key=lambda place: place.first_byte)
            found.append(places[max(index - 1, 0)])
        return tuple(found)

    def use(self, title_url: str) -> None:
        """Somebody watches this title: it stays longer."""
        if title_url in self._titles:
            self._titles.move_to_end(title_url)
            self._use_no += 1
            self._titles[title_url].used_no = self._use_no

    def is_inside(self, url: str) -> bool:
        """Whether the edge may fetch it at all."""
        return self._services.of_url(url) is not None

    # -- learning

    def learn(self, url: str, text: bytes, now_s: float) -> None:
        """Take in what was fetched as a manifest."""
        masters = self._masters_of.get(url, ())
        try:
            if masters:
                for master_url in tuple(masters):
                    self._learn_playlist(self._titles[master_url], url, text)
            else:
                self._learn_manifest(url, text)
        except RemoteProtocolError as error:
            self._ignored(url, str(error), now_s)
            return
        for title in self.titles_of(url):
            self._recorder.record(
                TitleLearned(at_s=now_s, url=title.url, segment_count=title.segment_count)
            )
        self._make_room()

    def _ignored(self, url: str, detail: str, now_s: float) -> None:
        self._counters.manifests_ignored += 1
        self._recorder.record(ManifestIgnored(at_s=now_s, url=url, detail=detail[:200]))

    def _learn_manifest(self, url: str, text: bytes) -> None:
        read = read_manifest(text, url)
        stream_format: StreamFormat = "dash" if text.lstrip()[:1] != b"#" else "hls"
        if isinstance(read, Presentation):
            title = self._renewed(url, stream_format)
            if stream_format == "hls":
                title.texts[url] = text  # in case its master comes later
            self._map(title, read)
            return
        known = self._titles.get(url)
        texts = known.texts if known is not None else {}
        title = self._renewed(url, stream_format)
        title.master = read
        for playlist_url in read.playlist_urls:
            if not self.is_inside(playlist_url):
                continue
            self._masters_of.setdefault(playlist_url, []).append(url)
            alone = self._titles.get(playlist_url)
            if alone is not None and alone.master is None:
                texts = {**texts, **alone.texts}
                self._forget(playlist_url)
        title.texts = {one: texts[one] for one in read.playlist_urls if one in texts}
        if title.texts:
            self._map(title, read.assemble(title.texts))

    def _learn_playlist(self, title: Title, url: str, text: bytes) -> None:
        assert title.master is not None
        if title.texts.get(url) == text:
            return
        presentation = title.master.assemble({**title.texts, url: text})
        title.texts[url] = text
        self._map(title, presentation)

    def _renewed(self, url: str, stream_format: StreamFormat) -> Title:
        self._forget(url)
        title = self._titles[url] = Title(url, stream_format)
        self.use(url)
        return title

    def _map(self, title: Title, presentation: Presentation) -> None:
        self._unmap(title)
        title.presentation = presentation
        urls: dict[str, None] = {}
        for place in _places(title.url, presentation):
            url = self._services.canonical(place.segment.url)
            if url is not None:
                urls[url] = None
                self._places.setdefault(url, {}).setdefault(title.url, []).append(place)
                title.segment_count += 1
        for url in urls:
            self._places[url][title.url].sort(key=lambda place: place.first_byte)
        title.mapped = tuple(urls)
        self._segment_count += title.segment_count

    def _unmap(self, title: Title) -> None:
        for url in title.mapped:
            by_title = self._places[url]
            by_title.pop(title.url, None)
            if not by_title:
                del self._places[url]
        self._segment_count -= title.segment_count
        title.mapped, title.segment_count = (), 0

    def _forget(self, url: str) -> None:
        title = self._titles.pop(url, None)
        if title is None:
            return
        self._unmap(title)
        for playlist_url in title.master.playlist_urls if title.master is not None else ():
            masters = self._masters_of.get(playlist_url, [])
            if url in masters:
                masters.remove(url)
            if not masters:
                self._masters_of.pop(playlist_url, None)

    def _make_room(self) -> None:
        while len(self._titles) > self._config.titles_max or (
            self._segment_count > self._config.segments_max and len(self._titles) > 1
        ):
            self._forget(next(iter(self._titles)))


def _places(title_url: str, presentation: Presentation) -> Iterator[Place]:
    for kind, representations in presentation.tracks():
        for representation in representations:
            pieces: list[tuple[int | None, Segment]] = list(enumerate(representation.segments))
            if representation.init is not None:
                pieces.insert(0, (None, representation.init))
            for segment_index, segment in pieces:
                yield Place(
                    title_url=title_url,
                    kind=kind,
                    representation_id=representation.rendition.id,
                    segment_index=segment_index,
                    segment=segment,
                )
