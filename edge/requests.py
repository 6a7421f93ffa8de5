"""Reading a request head: which URL it means, and whether the cache may answer it at all.

The service says what the key of a request is (edge.services, edge.keys). A target never chooses
the host that is asked; what could step out of the upstream's prefix or split a message is refused
here, before anything else sees it.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from cache.http.directives import Directives, request_directives
from cache.http.headers import Headers, get_one
from edge.events import Requested
from edge.hops import LOOP, Hops
from edge.services import Service, Services, host_name

Way = Literal["cache", "pass"]

_CONTROL: Final = re.compile(r"[\x00-\x20\x7f-\uffff\\]|%0[0ad]|%7f", re.IGNORECASE | re.ASCII)
# `..` as a path segment, however it is written; %2f and %5c separate segments for lax origins.
_DOT_DOT: Final = re.compile(r"(?:^|/|%2f|%5c)(?:\.|%2e){2}(?:/|%2f|%5c|;|$)", re.IGNORECASE)
_ABSOLUTE: Final = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)

# A body follows, or something other than an answer is wanted.
_PASSED_ON: Final = frozenset({"content-length", "transfer-encoding", "expect", "upgrade"})

_DIRECTED: Final = frozenset({"cache-control", "pragma"})
_NO_DIRECTIVES: Final = Directives()


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request that can be answered. `url` is its key; `whole_url` has what does not count too,
    for the one client it is asked for alone."""

    request_id: int
    method: str
    url: str
    whole_url: str
    service: Service
    headers: Headers
    client: str
    way: Way
    control: Directives = _NO_DIRECTIVES


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A request that is answered with an error. `headers` go with it."""

    status: int
    detail: str
    headers: Headers = ()


_NO_REFUSAL: Final = Refusal(status=500, detail="")


class Reader:
    """Makes an `Ask` of each request. Remembers the last one: what turns out to be no hit is asked
    about twice."""

    def __init__(self, services: Services, *, target_length_max: int, hops: Hops) -> None:
        self._services = services
        self._hops = hops
        self.target_length_max = target_length_max
        self._last: tuple[Requested | None, int, Ask | Refusal] = (None, 0, _NO_REFUSAL)

    def read(self, request: Requested) -> Ask | Refusal:
        last, revision, found = self._last
        if last is not request or revision != self._services.revision:
            found = self._read(request)
            self._last = (request, self._services.revision, found)
        return found

    def _read(self, request: Requested) -> Ask | Refusal:
        target = request.target
        if len(target) > self.target_length_max:
            return Refusal(status=414, detail=f"target longer than {self.target_length_max}")
        if request.method in ("TRACE", "TRACK", "CONNECT"):
            return Refusal(
                status=405,
                detail=f"{request.method} is not allowed",
                headers=(("allow", "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE"),),
            )
        host = get_one(request.headers, "host") or ""
        if not target.startswith("/"):
            absolute = self._own_absolute(target, host)
            if absolute is None:
                return Refusal(status=400, detail="the target is not a path of this host")
            target = absolute
        if is_dangerous(target):
            return Refusal(status=400, detail="the target holds what it must not")
        service = self._services.match(host, target)
        if service is None:
            # 421 tells a client that a connection of its own may lead to the host (RFC 9110,
            # 15.5.20); a host that is ours and has no such path has nothing there.
            if self._services.knows_host(host):
                return Refusal(status=404, detail="no service has this path")
            return Refusal(status=421, detail="no service has this host")
        names = {name for name, _ in request.headers}
        if LOOP in names and self._hops.is_loop(request.headers):
            return Refusal(status=508, detail="this request has been here: upstream leads back")
        is_cacheable = (
            request.method in ("GET", "HEAD")
            and names.isdisjoint(_PASSED_ON)
            and names.isdisjoint(service.forwarding.personal)
        )
        name = host_name(host) if service.hosts else ""
        return Ask(
            request_id=request.request_id,
            method=request.method,
            url=service.url(name, target),
            whole_url=service.whole_url(name, target),
            service=service,
            headers=request.headers,
            client=request.client,
            way="cache" if is_cacheable else "pass",
            control=(
                _NO_DIRECTIVES
                if names.isdisjoint(_DIRECTED)
                else request_directives(request.headers)
            ),
        )

    def url(self, target: str, headers: Headers) -> str:
        """The key of a request that was served before, as hits report it; "" when no service has
        it any more."""
        if not target.startswith("/"):
            absolute = _ABSOLUTE.fullmatch(target)
            target = _path(absolute) if absolute else "/"
        found = self._services.key_of(get_one(headers, "host") or "", target)
        return found[1] if found is not None else ""

    def _own_absolute(self, target: str, host: str) -> str | None:
        """The path of an absolute-form target that names this host; None for any other."""
        match = _ABSOLUTE.fullmatch(target)
        if match is None:
            return None
        authority = match[1].lower()
        path = _path(match)
        if authority == host.strip().lower():
            return path
        service = self._services.match(host, path)
        if service is None or authority != service.target.authority.lower():
            return None
        return path


def is_dangerous(target: str) -> bool:
    """Whether a path and query could be taken for something else further on: by stepping out of a
    prefix, or by ending a line."""
    if _CONTROL.search(target) or "#" in target:
        return True
    return _DOT_DOT.search(target.partition("?")[0]) is not None


def _path(absolute: re.Match[str]) -> str:
    path: str = absolute[2] or "/"
    return path if path.startswith("/") else f"/{path}"
