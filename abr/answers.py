"""Whether the head of an answer fits what was asked for, and which bytes of its body count."""

from __future__ import annotations

from typing import Final

import msgspec

from abr.events import ResponseStarted
from nearcast.media import ByteRange

SLICE_BYTES_MAX: Final = 64 * 1024 * 1024
"""From a server that sends the whole file where a range was asked for, at most so much is taken to
get at the range: every segment starts again from the file's first byte."""
PAGE_TYPES: Final = ("text/html", "application/xhtml+xml")
"""What error pages and log-in pages that come with status 200 are."""
PARTIAL: Final = 206


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What to make of an answer. With `complaint` its body is of no use.

    `starts_over`: what came before is not continued. Of the body, `skip_bytes` are not wanted, and
    what follows after `stop_bytes` neither; the body has `size_bytes`, where that is known.
    """

    complaint: str = ""
    is_final: bool = False
    """No use in asking again."""
    starts_over: bool = False
    skip_bytes: int = 0
    stop_bytes: int | None = None
    size_bytes: int | None = None


def judge(event: ResponseStarted, asked: ByteRange | None, wanted: ByteRange | None) -> Verdict:
    """`asked` is the range in the request; `wanted` that of the segment, which is None where it is
    a whole file, of which `asked` may be the rest after a broken connection."""
    kind = (event.content_type or "").partition(";")[0].strip().lower()
    if kind in PAGE_TYPES:
        return Verdict(complaint=f"a page ({kind}) came instead of media")
    if event.status == PARTIAL:
        return _part(event, asked)
    if wanted is None or event.size_bytes == wanted.size_bytes:
        # All of it; or just the range, under the wrong status.
        return Verdict(starts_over=True, size_bytes=event.size_bytes)
    stop_bytes = wanted.last + 1
    if event.size_bytes is not None and event.size_bytes < stop_bytes:
        detail = f"the file has {event.size_bytes} bytes, bytes {wanted.first}-{wanted.last}"
        return Verdict(complaint=f"{detail} were asked for")
    if stop_bytes > SLICE_BYTES_MAX:
        return Verdict(complaint="the server ignores Range requests", is_final=True)
    return Verdict(
        starts_over=True, skip_bytes=wanted.first, stop_bytes=stop_bytes, size_bytes=stop_bytes
    )


def _part(event: ResponseStarted, asked: ByteRange | None) -> Verdict:
    if asked is None:
        return Verdict(complaint="a part came where all was asked for")
    came = event.content_range
    if came is not None and came != asked:
        detail = f"bytes {came.first}-{came.last} came instead of {asked.first}-{asked.last}"
        return Verdict(complaint=detail)
    if event.size_bytes is not None and event.size_bytes != asked.size_bytes:
        detail = f"{event.size_bytes} bytes came where {asked.size_bytes} were asked for"
        return Verdict(complaint=detail)
    return Verdict(size_bytes=asked.size_bytes)
