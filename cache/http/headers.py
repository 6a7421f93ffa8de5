"""Looking into header fields, and which of them may travel on or be stored.

Header fields are tuples of (name, value) in the order they came, names in lower case. A field may
have several lines; a list-valued field is the same whether its members share a line or not
(RFC 9110, 5.3).
"""

from __future__ import annotations

from collections.abc import Collection

from nearcast.errors import RemoteProtocolError
from nearcast.http1 import LENGTH_DIGITS_MAX
from nearcast.http1 import Headers as Headers

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
    }
)

_PROXY_ONLY = frozenset({"proxy-authenticate", "proxy-authentication-info", "proxy-authorization"})
"""Consumed by the proxy they are meant for, and never stored (RFC 9111, 3.1)."""

# Connection may name any field, so a client could have the next hop lose the one that keys,
# authorises or frames a message (hop-by-hop abuse, Varnish CVE-2022-45059). Naming one of these
# has no effect.
_NEVER_NOMINATED = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "accept-ranges",
        "age",
        "authorization",
        "cache-control",
        "cache-status",
        "cdn-cache-control",
        "cdn-loop",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "etag",
        "expires",
        "forwarded",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "last-modified",
        "location",
        "max-forwards",
        "origin",
        "pragma",
        "range",
        "set-cookie",
        "vary",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    }
)


def get_all(headers: Headers, name: str) -> tuple[str, ...]:
    """Every line of the field, in order."""
    return tuple([value for field, value in headers if field == name])  # a generator costs twice


def get_one(headers: Headers, name: str) -> str | None:
    """The value of a field that has one value; None when it is absent or its lines disagree."""
    values = [value for field, value in headers if field == name]
    if not values:
        return None
    if len(values) == 1:
        return values[0].strip()
    distinct = {value.strip() for value in values}
    return distinct.pop() if len(distinct) == 1 else None


def get_list(headers: Headers, name: str) -> tuple[str, ...]:
    """The members of a list-valued field over all its lines, quotes kept, empty ones left out."""
    lines = [value for field, value in headers if field == name]
    if not lines:
        return ()
    return tuple([member for line in lines for member in split_list(line)])


def split_list(text: str) -> list[str]:
    """The members of a comma-separated list; a comma inside double quotes does not separate."""
    if '"' not in text:
        members = text.split(",")
    else:
        members = []
        start, is_quoted, is_escaped = 0, False, False
        for position, character in enumerate(text):
            if is_escaped:
                is_escaped = False
            elif character == "\\" and is_quoted:
                is_escaped = True
            elif character == '"':
                is_quoted = not is_quoted
            elif character == "," and not is_quoted:
                members.append(text[start:position])
                start = position + 1
        members.append(text[start:])
    return [member for member in (m.strip(" \t") for m in members) if member]


def without(headers: Headers, names: Collection[str]) -> Headers:
    return tuple([field for field in headers if field[0] not in names])


def replaced(headers: Headers, name: str, value: str) -> Headers:
    """The headers with exactly one line of `name`, at the end."""
    return (*without(headers, (name,)), (name, value))


def end_to_end(headers: Headers) -> Headers:
    """What may be passed on: without hop-by-hop fields and those that Connection names.

    Fields that must survive to the other end are kept even when Connection names them.
    """
    nominated = {member.lower() for member in get_list(headers, "connection")}
    return without(headers, _HOP_BY_HOP | (nominated - _NEVER_NOMINATED))


def storable(headers: Headers) -> Headers:
    """What of a response's fields is kept beside its body (RFC 9111, 3.1)."""
    return without(end_to_end(headers), _PROXY_ONLY)


def content_length(headers: Headers) -> int | None:
    """The announced body size; None when there is none.

    Raises RemoteProtocolError when it is no number or there are several that disagree: the end of
    the message is then anyone's guess (request smuggling).
    """
    lines = [value for field, value in headers if field == "content-length"]
    if not lines:
        return None
    members = {m for value in lines for m in value.split(",")}
    sizes = {member.strip(" \t") for member in members}
    if not sizes:
        return None
    if len(sizes) > 1:
        raise RemoteProtocolError(f"several content-lengths: {', '.join(sorted(sizes))[:80]}")
    text = sizes.pop()
    if not (text.isascii() and text.isdigit()) or len(text) > LENGTH_DIGITS_MAX:
        raise RemoteProtocolError(f"content-length {text[:40]!r} is not a size")
    return int(text)
