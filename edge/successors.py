"""What follows what: learnt from a Nearcast origin's catalogue.

Titles are known here by the URLs of their manifests as clients ask the edge for them. The successor
of a DASH manifest is a DASH manifest, that of an HLS master an HLS master: a player goes on as it
began.
"""

from __future__ import annotations

from urllib.parse import urljoin

import msgspec

from edge.events import CatalogLearned
from edge.services import Services

TITLES_MAX = 200_000
"""A larger catalogue is read as far as this."""


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """Where a title stands in its series."""

    series: str
    season_no: int
    episode_no: int


class Successors:
    """By manifest URL. Empty until a catalogue came."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._next: dict[str, str] = {}
        self._previous: dict[str, str] = {}
        self._episodes: dict[str, Episode] = {}

    def learn(self, event: CatalogLearned) -> None:
        """A catalogue replaces the one before. What lies outside the services is left out."""
        titles = {title.id: title for title in event.catalog.titles[:TITLES_MAX]}
        following = event.catalog.successors()
        self._next, self._previous, self._episodes = {}, {}, {}
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
                    self._episodes[url] = Episode(
                        series=title.series,
                        season_no=title.season_no or 1,
                        episode_no=title.episode_no or 1,
                    )
                if successor_path is not None:
                    self._link(url, urljoin(event.base_url, successor_path))

    def _link(self, url: str, successor_url: str) -> None:
        successor = self._services.canonical(successor_url)
        if successor is not None:
            self._next[url] = successor
            self._previous[successor] = url

    def after(self, manifest_url: str) -> str | None:
        """The manifest of what is watched next, if anything follows."""
        return self._next.get(manifest_url)

    def before(self, manifest_url: str) -> str | None:
        return self._previous.get(manifest_url)

    def episode(self, manifest_url: str) -> Episode | None:
        """None for films and for what the catalogue does not name."""
        return self._episodes.get(manifest_url)
