"""What follows what: learnt from the catalogues of Nearcast origins, else by manifests' names.

Titles are known here by the URLs of their manifests as clients ask the edge for them. The successor
of a DASH manifest is a DASH manifest, that of an HLS master an HLS master: a player goes on as it
began.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urljoin

import msgspec

from edge.events import CatalogLearned
from edge.numbered import Numbers
from edge.services import Services

TITLES_MAX = 200_000
"""A larger catalogue is read as far as this."""


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """Where a title stands in its series."""

    series: str
    season_no: int
    episode_no: int


class _Known:
    """What one catalogue says."""

    def __init__(self) -> None:
        self.next: dict[str, str] = {}
        self.previous: dict[str, str] = {}
        self.episodes: dict[str, Episode] = {}


class Successors:
    """By manifest URL. Empty until a catalogue came, but for what `numbers` reads."""

    def __init__(self, services: Services, numbers: Numbers | None = None) -> None:
        self._services = services
        self._numbers = numbers if numbers is not None else Numbers(())
        self._catalogs: dict[str, _Known] = {}  # by where they came from

    def learn(self, event: CatalogLearned) -> None:
        """A catalogue replaces the one before of its origin. What lies outside the services is
        left out."""
        titles = {title.id: title for title in event.catalog.titles[:TITLES_MAX]}
        following = event.catalog.successors()
        known = self._catalogs[event.base_url] = _Known()
        for title in titles.values():
            successor = titles.get(following.get(title.id, ""))
            for path, successor_path in (
                (title.dash, successor.dash if successor is not None else None),
                (title.hls, successor.hls if successor is not None else None),
            ):
                url = self._services.canonical(urljoin(event.base_url, path))
                if url is None:
                    continue
                if title.series is not None:
                    known.episodes[url] = Episode(
                        series=title.series,
                        season_no=title.season_no or 1,
                        episode_no=title.episode_no or 1,
                    )
                if successor_path is None:
                    continue
                successor_url = self._services.canonical(urljoin(event.base_url, successor_path))
                if successor_url is not None:
                    known.next[url] = successor_url
                    known.previous[successor_url] = url

    def keep_only(self, catalog_urls: Collection[str]) -> None:
        """Forget what other catalogues said."""
        for url in tuple(self._catalogs):
            if url not in catalog_urls:
                del self._catalogs[url]

    def after(self, manifest_url: str) -> str | None:
        """The manifest of what is watched next, if anything follows."""
        for known in self._catalogs.values():
            if manifest_url in known.next:
                return known.next[manifest_url]
        if self._is_catalogued(manifest_url):
            return None  # its catalogue says that nothing follows
        numbered = self._numbers.read(manifest_url)
        return numbered.next_url if numbered is not None else None

    def before(self, manifest_url: str) -> str | None:
        for known in self._catalogs.values():
            if manifest_url in known.previous:
                return known.previous[manifest_url]
        if self._is_catalogued(manifest_url):
            return None
        numbered = self._numbers.read(manifest_url)
        return numbered.previous_url if numbered is not None else None

    def episode(self, manifest_url: str) -> Episode | None:
        """None for films and for what no catalogue names."""
        for known in self._catalogs.values():
            if manifest_url in known.episodes:
                return known.episodes[manifest_url]
        numbered = self._numbers.read(manifest_url)
        if numbered is None:
            return None
        return Episode(
            series=numbered.series,
            season_no=numbered.season_no,
            episode_no=numbered.episode_no,
        )

    def _is_catalogued(self, manifest_url: str) -> bool:
        return any(manifest_url in known.episodes for known in self._catalogs.values())
