"""What the player tells the edge with each request (CMCD, CTA-5004 version 1)."""

from __future__ import annotations

import hashlib
import posixpath
from urllib.parse import urlsplit

from abr.events import ReportFailure, RequestKind
from abr.loading import StreamFormat
from nearcast.cmcd import Cmcd
from nearcast.media import Segment, TrackKind

CMCD_VERSION = 1
CONTENT_ID_LENGTH = 16


class ClientData:
    """The parts of CMCD that stay the same through one title."""

    def __init__(self, session_id: str, url: str) -> None:
        self._session_id = session_id
        self._content_id = hashlib.sha256(url.encode()).hexdigest()[:CONTENT_ID_LENGTH]
        self.stream_format: StreamFormat | None = None

    def of_failure(self, url: str, status: int, now_s: float) -> ReportFailure:
        """That `url` could not be had. Its query stays here: it may hold what lets a viewer in."""
        return ReportFailure(
            url=url.partition("?")[0],
            status=status,
            session_id=self._session_id,
            content_id=self._content_id,
            at_s=now_s,
        )

    def of_manifest(self) -> Cmcd:
        return Cmcd(
            session_id=self._session_id,
            content_id=self._content_id,
            object_type="m",
            stream_format=self.stream_format,
            stream_type="v",
            is_startup=True,
            version=CMCD_VERSION,
        )

    def of_media(
        self,
        kind: RequestKind,
        track: TrackKind,
        segment: Segment,
        following: Segment | None,
        *,
        bitrate_kbps: float,
        top_bitrate_kbps: float,
        buffer_s: float,
        throughput_kbps: float | None,
        is_playing: bool,
        is_starved: bool,
    ) -> Cmcd:
        is_init = kind == "init"
        return Cmcd(
            session_id=self._session_id,
            content_id=self._content_id,
            object_type="i" if is_init else "v" if track == "video" else "a",
            stream_format=self.stream_format,
            stream_type="v",
            bitrate_kbps=bitrate_kbps,
            top_bitrate_kbps=top_bitrate_kbps,
            duration_s=None if is_init else segment.duration_s,
            buffer_s=None if is_init else buffer_s,
            deadline_s=buffer_s if is_playing else None,
            throughput_kbps=throughput_kbps,
            next_object=None if following is None else _relative(following.url, segment.url),
            is_starved=is_starved,
            is_startup=not is_playing,
            version=CMCD_VERSION,
        )


def _relative(url: str, base: str) -> str | None:
    """`url` relative to `base`, or None where CMCD has no words for it: another host or query, or
    another part of the same file."""
    to, at = urlsplit(url), urlsplit(base)
    if (to.scheme, to.netloc, to.query) != (at.scheme, at.netloc, at.query) or to.path == at.path:
        return None
    return posixpath.relpath(to.path or "/", posixpath.dirname(at.path) or "/")
