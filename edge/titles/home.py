"""The rows a client is shown first: what its viewer may like, then what is popular here.

A client is known as its sessions are, by address and User-Agent. Who shares both with others could
be told from their own what the others watch, so only a client behind which one viewer is known gets
rows of its own; everybody else, and whoever comes through a proxy, gets what is popular.
"""

from __future__ import annotations

from typing import Final

import msgspec

from cache.http.headers import Headers, get_one
from edge.media_map import StreamFormat
from edge.services import Services
from edge.titles.advisor import Advisor
from edge.titles.histories import Taken
from edge.titles.names import Names
from edge.viewers import Viewer, Viewers

COUNT_MAX: Final = 100
PROXIED: Final = frozenset({"forwarded", "via", "x-forwarded-for", "x-real-ip"})
"""Fields by which a request says that it was passed on for somebody."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A title to offer."""

    name: str
    manifest: str
    """Its path on this node; of a series that of the episode that comes next for this viewer."""


class HomeRows:
    """Answers what a client may like."""

    def __init__(
        self, advisor: Advisor, *, names: Names, viewers: Viewers, services: Services
    ) -> None:
        self._advisor = advisor
        self._names = names
        self._viewers = viewers
        self._services = services

    def rows(
        self, client: str, headers: Headers, count: int, form: StreamFormat, now_s: float
    ) -> tuple[Row, ...]:
        """The likeliest first, at most `count`; none that was watched before."""
        viewer = self._viewer(client, headers)
        likes: tuple[str, ...] = ()
        taken: dict[str, Taken] = {}
        like_url = None
        if viewer is not None:
            likes = self._advisor.likes(viewer)
            taken = self._advisor.histories.of(viewer, now_s)
            like_url = viewer.last_title_url
        host = get_one(headers, "host") or ""
        rows: dict[str, Row] = {}
        for name in (*likes, *self._advisor.popular.most(now_s)):
            if len(rows) >= min(count, COUNT_MAX):
                break
            if name in taken:
                continue
            url = self._names.manifest(name, like_url, form=form)
            path = self._path(url, host) if url is not None else None
            if path is not None and path not in rows:
                rows[path] = Row(name=self._names.shown(name), manifest=path)
        return tuple(rows.values())

    def _viewer(self, client: str, headers: Headers) -> Viewer | None:
        if not PROXIED.isdisjoint(name.lower() for name, _ in headers):
            return None
        agent = get_one(headers, "user-agent") or ""
        return self._viewers.only(self._viewers.pseudonym(client, agent))

    def _path(self, url: str, host: str) -> str | None:
        """As this client would ask for it; None: not under this host."""
        service = self._services.of_url(url)
        if service is None:
            return None
        path = service.target_of(url)
        found = self._services.key_of(host, path)
        return path if found is not None and found[1] == url else None
