"""One byte range of a resource whose size is known (RFC 9110, 14).

Several ranges, other units and text that is no range are ignored, which the RFC allows and which
leaves nothing to attack: the answer is then the whole resource.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from cache.http.conditional import if_range_holds
from cache.http.headers import Headers, get_one
from nearcast.media import ByteRange

UNSATISFIABLE: Final = "unsatisfiable"

Selection = ByteRange | Literal["unsatisfiable"] | None
"""The bytes to send (206), nothing to send (416), or the whole resource (200)."""

_RANGE = re.compile(r"bytes=[ \t]*(\d*)-(\d*)[ \t]*", re.IGNORECASE | re.ASCII)
_LENGTH_MAX = 256
# 18 digits fit 2^63: anything longer lies past the end of every resource.
_DIGITS_MAX = 18


def parse_range(text: str | None, size_bytes: int) -> Selection:
    """What `text`, the value of Range, selects of `size_bytes` bytes. Never raises."""
    if text is None or len(text) > _LENGTH_MAX:
        return None
    match = _RANGE.fullmatch(text.strip(" \t"))
    if match is None:
        return None
    if not match[1]:
        if not match[2]:
            return None
        suffix_bytes = _position(match[2])
        if suffix_bytes == 0:
            return UNSATISFIABLE
        if size_bytes == 0:
            return None  # all of nothing cannot be written as a Content-Range
        return ByteRange(max(size_bytes - suffix_bytes, 0), size_bytes - 1)
    first = _position(match[1])
    last = _position(match[2]) if match[2] else size_bytes - 1
    if match[2] and last < first:
        return None
    if first >= size_bytes:
        return UNSATISFIABLE
    return ByteRange(first, min(last, size_bytes - 1))


def _position(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= _DIGITS_MAX else int("9" * _DIGITS_MAX)


def select_range(
    method: str, request_headers: Headers, response_headers: Headers, size_bytes: int
) -> Selection:
    """What a request selects of a 200 with `response_headers`, If-Range considered.

    Evaluate the other preconditions first (`conditional.evaluate`).
    """
    text = get_one(request_headers, "range")
    if text is None or method != "GET":
        return None
    selection = parse_range(text, size_bytes)
    if selection is None or not if_range_holds(request_headers, response_headers):
        return None
    return selection


def content_range(byte_range: ByteRange, size_bytes: int) -> str:
    """Content-Range of a 206."""
    return f"bytes {byte_range.first}-{byte_range.last}/{size_bytes}"


def unsatisfied_range(size_bytes: int) -> str:
    """Content-Range of a 416."""
    return f"bytes */{size_bytes}"
