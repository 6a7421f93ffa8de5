"""What operators ask a node, and tell it.

    /metrics  /.nearcast/status  /.nearcast/health     figures
    /.nearcast/models   which models run, how they do, and what was refused
    /.nearcast/explain?url=...     why an object was, is or was not fetched ahead
    /livez   whether the process runs      /readyz   whether to send it requests
    POST /purge   {"url" | "prefix" | "tag": "...", "soft": false}
    POST /forget  {"viewer": "ADDRESS", "user_agent": "..."}
    POST /reload  read the settings again, as SIGHUP does

On the main port the first five (and the two under /.nearcast/) are answered to clients on this
machine alone, everybody else's request for such a path goes its ordinary way; with an admin
address they are answered there and nowhere else. What changes something is to be had on the admin
address only, and for the token only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from ipaddress import ip_address
from typing import Annotated, Any, Final, Protocol
from urllib.parse import parse_qs

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from edge.drivers.metrics import EdgeCollector, Figures
from edge.drivers.sockets import listening_socket, shown
from edge.drivers.token import AdminToken
from edge.effects import ViewerForgotten
from edge.events import Headers, PurgeKind
from edge.models.figures import ModelsFigures
from edge.prefetch.explanation import Explanation
from nearcast.address import is_loopback
from nearcast.errors import NearcastError

logger = logging.getLogger(__name__)

METRICS_PATH: Final = "/metrics"
STATUS_PATH: Final = "/.nearcast/status"
HEALTH_PATH: Final = "/.nearcast/health"
EXPLAIN_PATH: Final = "/.nearcast/explain"
MODELS_PATH: Final = "/.nearcast/models"
PURGE_PATH: Final = "/purge"
FORGET_PATH: Final = "/forget"
RELOAD_PATH: Final = "/reload"
CHANGES: Final = (PURGE_PATH, FORGET_PATH, RELOAD_PATH)
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
JSON_TYPE: Final = "application/json"
BODY_BYTES_MAX: Final = 64 * 1024

Handler = Callable[[], tuple[int, str, bytes]]
"""Status, content type, text."""


class Node(Figures, Protocol):
    """The node as its operator sees it."""

    def unready(self) -> str | None:
        """Why no requests should be sent here at the moment; None: they should."""

    def finds(self, kind: PurgeKind, value: str) -> bool:
        """Whether such a purge could mean anything that is served here."""

    def models(self) -> ModelsFigures:
        """Which models run, how they do, and what was refused."""

    async def forget(self, client: str, user_agent: str | None) -> ViewerForgotten:
        """Let nothing be known of a viewer any more."""

    def explain(self, url: str) -> Explanation | None:
        """Why an object was, is or was not fetched ahead. None: it can be none of ours."""

    async def purge(self, kind: PurgeKind, value: str, *, is_soft: bool) -> int:
        """Purge, and say how many objects it met."""

    def reload(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Read the settings again: the keys that changed, and of these those that need a restart.
        Raises ConfigError, and changes nothing then."""


class PurgeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of POST /purge: one of the three, and whether softly."""

    url: str | None = None
    prefix: str | None = None
    tag: str | None = None
    soft: bool = False

    def __post_init__(self) -> None:
        given = [value for value in (self.url, self.prefix, self.tag) if value is not None]
        if len(given) != 1:
            raise ValueError("give one of url, prefix and tag")
        if not given[0].strip():
            raise ValueError("it is empty")

    def target(self) -> tuple[PurgeKind, str]:
        if self.url is not None:
            return "url", self.url.strip()
        if self.prefix is not None:
            return "prefix", self.prefix.strip()
        assert self.tag is not None
        return "tag", self.tag.strip()


class ForgetRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of POST /forget."""

    viewer: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    """An address as the node sees it."""
    user_agent: str | None = None

    def __post_init__(self) -> None:
        # A slip of the pen would else look as if somebody had been forgotten.
        try:
            ip_address(self.viewer.strip())
        except ValueError:
            raise ValueError(f"{self.viewer.strip()!r} is no IP address") from None


