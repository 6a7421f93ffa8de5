"""Parts of a resource: reading a 206, serving from one, and going on from one (RFC 9111, 3.3, 3.4).

A part is what one 206 with one range brought. It answers requests whose range lies inside it. Two
answers may be put together only when both carry the same strong entity tag, since nothing else
proves that their bytes belong to one representation; a date never does.
"""

from __future__ import annotations

import re

import msgspec

from cache.http.conditional import etags_match_strongly, stored_etag
from cache.http.headers import Headers, content_length, get_one
from cache.http.ranges import parse_range
from nearcast.errors import RemoteProtocolError
from nearcast.http1 import LENGTH_DIGITS_MAX
from nearcast.media import ByteRange

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)", re.IGNORECASE | re.ASCII)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes `first` to `last` of a resource of `of_bytes`."""

    first: int
    last: int
    of_bytes: int

    @property
    def size_bytes(self) -> int:
        return self.last - self.first + 1

    @property
    def is_whole(self) -> bool:
        return self.size_bytes == self.of_bytes

    def holds(self, wanted: ByteRange) -> bool:
        return self.first <= wanted.first and wanted.last <= self.last


def part_of(status: int, headers: Headers) -> Part | None:
    """The part that a 206 brings. None when it is no 206, carries several ranges, leaves the size
    of the resource open, or contradicts itself."""
    if status != 206:
        return None
    match = _CONTENT_RANGE.fullmatch((get_one(headers, "content-range") or "").strip())
    if match is None or max(map(len, match.groups())) > LENGTH_DIGITS_MAX:
        return None
    part = Part(first=int(match[1]), last=int(match[2]), of_bytes=int(match[3]))
    if not part.first <= part.last < part.of_bytes:
        return None
    try:
        announced_bytes = content_length(headers)
    except RemoteProtocolError:
        return None
    return part if announced_bytes in (None, part.size_bytes) else None


def wanted_of(range_text: str | None, of_bytes: int) -> ByteRange | None:
    """The one range that a request wants of a resource of this size, if that is what it wants."""
    selection = parse_range(range_text, of_bytes)
    return selection if isinstance(selection, ByteRange) else None


def strong_etag(headers: Headers) -> str | None:
    """What proves that bytes belong together; None when nothing does."""
    etag = stored_etag(headers)
    return etag if etag is not None and etag.startswith('"') else None


def continues(
    held_headers: Headers, held_bytes: int, of_bytes: int, status: int, headers: Headers
) -> bool:
    """Whether an answer is the rest of a resource of which the first `held_bytes` are held."""
    etag, held_etag = strong_etag(headers), strong_etag(held_headers)
    if etag is None or held_etag is None or not etags_match_strongly(etag, held_etag):
        return False
    rest = part_of(status, headers)
    return rest == Part(first=held_bytes, last=of_bytes - 1, of_bytes=of_bytes)


def rest_headers(held_headers: Headers, held_bytes: int) -> Headers:
    """What asks for the rest, or for the whole if it has changed meanwhile. () where nothing could
    prove that the two belong together."""
    etag = strong_etag(held_headers)
    if etag is None:
        return ()
    return (("range", f"bytes={held_bytes}-"), ("if-range", etag))
