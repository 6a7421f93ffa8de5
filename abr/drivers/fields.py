"""The fields of an answer's head that the player acts on.

Nothing here knows what time it is: a date says something only beside the same server's Date.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

from abr.drivers.body import DamagedBody
from nearcast.media import ByteRange

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(?:\d{1,18}|\*)", re.ASCII)
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]{0,200}"')
PARTIAL = 206


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long the server asks to be left alone (RFC 9110, 10.2.3), None if it does not say."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return float(text)
    until, now = _date(text), _date(headers.get("Date", ""))
    if until is None or now is None:
        return None
    return max(0.0, (until - now).total_seconds())


def read_content_range(headers: Mapping[str, str]) -> ByteRange | None:
    """What a 206 carries; None where the field is absent. Raises DamagedBody if it is nonsense."""
    text = headers.get("Content-Range")
    if text is None:
        return None
    match = _CONTENT_RANGE.fullmatch(text.strip())
    if match is None or int(match[1]) > int(match[2]):
        raise DamagedBody("the answer's Content-Range cannot be read")
    return ByteRange(int(match[1]), int(match[2]))


def read_validator(headers: Mapping[str, str], status: int) -> str | None:
    """A strong ETag, where a broken download could be gone on from with it."""
    etag = headers.get("ETag", "")
    takes_ranges = status == PARTIAL or headers.get("Accept-Ranges", "").strip() == "bytes"
    return etag if takes_ranges and _STRONG_ETAG.fullmatch(etag) else None


def _date(text: str) -> datetime | None:
    try:
        made = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return None if made.tzinfo is None else made
