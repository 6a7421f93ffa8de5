"""The manifests of planned files on their way to the map: read from the store, or to be fetched."""

from __future__ import annotations

from typing import Final

from edge.fleet.files import File
from edge.fleet.pieces import TEXT_BYTES, NotPossible, Piece, pieces_of
from edge.media_map import MediaMap
from edge.open_fills import OpenFills
from edge.services import Services
from edge.texts import Texts

READING_S: Final = 30.0
"""After which one that was not read is not waited for any more."""


class Readings:
    """Asks for manifests, and makes objects of them."""

    def __init__(
        self, *, services: Services, media_map: MediaMap, texts: Texts, open_fills: OpenFills
    ) -> None:
        self._services = services
        self._map = media_map
        self._texts = texts
        self._open = open_fills
        self._since: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._since)

    def __contains__(self, url: str) -> bool:
        return url in self._since

    def clear(self) -> None:
        self._since.clear()

    def is_known(self, url: str) -> bool:
        """Whether it is on the map."""
        title = self._map.title(url)
        return title is not None and title.presentation is not None

    def ask(self, url: str, now_s: float) -> bool:
        """Whether it will be on the map soon; else it has to be fetched."""
        if url in self._since:
            return True
        is_coming = self._texts.is_coming(url) or bool(self._open.of_url(url))
        if is_coming or self._texts.want(url, ()):
            self._since[url] = now_s
            return True
        return False

    def arrived(self, url: str) -> bool:
        """It was read, or cannot be. Whether it was waited for."""
        return self._since.pop(url, None) is not None

    def forget_unread(self, now_s: float) -> list[str]:
        """Those that were not read in time."""
        late = [url for url, since_s in self._since.items() if now_s - since_s >= READING_S]
        for url in late:
            del self._since[url]
        return late

    def pieces(self, file: File) -> tuple[Piece, ...] | None:
        """All objects of a file, the manifest first; None: its manifest is not on the map. Raises
        NotPossible."""
        if file.pieces is not None:
            return file.pieces
        title = self._map.title(file.manifest_url) if file.manifest_url is not None else None
        if title is None or title.presentation is None:
            return None
        found = []
        for piece in pieces_of(file.planned, title):
            url = self._services.canonical(piece.url)
            if url is None:
                raise NotPossible("parts of it belong to no service")
            found.append(Piece(url, piece.size_bytes, piece.is_reserved))
        file.pieces = (Piece(title.url, TEXT_BYTES, file.is_reserved), *found)
        return file.pieces
