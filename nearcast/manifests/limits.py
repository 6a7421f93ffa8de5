"""What a manifest may hold at most, and how its numbers and URLs are taken in.

A manifest comes from somebody else's server: whatever is in it, reading ends soon and in bounded
memory, with a presentation or a RemoteProtocolError that says what is wrong.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

from nearcast.errors import RemoteProtocolError
from nearcast.media import ByteRange

TEXT_BYTES_MAX: Final = 4 * 1024 * 1024
"""A ten-hour title with a line per two-second segment stays below 2 MiB per playlist."""

REPRESENTATION_COUNT_MAX: Final = 100
"""Video and audio together; the longest ladders seen in the wild have about forty."""

SEGMENT_COUNT_MAX: Final = 50_000
"""Of all representations together: ten renditions of a 2.7-hour film in two-second segments."""

PERIOD_COUNT_MAX: Final = 500
"""A four-hour broadcast with a Period for every half minute."""

ELEMENT_COUNT_MAX: Final = 200_000
"""Tags of an MPD, counted before it is parsed; libxml2 needs some 200 bytes for each."""

LINE_COUNT_MAX: Final = 400_000
"""Of a playlist: eight per segment."""

MASTER_ENTRY_COUNT_MAX: Final = 1000
"""EXT-X-STREAM-INF and EXT-X-MEDIA lines; a rendition is listed once per audio group."""

LINE_LENGTH_MAX: Final = 64 * 1024
"""Of a playlist. Keys with embedded licence data run to a few KiB."""

URL_LENGTH_MAX: Final = 8 * 1024

PLAIN_LENGTH_MAX: Final = 512
"""References without anything to resolve or to encode, as nearly all are, are just appended."""

DURATION_S_MAX: Final = 7 * 24 * 3600.0
"""A week: longer than any title, short enough that sums stay exact to a nanosecond."""

RATE_BPS_MAX: Final = 10_000_000_000
BYTE_OFFSET_MAX: Final = 2**53
TIME_TICKS_MAX: Final = 2**63
"""What a 64-bit decode time holds."""

TIMESCALE_MAX: Final = 10_000_000_000

_DIGITS = re.compile(r"[0-9]{1,20}")
_DECIMAL = re.compile(r"[0-9]{1,15}(\.[0-9]{0,30})?|\.[0-9]{1,30}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_URL_SAFE = "!#$%&'()*+,/:;=?@[]~"


def check_text(text: bytes) -> str:
    """The manifest as text, without byte order mark and surrounding white space."""
    if len(text) > TEXT_BYTES_MAX:
        raise RemoteProtocolError(
            f"the manifest is {len(text)} bytes long; at most {TEXT_BYTES_MAX} are read"
        )
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RemoteProtocolError("the manifest is not UTF-8 text") from error
    stripped = decoded.strip()
    if not stripped:
        raise RemoteProtocolError("the manifest is empty")
    return stripped


def natural(text: str, what: str, maximum: int) -> int:
    """A whole number from 0 to `maximum`."""
    text = text.strip()
    if not _DIGITS.fullmatch(text):
        raise RemoteProtocolError(f"{what} is not a whole number: {shown(text)}")
    value = int(text)
    if value > maximum:
        raise RemoteProtocolError(f"{what} is too large: {value}, at most {maximum}")
    return value


def positive(text: str, what: str, maximum: int) -> int:
    value = natural(text, what, maximum)
    if value == 0:
        raise RemoteProtocolError(f"{what} is zero")
    return value


def decimal(text: str, what: str) -> Fraction:
    """A decimal number of at least 0, exactly."""
    text = text.strip()
    if not _DECIMAL.fullmatch(text):
        raise RemoteProtocolError(f"{what} is not a number of at least 0: {shown(text)}")
    return Fraction(text)


def duration_s(value: float, what: str) -> float:
    """`value` if a piece of media can last that long."""
    if not (math.isfinite(value) and 0 < value <= DURATION_S_MAX):
        raise RemoteProtocolError(f"{what} is {value:g} s; it must be above 0 and at most a week")
    return value


def closed_range(text: str, what: str) -> ByteRange:
    """`first-last`, both included."""
    first, dash, last = text.strip().partition("-")
    if not dash:
        raise RemoteProtocolError(f"{what} is not a byte range: {shown(text)}")
    made = ByteRange(natural(first, what, BYTE_OFFSET_MAX), natural(last, what, BYTE_OFFSET_MAX))
    if made.last < made.first:
        raise RemoteProtocolError(f"{what} ends before it begins: {shown(text)}")
    return made


def join(base: str, reference: str) -> str:
    """`reference` as an absolute http(s) URL, percent-encoded where the manifest forgot to.

    A fragment is cut off: it never goes on the wire.
    """
    if len(reference) <= PLAIN_LENGTH_MAX and _PLAIN_PATH.fullmatch(reference):
        return _folder(base) + reference
    return _join(base, reference)


@lru_cache(maxsize=256)  # the folders of the playlists being read; nearly always one or two
def _folder(base: str) -> str:
    return _join(base, "x").removesuffix("x")


def _join(base: str, reference: str) -> str:
    if len(reference) > URL_LENGTH_MAX or _CONTROL.search(reference):
        raise RemoteProtocolError(
            f"a URL is too long or holds control characters: {shown(reference)}"
        )
    try:
        url = urljoin(base, reference.strip())
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError as error:
        raise RemoteProtocolError(f"not a URL: {shown(reference)}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_valid:
        raise RemoteProtocolError(f"only http and https URLs can be fetched, not {shown(url)}")
    if len(url) > URL_LENGTH_MAX:
        raise RemoteProtocolError(f"a URL is longer than {URL_LENGTH_MAX}: {shown(url)}")
    return quote(url.partition("#")[0], safe=_URL_SAFE)


def shown(text: str) -> str:
    """Foreign text for an error message: quoted, and cut."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


class SegmentBudget:
    """Counts the segments of a whole manifest before they are made."""

    def __init__(self) -> None:
        self._left = SEGMENT_COUNT_MAX

    def take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise RemoteProtocolError(
                f"the manifest has more than {SEGMENT_COUNT_MAX} segments in all"
            )
