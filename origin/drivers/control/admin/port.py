"""The admin port: the API, the page, figures for Prometheus, and events.

/v1/admin/...            the API (nearcast origin fleet, plan and token speak it as well)
/v1/admin/openapi.json   what there is
/v1/admin/events         server-sent events
POST /login, /logout     a cookie for a token, for browsers
/metrics                 figures, for a viewer's token as well
everything else          the page
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from nearcast.errors import InputError, NearcastError
from nearcast.server_tls import ServerTls
from origin.drivers.control.admin.events import EventHub
from origin.drivers.control.admin.login import Login, cookie_field, refuse_other_sites
from origin.drivers.control.admin.openapi import document
from origin.drivers.control.admin.routes import PREFIX, ApiError, Call, ErrorBody, Route, find
from origin.drivers.control.bodies import BodyRefused, read_body
from origin.drivers.control.connections import Connection
from origin.drivers.control.listener import Listener
from origin.drivers.state import StateUnavailable

logger = logging.getLogger(__name__)

CONNECTIONS_MAX: Final = 512
IDLE_S: Final = 30.0
BODY_BYTES_MAX: Final = 64 * 1024
EVENTS_PATH: Final = PREFIX + "/events"
OPENAPI_PATH: Final = PREFIX + "/openapi.json"
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_SECURITY: Final = {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class PageFile(msgspec.Struct, frozen=True):
    """A file of the page."""

    content_type: str
    content: bytes
    etag: str


Page = Callable[[str], PageFile | None]
"""By the path of the request; None: there is none."""


class LoggedIn(msgspec.Struct, frozen=True, kw_only=True):
    """Who a browser's session belongs to."""

    name: str
    role: str


