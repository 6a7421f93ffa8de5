"""Reading a request head: which URL it means, and whether the cache may answer it at all.

The key of an object is its upstream URL: the configured upstream, then the request's target with
the CMCD argument taken out. A target never chooses the host that is asked; what could step out of
the upstream's prefix or split a message is refused here, before anything else sees it.
"""

from __future__ import annotations

import re
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from cache.http.directives import Directives, request_directives
from cache.http.headers import Headers, end_to_end, get_all, replaced, without
from edge.events import Requested
from nearcast import cmcd

Way = Literal["cache", "pass"]

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f-\uffff\\]|%0[0ad]|%7f", re.IGNORECASE | re.ASCII)
# `..` as a path segment, however it is written; %2f and %5c separate segments for lax origins.
_DOT_DOT: Final = re.compile(r"(?:^|/|%2f|%5c)(?:\.|%2e){2}(?:/|%2f|%5c|;|$)", re.IGNORECASE)
_ABSOLUTE: Final = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)

# Their presence makes an answer personal, or a body follows.
_PASSED_ON: Final = frozenset(
    {"authorization", "cookie", "content-length", "transfer-encoding", "expect", "upgrade"}
)

# All that upstream is told about who asks, when the answer is meant for everyone. What is not
# named here can neither split the cache nor poison it.
_FORWARDED: Final = frozenset({"accept", "accept-language", "origin"})

_DIRECTED: Final = frozenset({"cache-control", "pragma"})
_NO_DIRECTIVES: Final = Directives()


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request that can be answered. `url` is its key."""

    request_id: int
    method: str
    url: str
    headers: Headers
    client: str
    way: Way
    control: Directives = _NO_DIRECTIVES

    @property
    def is_safe(self) -> bool:
        return self.method in _SAFE


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A request that is answered with an error. `headers` go with it."""

    status: int
    detail: str
    headers: Headers = ()


class Reader:
    """Makes an `Ask` of each request. Holds no state."""

    def __init__(self, upstream_url: str, *, target_length_max: int) -> None:
        self._upstream_url = upstream_url
        self._authority = urlsplit(upstream_url).netloc.lower()
        self._target_length_max = target_length_max

    def read(self, request: Requested) -> Ask | Refusal:
        target = request.target
        if len(target) > self._target_length_max:
            return Refusal(status=414, detail=f"target longer than {self._target_length_max}")
        if request.method in ("TRACE", "TRACK"):
            return Refusal(
                status=405,
                detail=f"{request.method} is not allowed",
                headers=(("allow", "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE"),),
            )
        if request.method == "CONNECT":
            return Refusal(status=501, detail="this is no proxy")
        if not target.startswith("/"):
            absolute = self._own_absolute(target, request.headers)
            if absolute is None:
                return Refusal(status=400, detail="the target is not a path of this host")
            target = absolute
        if _CONTROL.search(target) or "#" in target:
            return Refusal(status=400, detail="the target holds a character it must not")
        path, _, _ = target.partition("?")
        if _DOT_DOT.search(path):
            return Refusal(status=400, detail="the target holds a '..' segment")
        names = {name for name, _ in request.headers}
        is_cacheable = request.method in ("GET", "HEAD") and names.isdisjoint(_PASSED_ON)
        return Ask(
            request_id=request.request_id,
            method=request.method,
            url=self._upstream_url + cmcd.strip_query(target),
            headers=request.headers,
            client=request.client,
            way="cache" if is_cacheable else "pass",
            control=(
                _NO_DIRECTIVES
                if names.isdisjoint(_DIRECTED)
                else request_directives(request.headers)
            ),
        )

    def url(self, target: str) -> str:
        """The key of a target that was served before, as hits report it."""
        if not target.startswith("/"):
            absolute = _ABSOLUTE.fullmatch(target)
            target = (absolute[2] or "/") if absolute else "/"
        return self._upstream_url + cmcd.strip_query(target)

    def _own_absolute(self, target: str, headers: Headers) -> str | None:
        """The path of an absolute-form target that names this host; None for any other."""
        match = _ABSOLUTE.fullmatch(target)
        if match is None:
            return None
        authority = match[1].lower()
        hosts = {value.strip().lower() for value in get_all(headers, "host")}
        if authority != self._authority and authority not in hosts:
            return None
        path = match[2] or "/"
        return path if path.startswith("/") else f"/{path}"


def shared_headers(headers: Headers) -> Headers:
    """What is sent upstream when the answer is to serve everyone.

    Bodies are asked for as they are: they are stored once, and manifests must be readable.
    """
    kept = tuple(field for field in headers if field[0] in _FORWARDED)
    return (*kept, ("accept-encoding", "identity"))


def varying_headers(headers: Headers) -> Headers:
    """What Vary is judged by: the client's fields, but for those that we set ourselves."""
    return replaced(headers, "accept-encoding", "identity")


def is_varied_by_unsent(names: tuple[str, ...], headers: Headers) -> bool:
    """Whether an answer depends on a field that this client sent and upstream did not get."""
    sent = _FORWARDED | {"accept-encoding"}
    return any(name not in sent and get_all(headers, name) for name in names)


def passed_headers(headers: Headers) -> Headers:
    """What is sent upstream when a request is forwarded for one client alone."""
    return without(
        end_to_end(headers),
        ("host", "cmcd-request", "cmcd-object", "cmcd-status", "cmcd-session"),
    )
