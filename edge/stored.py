"""What is kept beside a body: how it is made, what it takes, and when it is not believed."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from cache.http.headers import Headers
from cache.index import ENTRY_BYTES
from edge.effects import StoredObject
from edge.events import FillEnded
from edge.fill import Fill
from edge.tags import tags_of

FIELD_BYTES: Final = 150
"""Of RAM for each header field of a stored object, its text apart; measured."""
TAG_BYTES: Final = 300
"""Likewise for each surrogate key."""


def stored_of(fill: Fill, ended: FillEnded) -> StoredObject:
    """What a fill that has ended would be kept as."""
    return StoredObject(
        object_id=_object_id(fill.url, fill.vary, fill.response_wall_s, fill.fill_id),
        url=fill.url,
        vary=fill.vary,
        status=fill.status if fill.part is None else 206,
        headers=fill.response_headers,
        size_bytes=ended.size_bytes,
        crc32c=ended.crc32c,
        requested_wall_s=fill.requested_wall_s,
        received_wall_s=fill.response_wall_s,
        is_prefetch=fill.is_prefetch,
        is_planned=fill.is_planned and fill.part is None,
        part_first=fill.part.first if fill.part is not None else 0,
        part_of_bytes=fill.part.of_bytes if fill.part is not None else None,
    )


def _object_id(url: str, vary: Headers, received_wall_s: float, fill_id: int) -> str:
    """A new object's name: another one for each fetch, so that what replaces an object never
    shares its file. The wall time keeps it apart from those of earlier runs."""
    text = f"{url}\n{vary}\n{received_wall_s!r}\n{fill_id}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def index_bytes(stored: StoredObject) -> int:
    """What knowing of an object takes."""
    fields_bytes = sum([len(name) + len(value) for name, value in stored.headers])
    return (
        ENTRY_BYTES
        + len(stored.url)
        + fields_bytes
        + FIELD_BYTES * len(stored.headers)
        + TAG_BYTES * len(tags_of(stored.headers))
    )


def not_from_the_future(stored: StoredObject, wall_s: float) -> StoredObject:
    """The wall clock was put back since it was stored: it counts as received just now. Else it
    would be fresh until the clock has caught up, which may take years."""
    if stored.received_wall_s <= wall_s:
        return stored
    return msgspec.structs.replace(stored, requested_wall_s=wall_s, received_wall_s=wall_s)
