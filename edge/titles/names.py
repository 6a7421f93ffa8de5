"""Which manifest a title of the model means here, and which title a manifest is.

The model knows titles by the names of the log it was trained on: `series:NAME` for a series as a
whole, and films by their title. Here they are

    catalogue of a Nearcast origin   series:SERIES, and films by their id or their name
    `prefetch.series` patterns       series:SERIES, as the pattern finds it in the URL
    else                             the path of the manifest

A name stands for what a viewer would start: of a series the first episode, or the one after the
last that this viewer took up; in the format that this viewer's player asks for. What no catalogue
names is known from the first time that somebody watches it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Final
from urllib.parse import urljoin, urlsplit

from edge.events import CatalogLearned
from edge.media_map import StreamFormat
from edge.numbered import Numbers
from edge.services import Services
from edge.successors import TITLES_MAX

SERIES: Final = "series:"
FORMATS: Final[tuple[StreamFormat, ...]] = ("dash", "hls")
WATCHED_MAX: Final = 20_000
"""Titles without a catalogue, by name; those watched longest ago make room."""


class _Work:
    """A series or a film of one catalogue."""

    def __init__(self, name: str, shown: str) -> None:
        self.names = [name]
        self.shown = shown
        self.urls: tuple[list[str], list[str]] = ([], [])
        """Manifests by format, in the order of watching."""


class _Catalog:
    def __init__(self) -> None:
        self.works: dict[str, _Work] = {}
        """By each of its names."""
        self.places: dict[str, tuple[_Work, int, int]] = {}
        """By manifest: the work, the format, and which of its manifests it is."""


class Names:
    """Names and manifests."""

    def __init__(self, services: Services, numbers: Numbers) -> None:
        self._services = services
        self._numbers = numbers
        self._catalogs: dict[str, _Catalog] = {}  # by where they came from
        self._watched: OrderedDict[str, str] = OrderedDict()  # name -> first manifest seen

    def learn(self, event: CatalogLearned) -> None:
        """A catalogue replaces the one before of its origin."""
        catalog = self._catalogs[event.base_url] = _Catalog()
        titles = sorted(
            event.catalog.titles[:TITLES_MAX],
            key=lambda one: (one.series or "", one.season_no or 0, one.episode_no or 0),
        )
        for title in titles:
            name = SERIES + title.series if title.series is not None else title.id
            work = catalog.works.get(name)
            if work is None:
                work = catalog.works[name] = _Work(name, title.series or title.name)
            if title.series is None and title.name not in catalog.works:
                catalog.works[title.name] = work
                work.names.append(title.name)
            for index, path in enumerate((title.dash, title.hls)):
                url = self._services.canonical(urljoin(event.base_url, path))
                if url is not None and url not in catalog.places:
                    catalog.places[url] = work, index, len(work.urls[index])
                    work.urls[index].append(url)

    def keep_only(self, catalog_urls: Collection[str]) -> None:
        """Forget what other catalogues said."""
        for url in tuple(self._catalogs):
            if url not in catalog_urls:
                del self._catalogs[url]

    def watched(self, manifest_url: str) -> None:
        """Somebody watches this."""
        if self._place(manifest_url) is not None:
            return
        name = self._uncatalogued(manifest_url)
        first_url = self._watched.pop(name, manifest_url)
        self._watched[name] = self._earlier(first_url, manifest_url)
        if len(self._watched) > WATCHED_MAX:
            self._watched.popitem(last=False)

    def names(self, manifest_url: str) -> tuple[str, ...]:
        """What a model may call the title of this manifest; the first is what we call it."""
        place = self._place(manifest_url)
        return (self._uncatalogued(manifest_url),) if place is None else tuple(place[0].names)

    def shown(self, name: str) -> str:
        """What people call it."""
        for catalog in self._catalogs.values():
            if name in catalog.works:
                return catalog.works[name].shown
        return name.removeprefix(SERIES)

    def manifest(
        self,
        name: str,
        like_url: str | None,
        after_url: str | None = None,
        *,
        form: StreamFormat | None = None,
    ) -> str | None:
        """What a viewer who watches `like_url` would start of this title, and who has taken up
        `after_url` of it; in the same format if `form` is None. None: nothing here is called so,
        or all of it was watched."""
        here = self._place(like_url) if like_url is not None else None
        if form is not None:
            format_index = FORMATS.index(form)
        else:
            format_index = here[1] if here is not None else 0
        catalogs = list(self._catalogs.values())
        if here is not None:  # what is named alike elsewhere may be something else
            catalogs.sort(key=lambda one: like_url not in one.places)
        for catalog in catalogs:
            work = catalog.works.get(name)
            if work is None:
                continue
            place = catalog.places.get(after_url) if after_url is not None else None
            index = place[2] + 1 if place is not None and place[0] is work else 0
            urls = work.urls[format_index]
            return urls[index] if index < len(urls) else None
        if after_url is not None and name in self.names(after_url):
            numbered = self._numbers.read(after_url)
            return numbered.next_url if numbered is not None else None
        return self._watched.get(name)

    def _place(self, manifest_url: str) -> tuple[_Work, int, int] | None:
        for catalog in self._catalogs.values():
            if manifest_url in catalog.places:
                return catalog.places[manifest_url]
        return None

    def _uncatalogued(self, manifest_url: str) -> str:
        numbered = self._numbers.read(manifest_url)
        return SERIES + numbered.series if numbered is not None else urlsplit(manifest_url).path

    def _earlier(self, one_url: str, other_url: str) -> str:
        """The one of two episodes that comes first in its series."""
        one, other = self._numbers.read(one_url), self._numbers.read(other_url)
        if one is None or other is None:
            return one_url
        is_later = (other.season_no, other.episode_no) >= (one.season_no, one.episode_no)
        return one_url if is_later else other_url
