"""Read the lines of an HLS playlist.

The `m3u8` library reads masters and attribute lists. The lines of segments are read here: the
library compares each line with some forty tags, which for a long title holds up an edge for a
second, and it keeps a dictionary of twenty entries per segment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import m3u8.parser
import msgspec

from nearcast.errors import RemoteProtocolError
from nearcast.manifests.limits import (
    BYTE_OFFSET_MAX,
    DURATION_S_MAX,
    LINE_COUNT_MAX,
    LINE_LENGTH_MAX,
    MASTER_ENTRY_COUNT_MAX,
    RATE_BPS_MAX,
    SegmentBudget,
    check_text,
    duration_s,
    join,
    shown,
)
from nearcast.manifests.places import read_places
from nearcast.manifests.rates import rates_kbps
from nearcast.manifests.tables import Ranges, SegmentTable
from nearcast.manifests.timing import Times
from nearcast.media import ByteRange, InitChange, Segment
from nearcast.units import bytes_per_s_from_kbps, kbps_from_bps

INIT_CHANGES_MAX: Final = 1000
"""A day of broadcast with an advertisement each minute and a half."""

_MASTER_TAGS: Final = ("#EXT-X-STREAM-INF:", "#EXT-X-MEDIA:")
_BYTE_RANGE = re.compile(r"(\d{1,16})(?:@(\d{1,16}))?", re.ASCII)


class MediaPlaylist(msgspec.Struct, frozen=True, kw_only=True):
    """`rates_kbps` are (peak, average) if the playlist tells its segments' sizes or rates.

    Segments that are not there (EXT-X-GAP) are left out: they leave a hole.
    """

    init: Segment | None
    later_inits: tuple[InitChange, ...]
    segments: SegmentTable
    rates_kbps: tuple[float, float] | None


def playlist_lines(text: bytes) -> list[str]:
    """The lines of a playlist, without white space around them. Raises RemoteProtocolError."""
    document = check_text(text)
    lines = document.splitlines()
    if not lines[0].startswith("#EXTM3U"):
        raise RemoteProtocolError("not an HLS playlist: the first line is not #EXTM3U")
    if len(lines) > LINE_COUNT_MAX:
        raise RemoteProtocolError(f"the playlist has more than {LINE_COUNT_MAX} lines")
    length = max(map(len, lines))
    if length > LINE_LENGTH_MAX:
        raise RemoteProtocolError(f"a line of the playlist is {length} characters long")
    # The whole text is looked through in no time, tens of thousands of lines are not.
    if "#EXT-X-DEFINE" in document and any(line.startswith("#EXT-X-DEFINE") for line in lines):
        raise RemoteProtocolError("the playlist uses variables (EXT-X-DEFINE): not supported")
    return [line.strip() for line in lines]


def is_master(lines: Sequence[str]) -> bool:
    return any(line.startswith(_MASTER_TAGS) for line in lines)


def parse_master(lines: Sequence[str]) -> Mapping[str, Any]:
    """What the `m3u8` library makes of the variants and renditions of a master playlist."""
    kept: list[str] = []
    entry_count = 0
    for line in lines:
        if line.startswith(_MASTER_TAGS):
            entry_count += 1
            kept.append(line)
        elif line and not line.startswith("#") and kept and kept[-1].startswith(_MASTER_TAGS[0]):
            kept.append(line)
    if entry_count > MASTER_ENTRY_COUNT_MAX:
        raise RemoteProtocolError(
            f"the master playlist has {entry_count} entries; at most {MASTER_ENTRY_COUNT_MAX}"
        )
    return _parse("\n".join(kept))


def read_media(text: bytes, url: str, budget: SegmentBudget) -> MediaPlaylist:
    """The segments of a media playlist fetched from `url`."""
    lines = playlist_lines(text)
    if is_master(lines):
        raise RemoteProtocolError(f"{shown(url)} is a master playlist where a media one belongs")
    return read_media_lines(lines, url, budget)


def read_media_lines(lines: Sequence[str], url: str, budget: SegmentBudget) -> MediaPlaylist:
    """As `read_media`, from the lines of what is no master."""
    if "#EXT-X-ENDLIST" not in lines:
        raise RemoteProtocolError(
            f"playlist {shown(url)} has no EXT-X-ENDLIST: live streams are not supported"
        )
    if "#EXT-X-I-FRAMES-ONLY" in lines:
        raise RemoteProtocolError(f"playlist {shown(url)} has I-frames only")
    found = _read_segments(lines, url, budget)
    sizes = [size for size in found.sizes_bytes if size is not None]
    return MediaPlaylist(
        init=found.inits[0].init,
        later_inits=tuple(found.inits[1:]),
        segments=SegmentTable(
            Times(found.starts_s, found.durations_s),
            read_places(found.references, url),
            ranges=Ranges(found.ranges) if any(found.ranges) else None,
        ),
        rates_kbps=rates_kbps(sizes, found.durations_s)
        if len(sizes) == len(found.sizes_bytes)
        else None,
    )


class _Found:
    """What the lines of segments say, segment by segment."""

    def __init__(self) -> None:
        self.references: list[str] = []
        self.starts_s: list[float] = []
        self.durations_s: list[float] = []
        self.ranges: list[ByteRange | None] = []
        self.sizes_bytes: list[int | None] = []
        """As told, or estimated from the rate that is told."""
        self.inits: list[InitChange] = []


def _read_segments(lines: Sequence[str], url: str, budget: SegmentBudget) -> _Found:
    found = _Found()
    ends: dict[str, int] = {}
    start_s = 0.0
    length_s: float | None = None
    range_text: str | None = None
    rate_kbps: int | None = None
    map_line, told_map = "", None
    is_gap = False
    lengths_s: dict[str, float] = {}  # all but the last are often the same
    line_no = 0
    try:
        for line_no, line in enumerate(lines, start=1):  # noqa: B007 - an error names it
            if line.startswith("#EXTINF:"):
                length_s = lengths_s.get(line)
                if length_s is None:
                    length_s = lengths_s[line] = _length_s(line)
            elif not line.startswith("#"):
                if not line:
                    continue
                if length_s is None:
                    raise RemoteProtocolError(f"segment {shown(line)} has no EXTINF")
                byte_range = None
                size_bytes = None
                if range_text is not None:  # EXT-X-BITRATE does not apply to these
                    byte_range = _byte_range(range_text, line, ends)
                    size_bytes = byte_range.size_bytes
                elif rate_kbps is not None:
                    size_bytes = round(bytes_per_s_from_kbps(rate_kbps) * length_s)
                if not is_gap:
                    found.references.append(line)
                    found.starts_s.append(start_s)
                    found.durations_s.append(length_s)
                    found.ranges.append(byte_range)
                    found.sizes_bytes.append(size_bytes)
                    if map_line != told_map:
                        found.inits.append(InitChange(start_s=start_s, init=_init(map_line, url)))
                        told_map = map_line
                        if len(found.inits) > INIT_CHANGES_MAX:
                            raise RemoteProtocolError(f"more than {INIT_CHANGES_MAX} EXT-X-MAP")
                start_s += length_s
                length_s = range_text = None
                is_gap = False
            elif line.startswith("#EXT-X-BYTERANGE:"):
                range_text = line.partition(":")[2]
            elif line.startswith("#EXT-X-BITRATE:"):
                rate_kbps = _bitrate(line)
            elif line.startswith("#EXT-X-MAP:"):
                map_line = line
            elif line == "#EXT-X-GAP":
                is_gap = True
    except RemoteProtocolError as error:
        raise RemoteProtocolError(f"line {line_no}: {error}") from error
    budget.take(len(found.references))
    if not found.references:
        raise RemoteProtocolError(f"playlist {shown(url)} has no segments")
    if start_s > DURATION_S_MAX:
        raise RemoteProtocolError(f"playlist {shown(url)} lasts longer than a week")
    return found


def _length_s(line: str) -> float:
    text = line[len("#EXTINF:") :].partition(",")[0]
    try:
        value = float(text)
    except ValueError as error:
        raise RemoteProtocolError(f"EXTINF is not a number: {shown(text)}") from error
    return duration_s(value, "EXTINF")


def _init(map_line: str, url: str) -> Segment | None:
    """What an EXT-X-MAP line says; None where there is none."""
    if not map_line:
        return None
    sections = _parse(f"#EXTM3U\n{map_line}")["segment_map"]
    uri = sections[0].get("uri") if sections else None
    if not uri:
        raise RemoteProtocolError(f"playlist {shown(url)} has an EXT-X-MAP without URI")
    place = join(url, uri)
    text = sections[0].get("byterange")
    byte_range = None if text is None else _byte_range(text, place, {place: 0})
    return Segment(
        url=place,
        start_s=0.0,
        duration_s=0.0,
        byte_range=byte_range,
        size_bytes=None if byte_range is None else byte_range.size_bytes,
    )


def _byte_range(text: str, place: str, ends: dict[str, int]) -> ByteRange:
    """`length[@first]`; without `first` it goes on where the last range of that file ended."""
    match = _BYTE_RANGE.fullmatch(text.strip())
    if match is None:
        raise RemoteProtocolError(f"not a byte range: {shown(text)}")
    length = int(match[1])
    first = ends.get(place) if match[2] is None else int(match[2])
    if first is None:
        raise RemoteProtocolError(f"byte range {shown(text)} follows none of the same file")
    if length == 0 or first + length > BYTE_OFFSET_MAX:
        raise RemoteProtocolError(f"byte range {shown(text)} is empty or out of bounds")
    ends[place] = first + length
    return ByteRange(first, first + length - 1)


def _bitrate(line: str) -> int | None:
    """In kbit/s; advice only, so nonsense is as good as none."""
    text = line.partition(":")[2].strip()
    value = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0
    return value if 0 < value <= kbps_from_bps(RATE_BPS_MAX) else None


def _parse(text: str) -> Mapping[str, Any]:
    try:
        data: Mapping[str, Any] = m3u8.parser.parse(text)
    except Exception as error:
        # The library has no error of its own for bad values: ValueError, KeyError, OverflowError,
        # AttributeError and TypeError have been seen.
        reason = shown(f"{type(error).__name__}: {error}")
        raise RemoteProtocolError(f"the playlist cannot be read: {reason}") from error
    return data
