"""Tell manifests from other things, and DASH from HLS."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from nearcast.errors import RemoteProtocolError
from nearcast.manifests.dash import read_dash
from nearcast.manifests.hls import HlsMaster, alone, read_hls
from nearcast.manifests.indexed import IndexedMpd
from nearcast.manifests.limits import check_text
from nearcast.manifests.playlist import MediaPlaylist
from nearcast.media import Presentation

Manifest = Presentation | HlsMaster | MediaPlaylist
"""What one text says: all of a title, or a part of an HLS title."""

MANIFEST_TYPES: Final = frozenset(
    (
        "application/dash+xml",
        "application/vnd.apple.mpegurl",
        "application/x-mpegurl",
        "audio/mpegurl",
        "audio/x-mpegurl",
    )
)
MANIFEST_SUFFIXES: Final = (".mpd", ".m3u8")

_PORTS = {"http": 80, "https": 443}


def is_manifest(content_type: str | None, url: str) -> bool:
    """Whether an answer is a DASH or HLS manifest, by its Content-Type, or by its name where the
    type says nothing (stock file servers often know neither format)."""
    if content_type:
        kind = content_type.partition(";")[0].strip().lower()
        if kind in MANIFEST_TYPES:
            return True
        if kind.startswith(("video/", "audio/", "image/")):
            return False
    return url.partition("?")[0].partition("#")[0].lower().endswith(MANIFEST_SUFFIXES)


def read_manifest(text: bytes, url: str) -> Presentation | HlsMaster | IndexedMpd:
    """What a manifest fetched from `url` says. Raises RemoteProtocolError with the reason.

    An HLS master names media playlists that must be fetched before there is a presentation, an MPD
    may have the index of its segments inside the media; a media playlist alone gives a
    presentation with one video representation.
    """
    found = _read(text, url)
    return alone(found, url) if isinstance(found, MediaPlaylist) else found


def read_part(text: bytes, url: str) -> Manifest:
    """As `read_manifest`, but a media playlist stays what it is: a master may come to it. For who
    sees manifests pass and fetches nothing: what needs bytes of the media is refused."""
    found = _read(text, url)
    if isinstance(found, IndexedMpd):
        raise RemoteProtocolError(
            "the index of its segments is inside the media files (sidx), which are not looked into"
        )
    return found


def _read(text: bytes, url: str) -> Manifest | IndexedMpd:
    start = check_text(text)[:1]
    if start == "<":
        return read_dash(text, url)
    if start == "#":
        return read_hls(text, url)
    raise RemoteProtocolError("neither a DASH nor an HLS manifest")


def foreign_urls(presentation: Presentation, url: str) -> tuple[str, ...]:
    """The URLs in `presentation` whose scheme, host or port differ from those of `url`."""
    home = origin_of(url)
    found: dict[str, None] = {}
    for _, representations in presentation.tracks():
        for representation in representations:
            for segment in (*representation.inits, *representation.segments):
                if origin_of(segment.url) != home:
                    found[segment.url] = None
    return tuple(found)


def origin_of(url: str) -> tuple[str, str, int | None]:
    """(scheme, host, port), the port as it is when not written."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
