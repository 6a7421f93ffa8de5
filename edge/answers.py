"""Turning what the edge holds into the answer to one request: pure functions.

Preconditions, a single Range, HEAD, Age and Cache-Status are handled in one place, so that an
object says the same of itself whether it comes from the store or from a fill that still grows.
"""

from __future__ import annotations

from typing import Final

import msgspec

from cache.http.conditional import evaluate, not_modified_headers
from cache.http.freshness import age_s
from cache.http.headers import Headers, get_all, replaced, without
from cache.http.parts import Part
from cache.http.ranges import UNSATISFIABLE, content_range, select_range, unsatisfied_range
from edge.effects import PassThrough, ServeFill, ServeObject, ServeText
from edge.forwarding import passed_headers, visible
from edge.hot import MADE_PER_ANSWER, HotEntry
from edge.requests import Ask
from nearcast.cache_status import CacheStatus, format_cache_status, readable_only
from nearcast.media import ByteRange

ERROR_FIELDS: Final[Headers] = (
    ("content-type", "text/plain; charset=utf-8"),
    ("cache-control", "no-store"),
)
"""Of every error of the node's own, whichever part of it says so."""
RETRY_AFTER_S: Final = 1
DETAIL_LENGTH_MAX: Final = 80


class _Shape(msgspec.Struct, frozen=True):
    """What preconditions and Range make of a response."""

    status: int
    headers: Headers
    byte_range: ByteRange | None
    send_body: bool


def from_store(
    ask: Ask, entry: HotEntry, status: CacheStatus, now_wall_s: float
) -> ServeObject | ServeText:
    """Answer from a resident object: ServeObject, or ServeText for 412 and 416. A part answers
    only requests for a range inside it (`Residents.find`)."""
    stored = entry.stored
    shape = _shape(ask, stored.status, stored.headers, stored.size_bytes, entry.part)
    age = (("age", str(int(age_s(entry.freshness, now_wall_s)))),)
    line = (cache_status_line(status, stored.headers),)
    if shape.status in (412, 416):
        return ServeText(
            request_id=ask.request_id, status=shape.status, headers=shape.headers + line
        )
    return ServeObject(
        request_id=ask.request_id,
        object_id=stored.object_id,
        status=shape.status,
        headers=shape.headers + age + line,
        byte_range=shape.byte_range,
        send_body=shape.send_body,
    )


def from_fill(
    ask: Ask,
    fill_id: int,
    response_status: int,
    response_headers: Headers,
    size_bytes: int | None,
    part: Part | None,
    status: CacheStatus,
) -> ServeFill | ServeText:
    """Answer from a fill whose head is here: ServeFill, or ServeText for 304, 412 and 416.

    Where the size is not known a Range is ignored, as RFC 9110 allows. `part`: what the fill
    brings is that.
    """
    shape = _shape(ask, response_status, response_headers, size_bytes, part)
    age = tuple(("age", value) for value in get_all(response_headers, "age")[:1])
    line = (cache_status_line(status, response_headers),)
    if shape.status != response_status and shape.status in (304, 412, 416):
        return ServeText(
            request_id=ask.request_id, status=shape.status, headers=shape.headers + line
        )
    return ServeFill(
        request_id=ask.request_id,
        fill_id=fill_id,
        status=shape.status,
        headers=shape.headers + age + line,
        byte_range=shape.byte_range,
        send_body=shape.send_body,
    )


def passed(ask: Ask, status: CacheStatus) -> PassThrough:
    return PassThrough(
        request_id=ask.request_id,
        method=ask.method,
        url=ask.whole_url,
        headers=passed_headers(ask.headers),
        cache_status=format_cache_status(status),
        shown=ask.service.forwarding.shown,
        hidden=ask.service.forwarding.hidden,
    )


def passed_head(passed: PassThrough, headers: Headers) -> Headers:
    """What the client gets of the fields of the answer to a request that was passed on. `headers`
    are those that are not between upstream and us alone."""
    shown = visible(headers, passed.shown, passed.hidden)
    before = readable_only(", ".join(get_all(shown, "cache-status")))
    own = passed.cache_status
    return replaced(shown, "cache-status", f"{before}, {own}" if before else own)


def refused(
    request_id: int,
    method: str,
    status: int,
    detail: str,
    cache: str,
    headers: Headers = (),
    *,
    retry_after_s: int | None = None,
) -> ServeText:
    """An error of our own; those that may pass soon carry Retry-After."""
    if retry_after_s is None and status in (502, 503, 504):
        retry_after_s = RETRY_AFTER_S
    retry: Headers = (("retry-after", str(retry_after_s)),) if retry_after_s is not None else ()
    line = cache_status_line(CacheStatus(cache=cache, detail=detail[:DETAIL_LENGTH_MAX]), ())
    return ServeText(
        request_id=request_id,
        status=status,
        headers=(*ERROR_FIELDS, *headers, *retry, line),
        text=b"" if method == "HEAD" else error_text(status, detail),
    )


def error_text(status: int, detail: str) -> bytes:
    """What an error of the node's own says, beside ERROR_FIELDS."""
    return f"{status}: {detail}\n".encode("utf-8", "replace")


def cache_status_line(status: CacheStatus, upstream: Headers) -> tuple[str, str]:
    """Our member after those of the caches between us and the origin."""
    before = readable_only(", ".join(get_all(upstream, "cache-status")))
    return "cache-status", format_cache_status(status, after=before or None)


def _shape(
    ask: Ask, status: int, headers: Headers, size_bytes: int | None, part: Part | None
) -> _Shape:
    """`byte_range` counts from the first byte of the body, `content-range` from that of the
    resource: they differ for a part."""
    first = 0
    if part is not None:
        status, size_bytes, first = 200, part.of_bytes, part.first
    common = ask.service.forwarding.visible(without(headers, MADE_PER_ANSWER))
    send_body = ask.method != "HEAD"
    if status == 200:
        outcome = evaluate(ask.method, ask.headers, headers)
        if outcome == "not_modified":
            return _Shape(304, not_modified_headers(common), None, False)
        if outcome == "failed":
            return _Shape(412, (), None, False)
        if size_bytes is not None:
            selection = select_range(ask.method, ask.headers, headers, size_bytes)
            if selection == UNSATISFIABLE:
                return _Shape(416, (("content-range", unsatisfied_range(size_bytes)),), None, False)
            if isinstance(selection, ByteRange) and (part is None or part.holds(selection)):
                partial = (
                    *without(common, ("content-range",)),
                    ("content-length", str(selection.size_bytes)),
                    ("content-range", content_range(selection, size_bytes)),
                )
                in_body = ByteRange(selection.first - first, selection.last - first)
                return _Shape(206, partial, in_body, send_body)
        if part is not None:  # another one than was asked for: as upstream brought it
            brought = (
                *without(common, ("content-range",)),
                ("content-length", str(part.size_bytes)),
                ("content-range", content_range(ByteRange(part.first, part.last), part.of_bytes)),
            )
            return _Shape(206, brought, None, send_body)
        if not get_all(headers, "accept-ranges"):
            common = (*common, ("accept-ranges", "bytes"))
    if size_bytes is not None and status not in (204, 304):
        common = (*common, ("content-length", str(size_bytes)))
    return _Shape(status, common, None, send_body and status not in (204, 304))
