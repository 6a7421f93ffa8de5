"""A library on disk as `OriginCore` sees it: the catalogue's state at the last look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nearcast.messages import TitleEntry
from nearcast.model_index import MODELS_PREFIX
from origin.catalog import catalog_of
from origin.drivers.catalog_database import CatalogDatabase
from origin.drivers.model_store import OnDisk
from origin.library import FreshnessConfig, Resource, Shelf
from origin.manifests import Manifest
from origin.steering.clones import NamedEdge


class DiskLibrary:
    """Serves what the catalogue says, and looks for changes when `refresh` is called.

    Files are opened by the name the catalogue gives them, below the library's media folder, and
    those of models below theirs.
    """

    def __init__(
        self,
        database: CatalogDatabase,
        media: Path,
        models: OnDisk,
        freshness: FreshnessConfig,
        *,
        site_url: str = "",
    ) -> None:
        self._database = database
        self._models = models
        self._media = media
        self._freshness = freshness
        self._site_url = site_url
        self._revision = database.revision()
        self._shelf = self._read()

    @property
    def title_count(self) -> int:
        return len(self._shelf.catalog.titles)

    @property
    def titles(self) -> tuple[TitleEntry, ...]:
        return self._shelf.catalog.titles

    @property
    def model_count(self) -> int:
        return self._models.count

    def resource(self, path: str) -> Resource | None:
        if path.startswith(MODELS_PREFIX):
            return self._models.resource(path)
        return self._shelf.resource(path)

    def for_client(self, path: str, edges: Sequence[NamedEdge]) -> Manifest | None:
        """The manifest at `path` for a client that is to take these edges, if there is such."""
        return self._shelf.for_client(path, edges)

    def has_loaded(self, path: str) -> bool:
        """Whether `resource(path)` will answer without reading the database."""
        return self._shelf.has_loaded(path)

    def refresh(self) -> bool:
        """Read the catalogue and the list of models anew if they changed; True if one had."""
        is_changed = self._models.refresh()
        revision = self._database.revision()
        if revision == self._revision:
            return is_changed
        # Read after the number: a change in between is then seen again, never missed.
        self._revision = revision
        self._shelf = self._read()
        return True

    def file(self, resource: Resource) -> Path:
        assert resource.file is not None
        if resource.shelf == "models":
            return self._models.file(resource)
        return self._media / resource.file

    def _read(self) -> Shelf:
        lines = self._database.lines()
        return Shelf(
            catalog_of((line.entry, line.edition_no) for line in lines),
            self._database.title,
            freshness=self._freshness,
            site_url=self._site_url,
        )