class Admin:
    """Answers on a port of its own, and on the main one."""

    def __init__(self, node: Node, admin_listen: str | None) -> None:
        self._node = node
        self._listen = admin_listen
        self._token: AdminToken | None = None
        self._registry = CollectorRegistry()
        self._registry.register(EdgeCollector(node))
        self._runner: web.ServerRunner | None = None
        self._main: dict[str, Handler] = {
            METRICS_PATH: self._metrics,
            STATUS_PATH: self._status,
            HEALTH_PATH: self._health,
            MODELS_PATH: self._models,
            "/.nearcast/livez": self._alive,
            "/.nearcast/readyz": self._ready,
        }
        self._own = {**self._main, "/livez": self._alive, "/readyz": self._ready}

    def use_token(self, token: AdminToken | None) -> None:
        """From now on. None: nothing can be changed."""
        self._token = token

    async def start(self) -> str | None:
        """Listen on the admin address, if there is one. Raises ConfigError."""
        if self._listen is None:
            return None
        end = listening_socket(self._listen, "--admin")
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None, keepalive_timeout=30.0), shutdown_timeout=1.0
        )
        await self._runner.setup()
        await web.SockSite(self._runner, end).start()
        return shown(end)

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def report(self) -> dict[str, Any]:
        """The status as one JSON object: the core's figures, and the drivers' beside them."""
        status = msgspec.to_builtins(self._node.status())
        figures = msgspec.to_builtins(self._node.figures())
        assert isinstance(status, dict)
        assert isinstance(figures, dict)
        return {**status, **figures}

    def models_report(self) -> dict[str, Any]:
        """The models as one JSON object, and how asking the registry goes."""
        models = msgspec.to_builtins(self._node.models())
        assert isinstance(models, dict)
        return {**models, "registry": msgspec.to_builtins(self._node.figures().registry)}

    # -- the main port

    @property
    def paths(self) -> frozenset[str]:
        """What may be answered here instead of by the core."""
        return frozenset((*self._main, EXPLAIN_PATH)) if self._listen is None else frozenset()

    def answer(self, method: str, target: str, client: str) -> tuple[int, Headers, bytes] | None:
        """The answer to a request on the main port that the core has no part in: status, fields
        and body. None for the core."""
        path, _, query = target.partition("?")
        if path not in self.paths or not is_loopback(client):
            return None
        if path == EXPLAIN_PATH:
            return self._explain(method, query)
        return _read_only(method, self._main[path])

    # -- the admin port

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if path in CHANGES:
            status, headers, text = await self._change(request, path)
        elif path == EXPLAIN_PATH:
            status, headers, text = self._explain(request.method, query)
        elif path in self._own:
            status, headers, text = _read_only(request.method, self._own[path])
        else:
            names = ", ".join((*self._own, EXPLAIN_PATH, *(f"POST {path}" for path in CHANGES)))
            status, headers, text = _plain(404, f"try {names}")
        return web.Response(status=status, headers=dict(headers), body=text or None)

    async def _change(self, request: web.BaseRequest, path: str) -> tuple[int, Headers, bytes]:
        if request.method != "POST":
            return _plain(405, "POST it", (("allow", "POST"),))
        if self._token is None:
            return _plain(403, "set admin_token_file to allow this")
        if not self._token.fits(request.headers.get("authorization")):
            logger.warning("admin.denied path=%s client=%s", path, request.remote)
            return _plain(401, "the token is missing or wrong", (("www-authenticate", "Bearer"),))
        if path == RELOAD_PATH:
            return self._reload()
        body = await request.content.read(BODY_BYTES_MAX + 1)
        while len(body) <= BODY_BYTES_MAX and (more := await request.content.readany()):
            body += more
        if len(body) > BODY_BYTES_MAX:
            return _plain(413, "that is no such request", (("connection", "close"),))
        return await (self._purge(body) if path == PURGE_PATH else self._forget(body))

    async def _forget(self, body: bytes) -> tuple[int, Headers, bytes]:
        try:
            asked = msgspec.json.decode(body, type=ForgetRequest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _plain(400, f'{error}; write it as {{"viewer": "192.0.2.7"}}')
        done = await self._node.forget(asked.viewer.strip(), asked.user_agent)
        logger.info("admin.forgot viewers=%d", done.viewer_count)
        return _json(
            200,
            {
                "viewers": done.viewer_count,
                "sessions": done.session_count,
                "questions": done.question_count,
            },
        )

    async def _purge(self, body: bytes) -> tuple[int, Headers, bytes]:
        try:
            asked = msgspec.json.decode(body, type=PurgeRequest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _plain(400, f'{error}; write it as {{"url": "http://host/path"}}')
        kind, value = asked.target()
        if not self._node.finds(kind, value):
            return _plain(404, f"no service has that {kind}: give host and path as clients do")
        count = await self._node.purge(kind, value, is_soft=asked.soft)
        logger.info("admin.purged %s=%s soft=%s count=%d", kind, value, asked.soft, count)
        return _json(200, {"count": count, "soft": asked.soft})

    def _explain(self, method: str, query: str) -> tuple[int, Headers, bytes]:
        url = parse_qs(query).get("url", [""])[0].strip()
        if not url:
            return _plain(400, f"name the object: {EXPLAIN_PATH}?url=http://host/path")
        explanation = self._node.explain(url)
        if explanation is None:
            return _plain(404, "no service has that URL: give host and path as clients do")
        text = msgspec.json.encode(explanation) + b"\n"
        return _read_only(method, lambda: (200, JSON_TYPE, text))

    def _reload(self) -> tuple[int, Headers, bytes]:
        try:
            changed, waiting = self._node.reload()
        except NearcastError as error:
            return _plain(400, f"{error}; nothing was changed")
        return _json(200, {"changed": changed, "needs_restart": waiting})

    # -- the figures

    def _metrics(self) -> tuple[int, str, bytes]:
        return 200, METRICS_TYPE, generate_latest(self._registry)

    def _status(self) -> tuple[int, str, bytes]:
        return 200, JSON_TYPE, msgspec.json.encode(self.report()) + b"\n"

    def _models(self) -> tuple[int, str, bytes]:
        return 200, JSON_TYPE, msgspec.json.encode(self.models_report()) + b"\n"

    def _health(self) -> tuple[int, str, bytes]:
        """200 while the node takes requests, 503 from the moment it is told to stop."""
        if self._node.status().is_draining:
            return 503, JSON_TYPE, b'{"status": "draining"}\n'
        return 200, JSON_TYPE, b'{"status": "ok"}\n'

    def _alive(self) -> tuple[int, str, bytes]:
        """An answer at all is the answer."""
        return 200, JSON_TYPE, b'{"status": "alive"}\n'

    def _ready(self) -> tuple[int, str, bytes]:
        why_not = self._node.unready()
        text = msgspec.json.encode({"status": why_not if why_not is not None else "ready"})
        return 200 if why_not is None else 503, JSON_TYPE, text + b"\n"


def _read_only(method: str, handler: Handler) -> tuple[int, Headers, bytes]:
    if method not in ("GET", "HEAD"):
        return _plain(405, "GET it", (("allow", "GET, HEAD"),))
    status, headers, text = _answer(*handler())
    return status, headers, b"" if method == "HEAD" else text


def _answer(status: int, content_type: str, text: bytes) -> tuple[int, Headers, bytes]:
    headers = (
        ("content-type", content_type),
        ("content-length", str(len(text))),
        ("cache-control", "no-store"),
        ("server", "nearcast"),
    )
    return status, headers, text


def _plain(status: int, text: str, fields: Headers = ()) -> tuple[int, Headers, bytes]:
    status, headers, body = _answer(status, "text/plain; charset=utf-8", f"{text}\n".encode())
    return status, headers + fields, body


def _json(status: int, value: object) -> tuple[int, Headers, bytes]:
    return _answer(status, JSON_TYPE, msgspec.json.encode(value) + b"\n")
