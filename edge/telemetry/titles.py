"""How titles are called between edges and the origin.

A title that a Nearcast origin's catalogue names has its id there, whichever manifest of it a viewer
began with. Any other is called by the path of its manifest; where that is too long for a message,
by its beginning and a digest of all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Final
from urllib.parse import urljoin, urlsplit

from edge.events import CatalogLearned
from edge.services import Services
from edge.successors import TITLES_MAX

NAME_LENGTH_MAX: Final = 200
"""Of a name in a message (nearcast.fleet.Text)."""
DIGEST_LENGTH: Final = 16
REMEMBERED_MAX: Final = 4096
"""Names of uncatalogued titles at hand; one is asked for with every request."""


class TitleIds:
    """Ids by manifest URL."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._catalogs: dict[str, dict[str, str]] = {}  # by where they came from
        self._made: dict[str, str] = {}

    def learn(self, event: CatalogLearned) -> None:
        """A catalogue replaces the one before of its origin."""
        ids = self._catalogs[event.base_url] = {}
        for title in event.catalog.titles[:TITLES_MAX]:
            for path in (title.dash, title.hls):
                url = self._services.canonical(urljoin(event.base_url, path))
                if url is not None:
                    ids[url] = shortened(title.id)

    def keep_only(self, catalog_urls: Collection[str]) -> None:
        """Forget what other catalogues said."""
        for url in tuple(self._catalogs):
            if url not in catalog_urls:
                del self._catalogs[url]

    def id_of(self, manifest_url: str) -> str:
        """What the title of this manifest is called."""
        for ids in self._catalogs.values():
            title_id = ids.get(manifest_url)
            if title_id is not None:
                return title_id
        name = self._made.get(manifest_url)
        if name is None:
            if len(self._made) >= REMEMBERED_MAX:
                self._made.clear()
            name = self._made[manifest_url] = shortened(urlsplit(manifest_url).path or "/")
        return name


def shortened(name: str) -> str:
    """The same name where it fits into a message, else one of its own that does."""
    if len(name) <= NAME_LENGTH_MAX:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_LENGTH]
    return f"{name[: NAME_LENGTH_MAX - DIGEST_LENGTH - 1]}-{digest}"
