"""Which title, rendition and segment a URL is, learnt from the manifests that pass through.

A title is known by the URL of its manifest: an MPD, an HLS master, or a media playlist that no
master names. Of an HLS title only the playlists that were fetched are known, which grows as
players switch. The same segment may belong to several titles (one set of files for DASH and HLS).

Manifests are somebody else's text: what cannot be read is counted and ignored, what lies outside
the services is left out of the map, and the titles used longest ago make room for new ones.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Literal

from edge.config import SessionsConfig
from edge.media_index import Key, MediaIndex, Place, Track
from edge.records import ManifestIgnored, TitleLearned
from edge.services import Services
from edge.status import Counters
from nearcast.errors import RemoteProtocolError
from nearcast.manifests import HlsMaster, Manifest, MediaPlaylist, alone
from nearcast.manifests.tables import SegmentTable
from nearcast.media import Presentation, Representation, TrackKind
from nearcast.record import Recorder

StreamFormat = Literal["dash", "hls"]

TITLE_BYTES: Final = 2_000
REPRESENTATION_BYTES: Final = 2_000
VARIANT_BYTES: Final = 1_000
KEY_BYTES: Final = 300
"""What objects take beside their tables, as measured; URLs of ordinary length included."""


class Title:
    """A manifest and what is known from it so far."""

    def __init__(self, url: str, stream_format: StreamFormat) -> None:
        self.url = url
        self.stream_format: StreamFormat = stream_format
        self.master: HlsMaster | None = None
        self.playlists: dict[str, MediaPlaylist] = {}
        """The media playlists that are here, by URL."""
        self.presentation: Presentation | None = None
        self.used_no = 0
        """Larger for titles used later."""
        self.keys: tuple[Key, ...] = ()
        """What its representations are found under."""
        self.segment_count = 0
        self.size_bytes = 0
        """What it takes in memory, nearly."""

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
        self._index = MediaIndex(services)
        self._masters_of: dict[str, list[str]] = {}  # media playlist -> masters naming it
        self.size_bytes = 0
        """What all of it takes in memory, nearly."""
        self._use_no = 0

    def __len__(self) -> int:
        return len(self._titles)

    def title(self, url: str) -> Title | None:
        return self._titles.get(url)

    def urls(self) -> tuple[str, ...]:
        """Of all titles' manifests, used longest ago first."""
        return tuple(self._titles)

    def titles_of(self, url: str) -> tuple[Title, ...]:
        """The titles whose manifest or media playlist this is; the one used last comes first."""
        urls = self._masters_of.get(url, [])
        found = [self._titles[one] for one in (url, *urls) if one in self._titles]
        return tuple(found)

    def has_text(self, url: str) -> bool:
        """Whether this manifest or media playlist has been read into the map."""
        if url in self._titles:
            return True
        masters = self._masters_of.get(url, ())
        return bool(masters) and all(url in self._titles[one].playlists for one in masters)

    def places(self, url: str, first_byte: int = 0) -> tuple[Place, ...]:
        """What a request for this URL from this byte on is, once per title."""
        return self._index.find(url, first_byte) if self._titles else ()

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

    def learn(self, url: str, manifest: Manifest, now_s: float) -> None:
        """Take in what was read in a manifest."""
        masters = self._masters_of.get(url, ())
        try:
            if masters:
                if not isinstance(manifest, MediaPlaylist):
                    raise RemoteProtocolError("not a media playlist, which its master says it is")
                for master_url in tuple(masters):
                    self._learn_playlist(self._titles[master_url], url, manifest)
            else:
                self._learn_manifest(url, manifest)
        except RemoteProtocolError as error:
            self.ignore(url, str(error), now_s)
            return
        for title in self.titles_of(url):
            self._recorder.record(
                TitleLearned(at_s=now_s, url=title.url, segment_count=title.segment_count)
            )
        self._make_room()

    def ignore(self, url: str, detail: str, now_s: float) -> None:
        """What was fetched as a manifest cannot be used: what is known stays."""
        self._counters.manifests_ignored += 1
        self._recorder.record(ManifestIgnored(at_s=now_s, url=url, detail=detail[:200]))

    def _learn_manifest(self, url: str, manifest: Manifest) -> None:
        if isinstance(manifest, Presentation):
            self._map(self._renewed(url, "dash"), manifest)
            return
        if isinstance(manifest, MediaPlaylist):
            title = self._renewed(url, "hls")
            title.playlists[url] = manifest  # in case its master comes later
            self._map(title, alone(manifest, url))
            return
        known = self._titles.get(url)
        playlists = known.playlists if known is not None else {}
        title = self._renewed(url, "hls")
        title.master = manifest
        for playlist_url in manifest.playlist_urls:
            if not self.is_inside(playlist_url):
                continue
            self._masters_of.setdefault(playlist_url, []).append(url)
            single = self._titles.get(playlist_url)
            if single is not None and single.master is None:
                playlists = {**playlists, **single.playlists}
                self._forget(playlist_url)
        title.playlists = {
            one: playlists[one] for one in manifest.playlist_urls if one in playlists
        }
        if title.playlists:
            self._map(title, manifest.put_together(title.playlists))
        else:
            self._weigh(title)

    def _learn_playlist(self, title: Title, url: str, playlist: MediaPlaylist) -> None:
        assert title.master is not None
        presentation = title.master.put_together({**title.playlists, url: playlist})
        title.playlists[url] = playlist
        self._map(title, presentation)

    def _renewed(self, url: str, stream_format: StreamFormat) -> Title:
        self._forget(url)
        title = self._titles[url] = Title(url, stream_format)
        self.use(url)
        return title

    def _map(self, title: Title, presentation: Presentation) -> None:
        self._unmap(title)
        title.presentation = presentation
        keys: dict[Key, None] = {}
        for kind, representations in presentation.tracks():
            for representation in representations:
                found = self._index.add(Track(title.url, kind, representation))
                keys.update(dict.fromkeys(found))
                if found:
                    is_begun = representation.init is not None
                    title.segment_count += len(representation.segments) + is_begun
        title.keys = tuple(keys)
        self._weigh(title)

    def _unmap(self, title: Title) -> None:
        self._index.remove(title.url, title.keys)
        title.keys, title.segment_count = (), 0
        self.size_bytes -= title.size_bytes
        title.size_bytes = 0

    def _weigh(self, title: Title) -> None:
        self.size_bytes -= title.size_bytes
        title.size_bytes = _size_bytes(title)
        self.size_bytes += title.size_bytes

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
            self.size_bytes > self._config.titles_bytes_max and len(self._titles) > 1
        ):
            self._forget(next(iter(self._titles)))


def _size_bytes(title: Title) -> int:
    size_bytes = TITLE_BYTES + sum(KEY_BYTES + len(str(key)) for key in title.keys)
    if title.master is not None:
        size_bytes += VARIANT_BYTES * len(title.master.playlist_urls)
    for _, representations in title.presentation.tracks() if title.presentation else ():
        for representation in representations:
            size_bytes += REPRESENTATION_BYTES
            if isinstance(representation.segments, SegmentTable):
                size_bytes += representation.segments.size_bytes
    return size_bytes
