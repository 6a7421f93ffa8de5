"""Many viewers in one process: who starts when, and what they watch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from abr.report import ViewerReport
from abr.viewer import ViewingPlan
from nearcast.errors import InputError

VIEWERS_MAX = 1000
"""Each has its own connections; beyond this one process measures itself."""


class ScheduledViewer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`start_s` counts from the start of the schedule."""

    plan: ViewingPlan
    start_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    viewers: Annotated[
        tuple[ScheduledViewer, ...], msgspec.Meta(min_length=1, max_length=VIEWERS_MAX)
    ]


class ScheduleReport(msgspec.Struct, frozen=True, kw_only=True):
    """One report a viewer, in the schedule's order."""

    viewers: tuple[ViewerReport, ...]


def read_schedule(file: Path) -> Schedule:
    """Raises InputError that names the file and the place in it."""
    try:
        schedule = msgspec.json.decode(file.read_bytes(), type=Schedule)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: {error}") from error
    for viewer in schedule.viewers:
        for item in viewer.plan.items:
            check_url(item.url, str(file))
    return schedule


def check_url(url: str, where: str) -> None:
    """Raises InputError for what cannot be fetched over HTTP."""
    try:
        place = urlsplit(url)
        is_usable = place.scheme in ("http", "https") and bool(place.hostname) and place.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise InputError(f"{where}: {url!r} is not the URL of a manifest; write http://HOST/PATH")