class AdminPort:
    """Listens for people and their programs. `start`, then `close`."""

    def __init__(
        self,
        routes: Sequence[Route],
        login: Login,
        hub: EventHub,
        page: Page,
        metrics: Callable[[], bytes],
        version: str,
        tls: ServerTls | None = None,
    ) -> None:
        self._tls = tls
        self._routes = tuple(routes)
        self._login = login
        self._hub = hub
        self._page = page
        self._metrics = metrics
        self._openapi = msgspec.json.format(
            msgspec.json.encode(document(self._routes, version)), indent=2
        )
        self._encoder = msgspec.json.Encoder()
        self.listener = Listener(
            self._handle,
            what="control.admin_listen",
            connections_max=CONNECTIONS_MAX,
            idle_s=IDLE_S,
            tls=None if tls is None else tls.context,
        )

    async def start(self, listen: str) -> tuple[str, int]:
        bound = await self.listener.start(listen)
        if self._tls is not None:
            self._tls.watch()
        return bound

    def reload(self) -> None:
        """Show the certificate that its files hold now. What cannot be used changes nothing."""
        if self._tls is not None:
            self._tls.try_reload()

    async def close(self) -> None:
        if self._tls is not None:
            self._tls.close()
        self._hub.close()
        await self.listener.close()

    async def _handle(self, request: web.BaseRequest, connection: Connection) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        try:
            self._login.check_host(request)
            response = await self._answer(request, path, query)
        except ApiError as error:
            if error.status >= 500:
                logger.error(
                    "admin.failed path=%s detail=%s", path[:200], error.detail, exc_info=error
                )
            response = self._refused(error)
        except BodyRefused as error:
            response = self._refused(ApiError(error.status, "bad_request", error.detail))
            response.force_close()
        except StateUnavailable as error:
            response = self._refused(
                ApiError(503, "state", f"{error.trouble}: nothing was changed", retry_s=2)
            )
        except InputError as error:
            response = self._refused(ApiError(400, "bad_request", str(error)))
        except NearcastError as error:
            logger.error("admin.failed path=%s detail=%s", path[:200], error)
            response = self._refused(ApiError(500, "failed", str(error)))
        except Exception as error:  # a bug of ours: the caller is told so, the log has it whole
            logger.exception("admin.broken path=%s", path[:200])
            failure = f"the origin failed at this ({type(error).__name__}): its log says more"
            response = self._refused(ApiError(500, "failed", failure))
        if not response.prepared:
            response.headers.update(_SECURITY)
        return response

    async def _answer(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        reads = request.method in ("GET", "HEAD")
        if reads and path == EVENTS_PATH:
            await self._login.caller(request, "viewer")
            return await self._hub.serve(request, lambda: self._may_read(request))
        if reads and path == OPENAPI_PATH:
            return web.Response(body=self._openapi, headers={"content-type": "application/json"})
        if reads and path == "/metrics":
            await self._login.caller(request, "viewer")
            return web.Response(body=self._metrics(), headers={"content-type": METRICS_TYPE})
        if path in ("/login", "/logout"):
            return await self._session(request, path)
        if path.startswith(PREFIX):
            return await self._api(request, path, query)
        if not reads:
            raise ApiError(405, "method", "GET it")
        file = self._page(path)
        if file is None:
            raise ApiError(404, "not_found", f"there is no {path[:200]}")
        fields = {
            "content-type": file.content_type,
            "etag": file.etag,
            "cache-control": "no-cache",
        }
        if request.headers.get("if-none-match") == file.etag:
            return web.Response(status=304, headers=fields)
        return web.Response(body=file.content, headers=fields)

    async def _may_read(self, request: web.BaseRequest) -> bool:
        try:
            await self._login.caller(request, "viewer")
        except ApiError as error:
            return error.status >= 500  # the database is away: as before
        return True

    async def _api(self, request: web.BaseRequest, path: str, query: str) -> web.Response:
        route, named = find(self._routes, request.method, path)
        caller = await self._login.caller(request, route.role)
        call = Call(
            caller=caller,
            path=named,
            query=route.read_query(query),
            body=None
            if route.body is None
            else route.read_body(await read_body(request, BODY_BYTES_MAX)),
        )
        answer = await route.handler(call)
        if route.answer is None:
            return web.Response(status=204)
        return self._json(200, answer)

    async def _session(self, request: web.BaseRequest, path: str) -> web.Response:
        if request.method != "POST":
            raise ApiError(405, "method", "POST it")
        # No Strict-Transport-Security: it holds for all ports of a host, and players' is plain.
        behind = request.headers.get("x-forwarded-proto", "")
        is_secure = self._tls is not None or behind == "https"
        if path == "/logout":
            self._login.log_out(request)
            response = web.Response(status=204)
            response.headers["set-cookie"] = cookie_field("", is_secure=is_secure)
            return response
        refuse_other_sites(request)
        token = _token_of(await read_body(request, 4_096))
        caller, session = await self._login.log_in(token, request.remote or "")
        response = self._json(200, LoggedIn(name=caller.name, role=caller.role))
        response.headers["set-cookie"] = cookie_field(session, is_secure=is_secure)
        return response

    def _json(
        self, status: int, value: Any, fields: Mapping[str, str] | None = None
    ) -> web.Response:
        return web.Response(
            status=status,
            body=self._encoder.encode(value),
            headers={
                "content-type": "application/json",
                "cache-control": "no-store",
                **(fields or {}),
            },
        )

    def _refused(self, error: ApiError) -> web.Response:
        fields: dict[str, str] = {}
        if error.retry_s is not None:
            fields["retry-after"] = str(error.retry_s)
        if error.status == 401:
            fields["www-authenticate"] = "Bearer"
        return self._json(error.status, ErrorBody(error=error.error, detail=error.detail), fields)


def _token_of(body: bytes) -> str:
    """From JSON `{"token": ...}` or from a form."""
    try:
        if body.lstrip().startswith(b"{"):
            given = msgspec.json.decode(body, type=dict[str, str])
            return given["token"].strip()
        return parse_qs(body.decode())["token"][0].strip()
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, ValueError) as error:
        raise ApiError(400, "bad_request", 'send {"token": "..."}') from error
