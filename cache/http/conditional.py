"""Conditional requests: answering them from a stored response, and making our own.

RFC 9110, 13 (preconditions), RFC 9111, 4.3 (validation) and 3.2 (updating stored fields).
"""

from __future__ import annotations

import re
from typing import Literal

from cache.http.dates import parse_date
from cache.http.headers import Headers, get_all, get_one, split_list, storable

Outcome = Literal["send", "not_modified", "failed"]
"""send: as if unconditional. not_modified: 304. failed: 412."""

_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')

_CONDITIONS = frozenset({"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"})

# A 304 describes what is stored; it cannot change how those bytes are framed, coded or named
# (RFC 9111, 3.2).
_NOT_UPDATED = frozenset(
    {"content-length", "content-encoding", "content-range", "content-md5", "etag"}
)

_IN_NOT_MODIFIED = frozenset(
    {
        "cache-control",
        "cdn-cache-control",
        "content-location",
        "nearcast-cache-control",
        "date",
        "etag",
        "expires",
        "last-modified",
        "vary",
        "access-control-allow-origin",
        "access-control-expose-headers",
        "timing-allow-origin",
    }
)


def etags_match_weakly(one: str, two: str) -> bool:
    return one.removeprefix("W/") == two.removeprefix("W/")


def etags_match_strongly(one: str, two: str) -> bool:
    return one == two and not one.startswith("W/")


def stored_etag(headers: Headers) -> str | None:
    """The entity tag; a bare word without quotes, which some servers send, is taken as one."""
    text = get_one(headers, "etag")
    return text or None


def evaluate(method: str, request_headers: Headers, response_headers: Headers) -> Outcome:
    """What a request's preconditions make of a 200 with these headers (RFC 9110, 13.2.2).

    Ask only for responses whose status is 200; preconditions do not apply to others. A field that
    cannot be read counts as absent.
    """
    if _CONDITIONS.isdisjoint([name for name, _ in request_headers]):
        return "send"
    etag = stored_etag(response_headers)
    modified_wall_s = parse_date(get_one(response_headers, "last-modified"))
    # A cache without a Last-Modified goes by Date (RFC 9111, 4.3.2), for reading alone.
    dated_wall_s = (
        modified_wall_s
        if get_all(response_headers, "last-modified")
        else parse_date(get_one(response_headers, "date"))
    )
    if_match = _etags(request_headers, "if-match")
    if if_match:
        if "*" not in if_match and not _any_match(if_match, etag, is_weak=False):
            return "failed"
    else:
        unless_after_wall_s = parse_date(get_one(request_headers, "if-unmodified-since"))
        if _is_later(modified_wall_s, unless_after_wall_s):
            return "failed"
    is_read = method in ("GET", "HEAD")
    if_none_match = _etags(request_headers, "if-none-match")
    if if_none_match:
        if "*" in if_none_match or _any_match(if_none_match, etag, is_weak=True):
            return "not_modified" if is_read else "failed"
        return "send"
    since_wall_s = parse_date(get_one(request_headers, "if-modified-since"))
    if not is_read or since_wall_s is None or dated_wall_s is None:
        return "send"
    return "send" if _is_later(dated_wall_s, since_wall_s) else "not_modified"


def _is_later(modified_wall_s: float | None, limit_wall_s: float | None) -> bool:
    return (
        modified_wall_s is not None and limit_wall_s is not None and modified_wall_s > limit_wall_s
    )


def _etags(headers: Headers, name: str) -> tuple[str, ...]:
    """Entity tags or `*`. Read apart from other lists: a backslash in a tag escapes nothing."""
    tags: list[str] = []
    for line in get_all(headers, name):
        found = _ETAG.findall(line)
        tags += found or split_list(line)
    return tuple(tags)


def _any_match(candidates: tuple[str, ...], etag: str | None, *, is_weak: bool) -> bool:
    if etag is None:
        return False
    match = etags_match_weakly if is_weak else etags_match_strongly
    return any(match(candidate, etag) for candidate in candidates)


def if_range_holds(request_headers: Headers, response_headers: Headers) -> bool:
    """Whether a Range may be honoured: no If-Range, or one whose validator matches strongly.

    A date is strong when it equals Last-Modified and that lies at least a second before Date
    (RFC 9110, 8.8.2.2). A response that carries no Date yet is the origin's own and trusted.
    """
    validator = get_one(request_headers, "if-range")
    if validator is None:
        return not get_all(request_headers, "if-range")
    if _ETAG.fullmatch(validator):
        etag = stored_etag(response_headers)
        return etag is not None and etags_match_strongly(validator, etag)
    wanted_wall_s = parse_date(validator)
    modified_wall_s = parse_date(get_one(response_headers, "last-modified"))
    if wanted_wall_s is None or modified_wall_s is None:
        return False
    date_wall_s = parse_date(get_one(response_headers, "date"))
    is_strong = date_wall_s is None or date_wall_s - modified_wall_s >= 1
    return is_strong and int(wanted_wall_s) == int(modified_wall_s)


def revalidation_headers(stored_headers: Headers) -> Headers:
    """The conditions to send upstream; () when the stored response has no validator."""
    conditions = []
    etag = stored_etag(stored_headers)
    if etag is not None:
        conditions.append(("if-none-match", etag))
    modified = get_one(stored_headers, "last-modified")
    if modified is not None and parse_date(modified) is not None:
        conditions.append(("if-modified-since", modified))
    return tuple(conditions)


def confirms(stored_headers: Headers, fresh_headers: Headers) -> bool:
    """Whether a 304 with `fresh_headers` is about what we hold (RFC 9111, 4.3.4).

    False when it names another entity tag, or without one another Last-Modified: the stored
    response must then be fetched anew.
    """
    fresh_etag, etag = stored_etag(fresh_headers), stored_etag(stored_headers)
    if fresh_etag is not None and etag is not None:
        return etags_match_weakly(fresh_etag, etag)
    modified_wall_s = parse_date(get_one(stored_headers, "last-modified"))
    fresh_wall_s = parse_date(get_one(fresh_headers, "last-modified"))
    return modified_wall_s is None or fresh_wall_s is None or modified_wall_s == fresh_wall_s


def updated(
    stored_headers: Headers, fresh_headers: Headers, *, with_cookies: bool = False
) -> Headers:
    """Stored fields after a 304 or a HEAD: each field it carries replaces the stored one.

    A stored Age that is not repeated goes: it counted from the earlier response. The entity tag
    stays as it is stored, for it may have been the stronger of the two. `with_cookies`: otherwise
    a Set-Cookie for one client is not planted in what all will get.
    """
    kept = _NOT_UPDATED if with_cookies else _NOT_UPDATED | {"set-cookie"}
    if stored_etag(stored_headers) is None:
        kept -= {"etag"}
    fresh = tuple(field for field in storable(fresh_headers) if field[0] not in kept)
    named = {name for name, _ in fresh} | {"age"}
    return tuple(field for field in stored_headers if field[0] not in named) + fresh


def not_modified_headers(headers: Headers) -> Headers:
    """The fields of a stored response that its 304 repeats (RFC 9110, 15.4.5)."""
    return tuple(field for field in headers if field[0] in _IN_NOT_MODIFIED)
