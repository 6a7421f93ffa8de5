"""Read one HLS playlist's lines into data, and a media playlist into segments.

The `m3u8` library reads the tags. It is given only the tags that matter here, since it lets a
malformed value of any tag end in an exception and does work for each kind of tag on each line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import m3u8.parser
import msgspec

from nearcast.errors import RemoteProtocolError
from nearcast.manifests.limits import (
    BYTE_OFFSET_MAX,
    DURATION_S_MAX,
    LINE_COUNT_MAX,
    LINE_LENGTH_MAX,
    RATE_BPS_MAX,
    SegmentBudget,
    check_text,
    duration_s,
    join,
    shown,
)
from nearcast.manifests.rates import measured_rates_kbps
from nearcast.media import ByteRange, Segment
from nearcast.units import BITS_PER_BYTE, BITS_PER_KBIT

_TAGS: Final = (
    "#EXTINF:",
    "#EXT-X-BITRATE:",
    "#EXT-X-BYTERANGE:",
    "#EXT-X-ENDLIST",
    "#EXT-X-I-FRAMES-ONLY",
    "#EXT-X-MAP:",
    "#EXT-X-MEDIA:",
    "#EXT-X-STREAM-INF:",
)
_BYTE_RANGE = re.compile(r"(\d{1,16})(?:@(\d{1,16}))?", re.ASCII)


class MediaPlaylist(msgspec.Struct, frozen=True, kw_only=True):
    """`rates_kbps` are (peak, average) if the playlist tells its segments' sizes or rates."""

    init: Segment | None
    segments: tuple[Segment, ...]
    rates_kbps: tuple[float, float] | None


def parse_playlist(text: bytes) -> Mapping[str, Any]:
    """What the `m3u8` library makes of the playlist. Raises RemoteProtocolError."""
    lines = check_text(text).splitlines()
    if not lines[0].startswith("#EXTM3U"):
        raise RemoteProtocolError("not an HLS playlist: the first line is not #EXTM3U")
    if len(lines) > LINE_COUNT_MAX:
        raise RemoteProtocolError(f"the playlist has more than {LINE_COUNT_MAX} lines")
    kept = [lines[0]]
    for line in lines:
        if len(line) > LINE_LENGTH_MAX:
            raise RemoteProtocolError(f"a line of the playlist is {len(line)} characters long")
        if line.startswith("#EXT-X-DEFINE"):
            raise RemoteProtocolError("the playlist uses variables (EXT-X-DEFINE): not supported")
        if line.startswith(_TAGS) or (line and not line.startswith("#")):
            kept.append(line)
    try:
        data: Mapping[str, Any] = m3u8.parser.parse("\n".join(kept))
    except Exception as error:
        # The library has no error of its own for bad values: ValueError, KeyError, IndexError,
        # AttributeError and TypeError have been seen.
        raise RemoteProtocolError(f"the playlist cannot be read: {_reason(error)}") from error
    return data


def read_media(text: bytes, url: str, budget: SegmentBudget) -> MediaPlaylist:
    """The segments of a media playlist fetched from `url`."""
    data = parse_playlist(text)
    if data["is_variant"]:
        raise RemoteProtocolError(f"{shown(url)} is a master playlist where a media one belongs")
    if not data["is_endlist"]:
        raise RemoteProtocolError(
            f"playlist {shown(url)} has no EXT-X-ENDLIST: live streams are not supported"
        )
    if data["is_i_frames_only"]:
        raise RemoteProtocolError(f"playlist {shown(url)} has I-frames only")
    entries = data["segments"]
    budget.take(len(entries))
    if not entries:
        raise RemoteProtocolError(f"playlist {shown(url)} has no segments")
    segments: list[Segment] = []
    estimates: list[Segment] = []
    start_s = 0.0
    rate_kbps: int | None = None
    following: dict[str, int] = {}
    for entry in entries:
        if "uri" not in entry or "duration" not in entry:
            raise RemoteProtocolError(f"playlist {shown(url)} has a segment without URI or EXTINF")
        length_s = duration_s(entry["duration"], f"EXTINF of {shown(entry['uri'])}")
        place = join(url, entry["uri"])
        byte_range = _byte_range(entry.get("byterange"), place, following)
        segment = Segment(
            url=place,
            start_s=start_s,
            duration_s=length_s,
            byte_range=byte_range,
            size_bytes=None if byte_range is None else byte_range.size_bytes,
        )
        segments.append(segment)
        start_s += length_s
        if byte_range is not None:
            rate_kbps = None  # EXT-X-BITRATE does not apply to byte ranges
            estimates.append(segment)
        else:
            rate_kbps = _bitrate(entry.get("bitrate"), rate_kbps)
            if rate_kbps is not None:
                size_bytes = round(rate_kbps * BITS_PER_KBIT / BITS_PER_BYTE * length_s)
                estimates.append(msgspec.structs.replace(segment, size_bytes=size_bytes))
    if start_s > DURATION_S_MAX:
        raise RemoteProtocolError(f"playlist {shown(url)} lasts longer than a week")
    complete = len(estimates) == len(segments)
    return MediaPlaylist(
        init=_init(entries, url),
        segments=tuple(segments),
        rates_kbps=measured_rates_kbps(estimates) if complete else None,
    )


def _init(entries: list[Mapping[str, Any]], url: str) -> Segment | None:
    first: Mapping[str, str] | None = entries[0].get("init_section")
    for entry in entries:
        section = entry.get("init_section")
        if section is not first and section != first:
            raise RemoteProtocolError(
                f"playlist {shown(url)} changes its EXT-X-MAP, which is not supported"
            )
    if first is None:
        return None
    if not first.get("uri"):
        raise RemoteProtocolError(f"the EXT-X-MAP of playlist {shown(url)} has no URI")
    place = join(url, first["uri"])
    byte_range = _byte_range(first.get("byterange"), place, {place: 0})
    return Segment(
        url=place,
        start_s=0.0,
        duration_s=0.0,
        byte_range=byte_range,
        size_bytes=None if byte_range is None else byte_range.size_bytes,
    )


def _byte_range(text: str | None, place: str, following: dict[str, int]) -> ByteRange | None:
    """`length[@first]`; without `first` it goes on where the last range of that file ended."""
    if text is None:
        return None
    match = _BYTE_RANGE.fullmatch(text.strip())
    if match is None:
        raise RemoteProtocolError(f"not a byte range: {shown(text)}")
    length = int(match[1])
    first = following.get(place) if match[2] is None else int(match[2])
    if first is None:
        raise RemoteProtocolError(f"byte range {shown(text)} follows none of the same file")
    if length == 0 or first + length > BYTE_OFFSET_MAX:
        raise RemoteProtocolError(f"byte range {shown(text)} is empty or out of bounds")
    following[place] = first + length
    return ByteRange(first, first + length - 1)


def _bitrate(given: int | None, before: int | None) -> int | None:
    if given is None:
        return before
    return given if 0 < given <= RATE_BPS_MAX // BITS_PER_KBIT else None


def _reason(error: Exception) -> str:
    return shown(f"{type(error).__name__}: {error}")
