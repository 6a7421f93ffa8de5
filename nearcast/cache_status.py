"""The Cache-Status header field (RFC 9211): what each cache on the way did with a request.

It is a structured list (RFC 8941) with one member per cache, the one nearest the origin first:

    Cache-Status: ams1; fwd=miss; fwd-status=200; stored, home; hit; ttl=30
"""

from __future__ import annotations

import re
from typing import Final

import http_sf
import msgspec

TEXT_LENGTH_MAX: Final = 4096
"""A longer field is not read: a dozen caches with details fit several times."""

_TOKEN = re.compile(r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*")
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]")
_SF_INTEGER_MAX = 999_999_999_999_999


class CacheStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What one cache did. Either `is_hit`, or `fwd` says why it went forward.

    `ttl_s` is the freshness left when it answered, negative when stale.
    """

    cache: str
    is_hit: bool = False
    fwd: str | None = None
    fwd_status: int | None = None
    is_stored: bool = False
    is_collapsed: bool = False
    ttl_s: int | None = None
    detail: str | None = None


def format_cache_status(status: CacheStatus, *, after: str | None = None) -> str:
    """The field value; `after` is the value that came from upstream, to which ours is appended."""
    parts = [_bare(status.cache)]
    if status.is_hit:
        parts.append("hit")
    elif status.fwd is not None:
        parts.append(f"fwd={_bare(status.fwd)}")
    if status.fwd_status is not None:
        parts.append(f"fwd-status={status.fwd_status}")
    if status.is_stored:
        parts.append("stored")
    if status.is_collapsed:
        parts.append("collapsed")
    if status.ttl_s is not None:
        parts.append(f"ttl={max(-_SF_INTEGER_MAX, min(status.ttl_s, _SF_INTEGER_MAX))}")
    if status.detail is not None:
        parts.append(f"detail={_bare(status.detail)}")
    text = "; ".join(parts)
    return f"{after}, {text}" if after else text


def parse_cache_status(text: str) -> tuple[CacheStatus, ...]:
    """One entry per cache, origin-most first. Never raises: what is not a valid field gives ()."""
    if not text or len(text) > TEXT_LENGTH_MAX:
        return ()
    try:
        members = http_sf.parse(text.encode("ascii"), tltype="list")
    except (http_sf.StructuredFieldError, ValueError, OverflowError, RecursionError):
        return ()
    found = []
    for member in members:
        value, parameters = member if isinstance(member, tuple) else (member, {})
        name = _text(value)
        if name is not None:
            found.append(_entry(name, parameters))
    return tuple(found)


def readable_only(text: str) -> str:
    """The field value as upstream sent it, or nothing: what cannot be read would make ours
    unreadable too."""
    return text if parse_cache_status(text) else ""


def _entry(name: str, parameters: dict[str, object]) -> CacheStatus:
    is_hit = parameters.get("hit") is True
    return CacheStatus(
        cache=name,
        is_hit=is_hit,
        fwd=None if is_hit else _text(parameters.get("fwd")),
        fwd_status=_integer(parameters.get("fwd-status")),
        is_stored=parameters.get("stored") is True,
        is_collapsed=parameters.get("collapsed") is True,
        ttl_s=_integer(parameters.get("ttl")),
        detail=_text(parameters.get("detail")),
    )


def _text(value: object) -> str | None:
    """A string or token; tokens come as an object of the library's own."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, http_sf.Token) else None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _bare(text: str) -> str:
    """As a token where it can be one, else as a quoted string of what a field may hold."""
    if _TOKEN.fullmatch(text):
        return text
    clean = _NOT_PRINTABLE.sub("?", text)
    return '"' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'
