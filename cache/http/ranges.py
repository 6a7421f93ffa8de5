"""Byte ranges of a resource whose size is known (RFC 9110, 14).

An answer is one part or the whole. Several ranges that overlap or touch are one range; several
that do not get the whole resource, which the RFC allows and which leaves nothing to attack. More
than RANGES_MAX are refused (416), as is what lies past the end. Other units and text that is no
range are ignored.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from cache.http.conditional import if_range_holds
from cache.http.headers import Headers, get_one
from nearcast.http1 import LENGTH_DIGITS_MAX
from nearcast.media import ByteRange

UNSATISFIABLE: Final = "unsatisfiable"

Selection = ByteRange | Literal["unsatisfiable"] | None
"""The bytes to send (206), nothing to send (416), or the whole resource (200)."""

RANGES_MAX: Final = 8
"""Of one request. Players ask for one; more are an attack on whoever has to cut them
(CVE-2011-3192)."""

_UNIT = re.compile(r"bytes=(.*)", re.IGNORECASE | re.ASCII | re.DOTALL)
_SPEC = re.compile(r"(\d*)-(\d*)", re.ASCII)
_LENGTH_MAX = 512


def parse_range(text: str | None, size_bytes: int) -> Selection:
    """What `text`, the value of Range, selects of `size_bytes` bytes. Never raises."""
    match = _UNIT.match(text.strip(" \t")) if text is not None else None
    if match is None:
        return None
    if match[1].count(",") >= RANGES_MAX:
        return UNSATISFIABLE
    if len(match[1]) > _LENGTH_MAX:
        return None
    found: list[ByteRange] = []
    is_any_given = False
    for text_of_one in match[1].split(","):
        spec = _SPEC.fullmatch(text_of_one.strip(" \t"))
        if spec is None:
            if not text_of_one.strip(" \t") and "," in match[1]:
                continue  # empty members of a list say nothing (RFC 9110, 5.6.1)
            return None
        one = _one(spec[1], spec[2], size_bytes)
        if one is None:
            return None
        is_any_given = True
        if one != UNSATISFIABLE:
            found.append(one)
    if not found:
        return UNSATISFIABLE if is_any_given else None
    return _joined(found)


def _one(first_digits: str, last_digits: str, size_bytes: int) -> Selection:
    if not first_digits:
        if not last_digits:
            return None
        suffix_bytes = _position(last_digits)
        if suffix_bytes == 0:
            return UNSATISFIABLE
        if size_bytes == 0:
            return None  # all of nothing cannot be written as a Content-Range
        return ByteRange(max(size_bytes - suffix_bytes, 0), size_bytes - 1)
    first = _position(first_digits)
    last = _position(last_digits) if last_digits else size_bytes - 1
    if last_digits and last < first:
        return None
    if first >= size_bytes:
        return UNSATISFIABLE
    return ByteRange(first, min(last, size_bytes - 1))


def _joined(ranges: list[ByteRange]) -> ByteRange | None:
    """All of them as one range; None when there is a gap between two."""
    ranges.sort(key=lambda one: one.first)
    last = ranges[0].last
    for one in ranges[1:]:
        if one.first > last + 1:
            return None
        last = max(last, one.last)
    return ByteRange(ranges[0].first, last)


def _position(digits: str) -> int:
    """A longer number lies past the end of every resource."""
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= LENGTH_DIGITS_MAX else int("9" * LENGTH_DIGITS_MAX)


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
