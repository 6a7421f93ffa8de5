"""Cache-Control as a struct (RFC 9111, 5.2; RFC 5861; RFC 8246), and the fields that stand in its
place for us (RFC 9213).

Never raises. What cannot be read is taken the careful way: a lifetime that is no number, or is
given twice with different values, counts as 0 (RFC 9111, 4.2.1), a permission to serve stale that
is no number is not given, unknown directives are ignored. The qualified forms
`private="field"` and `no-cache="field"` count as the unqualified ones, as RFC 9111 5.2.2.4 allows.

`Nearcast-Cache-Control` and `CDN-Cache-Control`, in this order, replace Cache-Control and Expires
when they are valid: they are structured dictionaries, so one mistake in them makes the whole field
count as absent.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import http_sf
import msgspec

from cache.http.headers import Headers, get_all, split_list

DELTA_S_MAX = 2**31
"""What a larger number of seconds is read as (RFC 9111, 1.2.2)."""


class Directives(msgspec.Struct, frozen=True, kw_only=True):
    """What Cache-Control says, of a request or a response. None: the directive is absent."""

    max_age_s: int | None = None
    s_maxage_s: int | None = None
    no_store: bool = False
    no_cache: bool = False
    private: bool = False
    public: bool = False
    must_revalidate: bool = False
    proxy_revalidate: bool = False
    must_understand: bool = False
    immutable: bool = False
    no_transform: bool = False
    only_if_cached: bool = False
    max_stale_s: int | None = None
    min_fresh_s: int | None = None
    stale_while_revalidate_s: int | None = None
    stale_if_error_s: int | None = None
    is_targeted: bool = False
    """It came from a field meant for caches like us: Expires counts for nothing."""


TARGETED_FIELDS = ("nearcast-cache-control", "cdn-cache-control")
"""Whose word holds before Cache-Control's, the first valid one (RFC 9213, 2.2)."""

_NOTHING = Directives()
_REMEMBERED_MAX = 1024
"""An origin says the same of many objects, and each answer is read several times."""
_REMEMBERED_LENGTH_MAX = 256
"""So that nobody can fill the memory with long ones."""
_TARGETED_LENGTH_MAX = 4096
_TARGETED = frozenset(TARGETED_FIELDS)

_FLAGS = {
    "no-store": "no_store",
    "no-cache": "no_cache",
    "private": "private",
    "public": "public",
    "must-revalidate": "must_revalidate",
    "proxy-revalidate": "proxy_revalidate",
    "must-understand": "must_understand",
    "immutable": "immutable",
    "no-transform": "no_transform",
    "only-if-cached": "only_if_cached",
}
_PERMITTING = frozenset({"public", "immutable", "must-understand"})
_LIFETIMES = {"max-age": "max_age_s", "s-maxage": "s_maxage_s"}
_PERMISSIONS = {
    "stale-while-revalidate": "stale_while_revalidate_s",
    "stale-if-error": "stale_if_error_s",
    "max-stale": "max_stale_s",
    "min-fresh": "min_fresh_s",
}


def response_directives(headers: Headers) -> Directives:
    """What the response tells this cache: the first valid targeted field, else Cache-Control."""
    is_targeted = not _TARGETED.isdisjoint([field for field, _ in headers])
    for name in TARGETED_FIELDS if is_targeted else ():
        targeted = parse_targeted(get_all(headers, name))
        if targeted is not None:
            return targeted
    return parse_cache_control(get_all(headers, "cache-control"))


def parse_targeted(lines: tuple[str, ...]) -> Directives | None:
    """A targeted field (RFC 9213, 2.1); None when it is absent, empty or no valid dictionary.

    A value of the wrong kind does not undo the other directives; a number that is none, or is
    below 0, counts as 0. `no-cache` and `private` that name fields count as unqualified.
    """
    text = ", ".join(lines)
    if not text.strip() or len(text) > _TARGETED_LENGTH_MAX:
        return None
    try:
        members = http_sf.parse(text.encode("ascii"), tltype="dictionary")
    except (http_sf.StructuredFieldError, ValueError, OverflowError, RecursionError):
        return None
    found: dict[str, bool | int] = {"is_targeted": True}
    for name, member in members.items():
        value = member[0] if isinstance(member, tuple) else member
        if name in _FLAGS:
            # A permission must be said plainly; a prohibition holds however it is said.
            if value is True or (value is not False and name not in _PERMITTING):
                found[_FLAGS[name]] = True
        elif name in _LIFETIMES or name in _PERMISSIONS:
            field = _LIFETIMES.get(name) or _PERMISSIONS[name]
            is_number = isinstance(value, int) and not isinstance(value, bool)
            found[field] = min(max(int(value), 0), DELTA_S_MAX) if is_number else 0
    return msgspec.convert(found, Directives) if len(members) else None


def request_directives(headers: Headers) -> Directives:
    """As above; `Pragma: no-cache` counts when there is no Cache-Control (RFC 9111, 5.4)."""
    lines = get_all(headers, "cache-control")
    if not lines:
        if not get_all(headers, "pragma"):
            return _NOTHING
        pragma = {m.lower() for line in get_all(headers, "pragma") for m in split_list(line)}
        return Directives(no_cache="no-cache" in pragma)
    return parse_cache_control(lines)


def parse_cache_control(lines: Iterable[str]) -> Directives:
    lines = tuple(lines)
    if not lines:
        return _NOTHING
    is_short = sum(map(len, lines)) <= _REMEMBERED_LENGTH_MAX
    return _remembered(lines) if is_short else _parsed(lines)


def _parsed(lines: tuple[str, ...]) -> Directives:
    found: dict[str, bool | int] = {}
    for line in lines:
        for member in split_list(line):
            raw_name, equals, raw_value = member.partition("=")
            name = raw_name.strip(" \t").lower()
            if name in _FLAGS:
                found[_FLAGS[name]] = True
            elif name in _LIFETIMES:
                field = _LIFETIMES[name]
                # `max-age =5` is malformed too: hence the raw name and value.
                value = _delta_s(raw_value) if raw_name.lower() == name else None
                found[field] = 0 if found.get(field, value) != value else value or 0
            elif name in _PERMISSIONS:
                field = _PERMISSIONS[name]
                value = _delta_s(raw_value)
                if name == "max-stale" and not equals:
                    value = DELTA_S_MAX  # any staleness will do
                if value is not None:
                    # min-fresh asks for more, the others permit less: the careful value of two.
                    choose = max if name == "min-fresh" else min
                    found[field] = choose(int(found.get(field, value)), value)
    return msgspec.convert(found, Directives)


_remembered = functools.lru_cache(maxsize=_REMEMBERED_MAX)(_parsed)


def _delta_s(text: str) -> int | None:
    """Seconds, at most DELTA_S_MAX; None when the text is not a number. Quotes are accepted."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0") or "0"
    if len(digits) > len(str(DELTA_S_MAX)):
        return DELTA_S_MAX
    return min(int(digits), DELTA_S_MAX)
