"""From a URL to a presentation: one manifest, or an HLS master and all its playlists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal
from urllib.parse import urlsplit

from nearcast.errors import RemoteProtocolError
from nearcast.manifests import HlsMaster, foreign_urls, origin_of, read_manifest
from nearcast.media import Presentation

StreamFormat = Literal["d", "h"]
ANY_HOST = "*"


class Loader:
    """Collects the texts of one title. Its methods raise RemoteProtocolError."""

    def __init__(self, url: str, allow_hosts: Iterable[str]) -> None:
        self.url = url
        self.presentation: Presentation | None = None
        self.stream_format: StreamFormat | None = None
        self._allow_hosts = frozenset(allow_hosts)
        self._base_url = url
        self._master: HlsMaster | None = None
        self._playlists: dict[str, bytes] = {}

    def read(self, text: bytes, url: str) -> tuple[str, ...]:
        """Take in the manifest, found at `url`; the playlists that must be fetched as well."""
        self._base_url = url
        is_hls = text.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"#EXTM3U")
        self.stream_format = "h" if is_hls else "d"
        found = read_manifest(text, url)
        if isinstance(found, Presentation):
            self._accept(found)
            return ()
        self._master = found
        home = origin_of(url)
        self._refuse([each for each in found.playlist_urls if origin_of(each) != home])
        return found.playlist_urls

    def read_playlist(self, text: bytes, url: str) -> None:
        """Take in the playlist that was asked for as `url`."""
        assert self._master is not None
        self._playlists[url] = text
        if len(self._playlists) == len(self._master.playlist_urls):
            self._accept(self._master.assemble(self._playlists))

    def _accept(self, presentation: Presentation) -> None:
        self._refuse(foreign_urls(presentation, self._base_url))
        self.presentation = presentation

    def _refuse(self, foreign: Iterable[str]) -> None:
        for url in foreign:
            place = urlsplit(url)
            allowed = {ANY_HOST, place.hostname or "", place.netloc}
            if not allowed & self._allow_hosts or place.scheme not in ("http", "https"):
                raise RemoteProtocolError(
                    f"the manifest refers to {url}, outside its own origin; "
                    f"if that is meant, allow it: --set allow_hosts={place.netloc or ANY_HOST}"
                )
