"""Which URL paths there are, and what is behind each.

A path is looked up, never joined to a folder: only names that the catalogue holds lead to a file,
so there is nothing a `..` could reach.

    /                                   a page of titles for people
    /v1/catalog                         nearcast.messages.Catalog
    /v1/titles/<id>                     origin.catalog.TitleDetail
    /media/<id>/manifest.mpd            DASH
    /media/<id>/master.m3u8             HLS
    /media/<id>/<rendition>/playlist.m3u8  init.mp4  1.m4s  2.m4s ...
    /models/...                         origin.registry
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from nearcast.config import Section
from nearcast.messages import CATALOG_PATH, Catalog
from nearcast.units import DAY_S
from origin.catalog import (
    INIT_NAME,
    MEDIA_PREFIX,
    TITLES_PREFIX,
    RenditionEntry,
    Title,
    catalog_of,
)
from origin.index_page import index_page
from origin.manifests import Manifest, TitleManifests
from origin.steering.clones import NamedEdge

# A film of two hours takes about 2 MB here; enough for what is watched at one time.
LOADED_TITLES_MAX = 64

_SEGMENT = re.compile(r"([1-9][0-9]{0,8})\.m4s")


class FreshnessConfig(Section, frozen=True):
    """How long caches may hold each kind of resource, in whole seconds."""

    segment_s: int = 365 * DAY_S
    manifest_s: int = 60
    catalog_s: int = 0
    models_s: int = 60


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """What one path leads to. `body` is set for what is made here, `file` for what lies on disk
    (relative to the library's folder of `shelf`); both are None in the simulator."""

    path: str
    size_bytes: int
    content_type: str
    etag: str
    last_modified_wall_s: float
    max_age_s: int
    is_immutable: bool = False
    body: bytes | None = None
    file: str | None = None
    shelf: Literal["media", "models"] = "media"


class Library(Protocol):
    """What an origin serves."""

    def resource(self, path: str) -> Resource | None:
        """What is at `path` (decoded, without query), or None."""


class Shelf:
    """All paths of one state of the catalogue. Titles are loaded when first asked for, and the
    least recently used are let go beyond `loaded_max`."""

    def __init__(
        self,
        catalog: Catalog,
        load_title: Callable[[str], Title | None],
        *,
        freshness: FreshnessConfig | None = None,
        loaded_max: int = LOADED_TITLES_MAX,
        site_url: str = "",
    ) -> None:
        self.catalog = catalog
        self._freshness = freshness or FreshnessConfig()
        self._load_title = load_title
        self._loaded_max = loaded_max
        self._site_url = site_url
        self._ids = frozenset(title.id for title in catalog.titles)
        self._loaded: OrderedDict[str, _TitleShelf] = OrderedDict()

    def resource(self, path: str) -> Resource | None:
        if path.startswith(MEDIA_PREFIX):
            title_id, _, rest = path.removeprefix(MEDIA_PREFIX).partition("/")
            shelf = self._title(title_id)
            return shelf.resource(path, rest) if shelf is not None else None
        if path.startswith(TITLES_PREFIX):
            shelf = self._title(path.removeprefix(TITLES_PREFIX))
            if shelf is None:
                return None
            text = msgspec.json.encode(shelf.title.detail())
            return self._text(path, text, "application/json", shelf.title.created_wall_s)
        if path == CATALOG_PATH:
            text = msgspec.json.encode(self.catalog)
            resource = self._text(path, text, "application/json")
            return msgspec.structs.replace(resource, etag=f'"{self.catalog.revision}"')
        if path in ("/", "/index.html"):
            return self._text(path, index_page(self.catalog), "text/html; charset=utf-8")
        return None

    def for_client(self, path: str, edges: Sequence[NamedEdge]) -> Manifest | None:
        """The manifest at `path` for a client that is to take these edges; None where everybody's
        is all there is."""
        title_id, _, name = path.removeprefix(MEDIA_PREFIX).partition("/")
        shelf = self._title(title_id)
        return None if shelf is None else shelf.manifests.for_client(name, edges)

    def has_loaded(self, path: str) -> bool:
        """Whether `resource(path)` will answer without loading a title."""
        for prefix in (MEDIA_PREFIX, TITLES_PREFIX):
            if path.startswith(prefix):
                title_id = path.removeprefix(prefix).partition("/")[0]
                return title_id in self._loaded or title_id not in self._ids
        return True

    def _title(self, title_id: str) -> _TitleShelf | None:
        if title_id not in self._ids:
            return None
        shelf = self._loaded.get(title_id)
        if shelf is None:
            title = self._load_title(title_id)
            if title is None:
                return None
            shelf = self._loaded[title_id] = _TitleShelf(title, self._freshness, self._site_url)
            if len(self._loaded) > self._loaded_max:
                self._loaded.popitem(last=False)
        else:
            self._loaded.move_to_end(title_id)
        return shelf

    def _text(self, path: str, text: bytes, content_type: str, wall_s: float = 0.0) -> Resource:
        return _inline(path, text, content_type, wall_s, self._freshness.catalog_s)


class MemoryLibrary:
    """Titles that exist as figures alone: sizes, durations and manifests, but no media bytes.

    The simulator's origin, and the tests'.
    """

    def __init__(
        self,
        titles: Iterable[Title],
        *,
        freshness: FreshnessConfig | None = None,
        site_url: str = "",
    ) -> None:
        self._titles = {title.id: title for title in titles}
        self._shelf = Shelf(
            catalog_of((title.entry(), title.edition_no) for title in self._titles.values()),
            self._titles.get,
            freshness=freshness,
            loaded_max=max(1, len(self._titles)),
            site_url=site_url,
        )

    @property
    def catalog(self) -> Catalog:
        return self._shelf.catalog

    @property
    def titles(self) -> Mapping[str, Title]:
        return self._titles

    def resource(self, path: str) -> Resource | None:
        return self._shelf.resource(path)


class _TitleShelf:
    """The paths below one title; its manifests are written once."""

    def __init__(self, title: Title, freshness: FreshnessConfig, site_url: str) -> None:
        self.title = title
        self._freshness = freshness
        self._renditions = {entry.rendition.id: entry for entry in title.renditions}
        self.manifests = TitleManifests(title, site_url=site_url)

    def resource(self, path: str, rest: str) -> Resource | None:
        manifest = self.manifests.by_name.get(rest)
        if manifest is not None:
            return _inline(
                path,
                manifest.text,
                manifest.content_type,
                self.title.created_wall_s,
                self._freshness.manifest_s,
            )
        rendition_id, _, name = rest.partition("/")
        entry = self._renditions.get(rendition_id)
        return self._media(path, entry, name) if entry is not None else None

    def _media(self, path: str, entry: RenditionEntry, name: str) -> Resource | None:
        if name == INIT_NAME:
            size_bytes, crc32c = entry.init_size_bytes, entry.init_crc32c
        else:
            match = _SEGMENT.fullmatch(name)
            if match is None or int(match[1]) > len(entry.segments):
                return None
            segment = entry.segments[int(match[1]) - 1]
            size_bytes, crc32c = segment.size_bytes, segment.crc32c
        folder = self.title.folder
        return Resource(
            path=path,
            size_bytes=size_bytes,
            content_type=f"{entry.rendition.kind}/mp4",
            etag=f'"{crc32c:08x}-{size_bytes:x}"',
            last_modified_wall_s=self.title.created_wall_s,
            max_age_s=self._freshness.segment_s,
            is_immutable=True,
            file=f"{folder}/{entry.rendition.id}/{name}" if folder else None,
        )


def _inline(path: str, text: bytes, content_type: str, wall_s: float, max_age_s: int) -> Resource:
    return Resource(
        path=path,
        size_bytes=len(text),
        content_type=content_type,
        etag=f'"{hashlib.sha256(text).hexdigest()[:16]}"',
        last_modified_wall_s=wall_s,
        max_age_s=max_age_s,
        body=text,
    )
