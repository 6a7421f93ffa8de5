"""Read the segment index box (`sidx`, ISO/IEC 14496-12, 8.16.3) of a fragmented MP4 file.

The box lists subsegments one behind the other, by size and duration; the first begins
`first_offset` bytes behind the box. An entry may stand for another index instead, with all that
this one covers.
"""

from __future__ import annotations

import re
import struct
from typing import Final, NamedTuple

import msgspec

from nearcast.errors import RemoteProtocolError
from nearcast.manifests.limits import BYTE_OFFSET_MAX, DURATION_S_MAX, TIME_TICKS_MAX, shown

HEADER_BYTES: Final = 16
"""As much as the head of a box takes at most."""

_EBML: Final = (b"\x1a\x45\xdf\xa3", b"\x1c\x53\xbb\x6b")
"""How a WebM file begins, and its index (Cues)."""
_KIND: Final = re.compile(r"[0-9A-Za-z ]{4}")
"""Of the boxes that files are made of; it tells a page of text."""

_KIND_SHIFT: Final = 31
_SIZE_MASK: Final = (1 << _KIND_SHIFT) - 1


class Box(NamedTuple):
    """The head of a box. `size_bytes` is of all of it; 0: up to the end of the file."""

    kind: str
    size_bytes: int
    head_bytes: int


class Reference(NamedTuple):
    """One entry: media, or an index of its own with what it covers."""

    is_index: bool
    size_bytes: int
    duration_ticks: int


class SegmentIndex(msgspec.Struct, frozen=True, kw_only=True):
    """What one box says. `media_offset` counts from the first byte behind the box."""

    timescale: int
    start_ticks: int
    media_offset: int
    references: tuple[Reference, ...]


def read_box(data: bytes) -> Box:
    """The head of the box that begins with `data`, of at least HEADER_BYTES unless it is shorter.

    Raises RemoteProtocolError.
    """
    if data.startswith(_EBML):
        raise RemoteProtocolError("the media is WebM; only MP4 files with a sidx box can be played")
    if len(data) < 8:
        raise RemoteProtocolError(f"a box is cut off after {len(data)} bytes")
    size_bytes, kind = struct.unpack_from(">I4s", data)
    name = kind.decode("latin-1")
    if not _KIND.fullmatch(name):
        raise RemoteProtocolError(f"not an MP4 box: {shown(name)}")
    head_bytes = 8
    if size_bytes == 1:
        if len(data) < 16:
            raise RemoteProtocolError(f"a box is cut off after {len(data)} bytes")
        (size_bytes,) = struct.unpack_from(">Q", data, 8)
        head_bytes = 16
    if size_bytes != 0 and not head_bytes <= size_bytes <= BYTE_OFFSET_MAX:
        raise RemoteProtocolError(f"box {shown(name)} says that it has {size_bytes} bytes")
    return Box(name, size_bytes, head_bytes)


def read_sidx(body: bytes) -> SegmentIndex:
    """The index whose box has this content, its head left out. Raises RemoteProtocolError."""
    version = body[0] if body else 0
    if version > 1:
        raise RemoteProtocolError(f"the sidx box has version {version}, which is not known")
    form = ">IIIIIHH" if version == 0 else ">IIIQQHH"
    at = struct.calcsize(form)
    if len(body) < at:
        raise RemoteProtocolError(f"the sidx box is cut off after {len(body)} bytes")
    _, _, timescale, start, offset, _, count = struct.unpack_from(form, body)
    if timescale == 0:
        raise RemoteProtocolError("the timescale of the sidx box is zero")
    if count == 0:
        raise RemoteProtocolError("the sidx box lists no segments")
    if start > TIME_TICKS_MAX or offset > BYTE_OFFSET_MAX:
        raise RemoteProtocolError("the sidx box begins out of bounds")
    if len(body) < at + 12 * count:
        raise RemoteProtocolError(
            f"the sidx box lists {count} segments and has room for {(len(body) - at) // 12}"
        )
    references = tuple(
        Reference(bool(head >> _KIND_SHIFT), head & _SIZE_MASK, ticks)
        for head, ticks, _ in struct.iter_unpack(">III", body[at : at + 12 * count])
    )
    if not all(one.size_bytes for one in references):
        raise RemoteProtocolError("the sidx box lists a segment without bytes")
    if not all(one.duration_ticks or one.is_index for one in references):
        raise RemoteProtocolError("the sidx box lists a segment without duration")
    if sum(one.duration_ticks for one in references) > DURATION_S_MAX * timescale:
        raise RemoteProtocolError("the sidx box lists more than a week of media")
    return SegmentIndex(
        timescale=timescale, start_ticks=start, media_offset=offset, references=references
    )
