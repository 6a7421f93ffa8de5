"""The objects of a planned file, in the order to fetch them: manifest, initialisation, segments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from edge.media_map import Title
from edge.services import Services
from nearcast.media import Representation, Segment
from nearcast.placement import PlannedFile
from nearcast.units import bytes_per_s_from_kbps

TEXT_BYTES: Final = 16_000
INIT_BYTES: Final = 2_000
"""What is set aside for a manifest and for an initialisation, whose sizes nobody knows beforehand;
both may turn out larger while the plan has bytes left."""
PIECE_BYTES_LEAST: Final = 1_000


class Piece(msgspec.Struct, frozen=True):
    """One object. `size_bytes`: as the manifest says, else about what its rate makes."""

    url: str
    size_bytes: int
    is_reserved: bool = False
    """It is not fetched for the plan; pulled by a viewer, it stays."""


class NotPossible(Exception):
    """This file cannot be held as it is planned."""


def manifest_url(services: Services, service_name: str, path: str) -> str | None:
    """Where the manifest is, of the service that is meant; None: it has no such path."""
    for service in services.all:
        if service_name in ("", service.name):
            host = next((name for name in service.hosts if "*" not in name), "")
            url = service.url(host, path)
            return url if services.of_url(url) is service else None
    return None


def pieces_of(file: PlannedFile, title: Title) -> tuple[Piece, ...]:
    """All but the manifest. Raises NotPossible."""
    one = next(
        (
            one
            for kind in ("video", "audio")
            for one in title.representations("video" if kind == "video" else "audio")
            if one.rendition.id == file.rendition
        ),
        None,
    )
    if one is None:
        raise NotPossible("the manifest has no such rendition")
    segments = [
        segment
        for segment in one.segments
        if file.until_s is None or segment.start_s < file.until_s
    ]
    if any(segment.byte_range is not None for segment in segments[:1]):
        if file.until_s is not None:
            raise NotPossible("its segments are ranges of one object: no head can be held")
        urls = dict.fromkeys(segment.url for segment in (*one.inits, *segments))
        is_reserved = file.fetch_until_s is not None  # no part of one object can be fetched
        return tuple(Piece(url, file.size_bytes, is_reserved) for url in urls)
    fetch_until_s = math.inf if file.fetch_until_s is None else file.fetch_until_s
    inits = {
        init.url: Piece(init.url, init.size_bytes or INIT_BYTES, fetch_until_s <= 0.0)
        for init in one.inits
    }
    sizes = _sizes(one, segments, file.size_bytes)
    found = {
        segment.url: Piece(segment.url, size_bytes, segment.start_s >= fetch_until_s)
        for segment, size_bytes in zip(segments, sizes, strict=True)
    }
    return tuple({**found, **inits}[url] for url in dict.fromkeys((*inits, *found)))


def _sizes(one: Representation, segments: Sequence[Segment], file_bytes: int) -> list[int]:
    """As the manifest says; else by time, of what the plan says that the file has."""
    if all(segment.size_bytes for segment in segments):
        return [segment.size_bytes or 0 for segment in segments]
    rate_kbps = one.rendition.average_kbps or one.rendition.peak_kbps
    likely_bytes_per_s = bytes_per_s_from_kbps(rate_kbps)
    duration_s = sum(segment.duration_s for segment in segments)
    if duration_s > 0 and file_bytes > 0:
        likely_bytes_per_s = file_bytes / duration_s
    return [
        max(int(likely_bytes_per_s * segment.duration_s), PIECE_BYTES_LEAST) for segment in segments
    ]
