"""An edge as players are told of it: a clone of the origin's pathway, at another host.

The specifications say that HOST is a hostname. hls.js, Shaka and video.js set what a browser calls
`hostname`: the port of the URL stays, and a HOST with a port changes nothing. dash.js puts HOST in
place of host and port. So:

- where an edge has the same port as the origin, and that is the scheme's own, its bare name is
  right for all: what a fleet should be;
- same port, another one: the bare name for HLS; name and port for DASH;
- different ports: name and port, with which video.js stays at the origin.

Where it is not the scheme's own port, HLS also gets whole URLs by stable ids (unless they are too
many), which hls.js and our own player take first.

dash.js (5.2) reads no BaseURL after a relative one, so it knows of `home` alone: for DASH each edge
comes twice, as a clone of either pathway. Who knows both has made the clone when the second comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from nearcast.steering import HOME_PATHWAY, PathwayClone, UriReplacement
from origin.catalog import PLAYLIST_NAME, media_path
from origin.steering.asked import Asked

_PORTS = {"http": 80, "https": 443}


class NamedEdge(NamedTuple):
    """An edge as players are told of it."""

    id: str
    url: str


def clones_of(edge: NamedEdge, title: str, asked: Asked, site_url: str) -> tuple[PathwayClone, ...]:
    """`site_url` is what the URLs of the pathway that is cloned begin with."""
    of_home = PathwayClone(id=edge.id, replacement=UriReplacement(host=urlsplit(edge.url).netloc))
    if asked.base == HOME_PATHWAY or not site_url:
        return (of_home,)
    name, port, is_usual = _place(edge.url)
    is_alike = port == _place(site_url)[1]
    is_bare = is_alike and (is_usual or asked.format == "hls")
    needs_uris = not (is_alike and is_usual)
    made = PathwayClone(
        id=edge.id,
        base_id=asked.base,
        replacement=UriReplacement(
            host=name if is_bare else f"{name}:{port}",
            variant_uris=_uris(edge.url, title, asked.variants if needs_uris else ()),
            rendition_uris=_uris(edge.url, title, asked.renditions if needs_uris else ()),
        ),
    )
    return (made,) if asked.format == "hls" else (made, of_home)


def _place(url: str) -> tuple[str, int, bool]:
    """Name, port, and whether that is the scheme's own."""
    parts = urlsplit(url)
    usual = _PORTS.get(parts.scheme, 0)
    port = parts.port or usual
    name = parts.hostname or ""
    return f"[{name}]" if ":" in name else name, port, port == usual


def _uris(edge_url: str, title: str, ids: Iterable[str]) -> dict[str, str]:
    named = quote(title.encode(errors="replace"), safe="")
    return {each: edge_url.rstrip("/") + media_path(named, each, PLAYLIST_NAME) for each in ids}
