"""HTTP dates (RFC 9110, 5.6.7) to seconds since the epoch and back, without a clock."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime, timedelta

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_MONTH = "(?P<month>" + "|".join(_MONTHS) + ")"
_DAY_NAME = "(?:mon|tue|wed|thu|fri|sat|sun)"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE | re.ASCII)
    for form in (
        # Sun, 06 Nov 1994 08:49:37 GMT (IMF-fixdate, the only form to send)
        rf"{_DAY_NAME}, (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_TIME} GMT",
        # Sunday, 06-Nov-94 08:49:37 GMT (RFC 850)
        rf"{_DAY_NAME}[a-z]{{3,6}}, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} GMT",
        # Sun Nov  6 08:49:37 1994 (asctime)
        rf"{_DAY_NAME} {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})",
    )
)
_LENGTH_MAX = 40
_REMEMBERED_MAX = 1024
"""Date fields repeat: each is read several times, and all of a second are alike."""
_WALL_S_MAX = 253_402_300_799  # the last second of the year 9999
# Two-digit years: without a clock, the POSIX pivot instead of RFC 9110's "not more than 50 years
# in the future".
_PIVOT_YEAR = 70


def parse_date(text: str | None) -> float | None:
    """Seconds since the epoch, or None when the text is no HTTP date. Never raises."""
    return None if text is None or len(text) > _LENGTH_MAX else _parsed(text.strip(" \t"))


@functools.lru_cache(maxsize=_REMEMBERED_MAX)
def _parsed(text: str) -> float | None:
    for form in _FORMS:
        match = form.fullmatch(text)
        if match is not None:
            break
    else:
        return None
    year = int(match["year"])
    if len(match["year"]) == 2:
        year += 1900 if year >= _PIVOT_YEAR else 2000
    second = int(match["second"])
    if second > 60:  # 60 is a leap second
        return None
    try:
        minute = datetime(
            year,
            _MONTHS.index(match["month"].lower()) + 1,
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return minute.timestamp() + second


def format_date(wall_s: float) -> str:
    """An IMF-fixdate, whole seconds, rounded down; times outside 1970..9999 are clamped."""
    whole_s = int(min(max(wall_s, 0), _WALL_S_MAX))
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=whole_s)
    month = _MONTHS[moment.month - 1].capitalize()
    return f"{_DAYS[moment.weekday()]}, {moment:%d} {month} {moment.year:04d} {moment:%H:%M:%S} GMT"
