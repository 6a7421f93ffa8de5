"""What the origin answers, decided without I/O.

`OriginCore.answer` maps a request head to a status, header fields and either a short body or a
resource (with the byte range of it) that the driver sends. The live server and the simulator ask
the same object. It keeps no state and needs no time, so it is a function rather than a machine.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

import msgspec

from cache.http import conditional, ranges
from cache.http.dates import format_date
from cache.http.headers import Headers
from nearcast.media import ByteRange
from origin.library import Library, Resource

ALLOWED: Final = "GET, HEAD, OPTIONS"
TARGET_LENGTH_MAX: Final = 8192
STALE_IF_ERROR_S: Final = 86_400
"""So long what changes may be served on while the origin cannot be asked (RFC 5861)."""

# Browsers play from other sites' pages: everything here is public, and the player may read sizes,
# ranges and what caches on the way say.
_CORS: Final[Headers] = (
    ("access-control-allow-origin", "*"),
    (
        "access-control-expose-headers",
        "Content-Length, Content-Range, ETag, Age, Date, Cache-Status, CMSD-Static, CMSD-Dynamic, "
        "Server-Timing",
    ),
    ("timing-allow-origin", "*"),
)
_PREFLIGHT: Final[Headers] = (
    ("access-control-allow-methods", ALLOWED),
    (
        "access-control-allow-headers",
        "Range, If-Range, If-None-Match, If-Modified-Since, Cache-Control, "
        "CMCD-Request, CMCD-Object, CMCD-Status, CMCD-Session",
    ),
    ("access-control-max-age", "86400"),
)


class OriginAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What to send. `headers` are complete but for Date; `content-length` counts what a GET gets.

    The body is `body` unless `resource` is set; then it is the resource, or `byte_range` of it.
    Nothing of either is sent when `send_body` is false.
    """

    status: int
    headers: Headers
    body: bytes = b""
    resource: Resource | None = None
    byte_range: ByteRange | None = None
    send_body: bool = True

    @property
    def size_bytes(self) -> int:
        """How many body bytes go out."""
        if not self.send_body:
            return 0
        if self.resource is None:
            return len(self.body)
        if self.byte_range is not None:
            return self.byte_range.size_bytes
        return self.resource.size_bytes


class OriginCore:
    def __init__(self, library: Library) -> None:
        self._library = library

    def answer(self, method: str, target: str, headers: Headers) -> OriginAnswer:
        """The answer to one request; `target` is path and query as received, header names are in
        lower case. Never raises for what a client sent."""
        send_body = method != "HEAD"
        if len(target) > TARGET_LENGTH_MAX:
            return _text(414, "the request target is too long", send_body=send_body)
        if method == "OPTIONS":
            fields = (("allow", ALLOWED), *_CORS, *_PREFLIGHT)
            return OriginAnswer(status=204, headers=fields, send_body=False)
        if method not in ("GET", "HEAD"):
            return _text(405, f"only {ALLOWED}", extra=(("allow", ALLOWED),))
        resource = self._library.resource(_path(target))
        if resource is None:
            # Short, so that a title that is ingested a moment later is found.
            return _text(
                404, "not found", extra=(("cache-control", "max-age=1"),), send_body=send_body
            )
        return _serve(resource, method, headers)


def _serve(resource: Resource, method: str, request_headers: Headers) -> OriginAnswer:
    send_body = method != "HEAD"
    whole: Headers = (
        *_validators(resource),
        ("accept-ranges", "bytes"),
        ("content-type", resource.content_type),
        *_CORS,
    )
    outcome = conditional.evaluate(method, request_headers, whole)
    if outcome == "failed":
        return _text(412, "the resource has changed", send_body=send_body)
    if outcome == "not_modified":
        fields = conditional.not_modified_headers(whole)
        return OriginAnswer(status=304, headers=fields, send_body=False)
    selection = ranges.select_range(method, request_headers, whole, resource.size_bytes)
    if selection == "unsatisfiable":
        nothing = ("content-range", ranges.unsatisfied_range(resource.size_bytes))
        return _text(416, "no such bytes", extra=(nothing,))
    if selection is None:
        length = ("content-length", str(resource.size_bytes))
        return OriginAnswer(
            status=200, headers=(*whole, length), resource=resource, send_body=send_body
        )
    part: Headers = (
        ("content-range", ranges.content_range(selection, resource.size_bytes)),
        ("content-length", str(selection.size_bytes)),
    )
    return OriginAnswer(
        status=206, headers=(*whole, *part), resource=resource, byte_range=selection
    )


def _validators(resource: Resource) -> Headers:
    fields = [("etag", resource.etag)]
    if resource.last_modified_wall_s > 0:
        fields.append(("last-modified", format_date(resource.last_modified_wall_s)))
    if resource.is_immutable:
        fields.append(("cache-control", f"public, max-age={resource.max_age_s}, immutable"))
    elif resource.max_age_s > 0:
        # An edge whose origin is away goes on with the manifests it has: segments never change.
        lifetime = f"public, max-age={resource.max_age_s}, stale-if-error={STALE_IF_ERROR_S}"
        fields.append(("cache-control", lifetime))
    else:
        fields.append(("cache-control", "no-cache"))
    return tuple(fields)


def _path(target: str) -> str:
    return unquote(target.partition("?")[0], errors="replace")


def _text(status: int, text: str, *, extra: Headers = (), send_body: bool = True) -> OriginAnswer:
    body = f"{text}\n".encode()
    return OriginAnswer(
        status=status,
        headers=(
            ("content-type", "text/plain; charset=utf-8"),
            *extra,
            *_CORS,
            ("content-length", str(len(body))),
        ),
        body=body,
        send_body=send_body,
    )
