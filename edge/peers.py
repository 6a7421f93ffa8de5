"""What may be taken from another edge: a copy that can be checked, and nothing else.

A planned object may come from a peer that holds it (`Cache-Control: only-if-cached`, so that no
peer fetches for another, and no loop can be). It must come whole, with its size announced and with
a strong entity tag. Where the tag is a checksum of the body, as a Nearcast origin makes it
("CRC-SIZE" in hex), the body is held against it; whatever the tag, upstream is asked to confirm it
by a conditional request when the copy is there (edge.fleet.following).
"""

from __future__ import annotations

import re
from typing import Final

from cache.http.headers import Headers, content_length, get_one
from cache.http.parts import strong_etag
from edge.events import FillEnded
from nearcast.errors import RemoteProtocolError

ONLY_IF_CACHED: Final = ("cache-control", "only-if-cached")
"""The field by which an edge asks another, and by which it is known: what it takes is no viewer's
use, and counts as nobody's demand."""
ABSENT: Final = "the peer does not have it"
_CHECKSUM: Final = re.compile(r'"([0-9a-f]{8})-([0-9a-f]{1,12})"')


def why_not_from_peer(status: int, headers: Headers, bytes_max: int | None) -> str | None:
    """Why the answer of a peer with this head is not taken; None: it is."""
    if status != 200:
        return ABSENT if status == 504 else f"the peer answered {status}"
    try:
        size_bytes = content_length(headers)
    except RemoteProtocolError:
        size_bytes = None
    if size_bytes is None:
        return "the peer announced no size"
    if bytes_max is not None and size_bytes > bytes_max:
        return "the peer's copy is larger than planned"
    etag = strong_etag(headers)
    if etag is None:
        return "the peer's copy has no strong entity tag"
    stated = _CHECKSUM.fullmatch(etag)
    if stated is not None and int(stated[2], 16) != size_bytes:
        return "the peer's copy has not the size in its entity tag"
    if get_one(headers, "content-encoding") not in (None, "identity"):
        return "the peer's copy is encoded"
    return None


def damage_of(headers: Headers, ended: FillEnded) -> str | None:
    """What is wrong with a body that came from a peer under these fields; None: nothing that can be
    seen here."""
    stated = _CHECKSUM.fullmatch(strong_etag(headers) or "")
    if stated is None or (int(stated[1], 16), int(stated[2], 16)) == (
        ended.crc32c,
        ended.size_bytes,
    ):
        return None
    return "the peer's copy is damaged"
