"""What players ask of the control plane, on the content listener.

    GET  /v1/steering/{title}   content steering, for HLS and DASH alike
    GET  /v1/play/{title}/...   a manifest for this client (the content listener writes it)
    POST /v1/cmcd               event reports of players (CMCD version 2)

Answers are for one client at one moment: nobody may keep them. While there is no control plane (it
is starting, or its database was never reached) players are told to come again; they go on where
they are.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol
from urllib.parse import unquote

from aiohttp import web

from origin.control.client_address import client_address, networks
from origin.control.reports import errors_of
from origin.drivers.control.bodies import BodyRefused, read_body
from origin.manifests import Manifest
from origin.steering.asked import STEERING_PREFIX
from origin.steering.clones import NamedEdge

logger = logging.getLogger(__name__)

PLAY_PREFIX: Final = "/v1/play/"
"""Followed by what comes after `/media/` for everybody's manifest."""
COLLECTOR_PATH: Final = "/v1/cmcd"
REPORT_BYTES_MAX: Final = 64 * 1024
REPORT_S: Final = 5.0
TITLE_LENGTH_MAX: Final = 200
QUERY_LENGTH_MAX: Final = 4_000
REPORTS_A_SECOND_MAX: Final = 1_000
"""Reports beyond are answered and not read: players' word is worth little CPU."""

_CORS: Final = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST, OPTIONS",
    # CMCD as headers comes with questions for steering, too.
    "access-control-allow-headers": (
        "content-type, CMCD-Request, CMCD-Object, CMCD-Status, CMCD-Session"
    ),
    "access-control-expose-headers": "Retry-After",
    "access-control-max-age": "86400",
    "cache-control": "no-store",
}


class Steers(Protocol):
    """The control plane, as players need it."""

    def steer(self, client: str, title: str, query: str) -> bytes: ...

    def edges_for(self, client: str, title: str) -> Sequence[NamedEdge]: ...

    def edges_by_host(self) -> dict[str, str]: ...

    def player_errors(self, edge: str, count: int) -> None: ...


class Public:
    """`handle` gives an answer, or None for paths of others."""

    def __init__(
        self,
        trusted_proxies: Sequence[str],
        *,
        collects: bool,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trusted = networks(trusted_proxies)
        self._collects = collects
        self._now_s = now_s
        self._second = 0
        self._in_second = 0
        self.steers: Steers | None = None
        self.steering_count = 0
        self.report_count = 0
        self.dropped_count = 0

    async def handle(self, request: web.BaseRequest, path: str) -> web.StreamResponse | None:
        if path.startswith(STEERING_PREFIX):
            return self._steering(request, path)
        if path == COLLECTOR_PATH and self._collects:
            return await self._report(request)
        return None

    def _steering(self, request: web.BaseRequest, path: str) -> web.Response:
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=_CORS)
        if request.method not in ("GET", "HEAD"):
            return _plain(405, "GET it")
        title = unquote(path.removeprefix(STEERING_PREFIX), errors="replace")
        query = request.raw_path.partition("?")[2]
        if not title or len(title) > TITLE_LENGTH_MAX or len(query) > QUERY_LENGTH_MAX:
            return _plain(400, "the title or the query is too long")
        if self.steers is None:
            return _plain(503, "steering is not ready", retry=True)
        self.steering_count += 1
        return web.Response(
            body=self.steers.steer(self._client(request), title, query),
            headers={"content-type": "application/json", **_CORS},
        )

    def for_client(
        self,
        request: web.BaseRequest,
        place: str,
        write: Callable[[Sequence[NamedEdge]], Manifest | None],
    ) -> web.Response:
        """What `write` makes of the edges for this client, of everybody's manifest at `place`:
        sent there where nothing is."""
        made: Manifest | None = None
        if self.steers is not None:
            title = unquote(place.split("/")[2], errors="replace")
            made = write(self.steers.edges_for(self._client(request), title))
        if made is None:
            return web.Response(status=307, headers={"location": place, **_CORS})
        return web.Response(body=made.text, headers={"content-type": made.content_type, **_CORS})

    def _client(self, request: web.BaseRequest) -> str:
        return client_address(
            request.remote or "", request.headers.get("x-forwarded-for", ""), self._trusted
        )

    async def _report(self, request: web.BaseRequest) -> web.Response:
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=_CORS)
        if request.method != "POST":
            return _plain(405, "POST it")
        second = int(self._now_s())
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        is_read = self._in_second <= REPORTS_A_SECOND_MAX
        try:
            body = await read_body(request, REPORT_BYTES_MAX, limit_s=REPORT_S)
        except BodyRefused as refused:
            response = _plain(refused.status, refused.detail)
            response.force_close()
            return response
        if not is_read or self.steers is None:
            self.dropped_count += 1
            return web.Response(status=204, headers=_CORS)
        found, count = errors_of(body.decode("utf-8", "replace"), self.steers.edges_by_host())
        self.report_count += count
        for edge, errors in found.items():
            self.steers.player_errors(edge, errors)
        return web.Response(status=204, headers=_CORS)


def _plain(status: int, text: str, *, retry: bool = False) -> web.Response:
    fields = dict(_CORS)
    if retry:
        fields["retry-after"] = "2"
    if status == 405:
        fields["allow"] = "GET, POST, OPTIONS"
    return web.Response(status=status, text=f"{text}\n", headers=fields)
