"""Titles whose segments are asked for here, and whose manifests never are.

A player that is steered has its manifest from the origin and the segments from an edge, which then
knows nothing of the title: whose bytes these are, who watches, what comes next. So the catalogue's
manifests are known by their folders, and when something below one is asked for that no known title
has, its manifest is fetched: once for a while, a few at a time, at the first sight of a title.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from itertools import islice
from typing import Final
from urllib.parse import urljoin

from edge.events import CatalogLearned
from edge.media_map import MediaMap
from edge.services import Services
from edge.successors import TITLES_MAX

DEPTH_MAX: Final = 4
"""Folders between a manifest and its segments."""
RETRY_S: Final = 60.0
ASKED_MAX: Final = 10_000
COMING_MAX: Final = 8
"""Fetched within COMING_S; others have their turn when they are asked for again."""
COMING_S: Final = 2.0


class Unmapped:
    """Finds the manifest of what is on no map, and has it fetched."""

    def __init__(
        self, services: Services, media_map: MediaMap, fetch: Callable[[str, float], bool]
    ) -> None:
        """`fetch(url, now_s)` brings a manifest to the map; False: not now."""
        self._services = services
        self._map = media_map
        self._fetch = fetch
        self._catalogs: dict[str, dict[str, str]] = {}  # by where they came from: folder -> MPD
        self._asked: OrderedDict[str, float] = OrderedDict()  # manifest -> when

    def learn(self, event: CatalogLearned) -> None:
        """A catalogue replaces the one before of its origin. One set of segments serves DASH and
        HLS, so the MPD alone will do."""
        folders = self._catalogs[event.base_url] = {}
        for title in event.catalog.titles[:TITLES_MAX]:
            url = self._services.canonical(urljoin(event.base_url, title.dash))
            if url is not None:
                folders[url.rpartition("/")[0]] = url

    def keep_only(self, catalog_urls: Collection[str]) -> None:
        """Forget what other catalogues said."""
        for url in tuple(self._catalogs):
            if url not in catalog_urls:
                del self._catalogs[url]

    def seen(self, url: str, at_s: float) -> None:
        """A client asked for this, and it is on no map."""
        manifest_url = self._manifest_above(url)
        if manifest_url is None or manifest_url == url or self._map.title(manifest_url) is not None:
            return
        if at_s < self._asked.get(manifest_url, -RETRY_S) + RETRY_S:
            return
        latest = list(islice(reversed(self._asked.values()), COMING_MAX))
        if len(latest) == COMING_MAX and latest[-1] >= at_s - COMING_S:
            return
        if self._fetch(manifest_url, at_s):
            self._asked.pop(manifest_url, None)
            self._asked[manifest_url] = at_s
            if len(self._asked) > ASKED_MAX:
                self._asked.popitem(last=False)

    def _manifest_above(self, url: str) -> str | None:
        folder = url
        for _ in range(DEPTH_MAX):
            folder = folder.rpartition("/")[0]
            for folders in self._catalogs.values():
                if folder in folders:
                    return folders[folder]
        return None
