"""Reading and writing ISO base media boxes, as far as CMAF segments need it (ISO/IEC 14496-12).

libav writes the video boxes, we read them: a stream of `ftyp moov (moof mdat)*` is cut into the
init and the fragments while it is being written, so no rendition is ever held or stored whole.
Audio fragments we write ourselves: libav cuts them by their own duration and drifts away from the
video's segments, and it has no call that PyAV could make to cut one at a given frame.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from nearcast.errors import RemoteProtocolError

# One fragment is one segment: two seconds of 2160p are about 8 MB.
BOX_BYTES_MAX: Final = 512 * 1024 * 1024

_CONTAINERS: Final = frozenset(
    ("moov", "trak", "mdia", "minf", "stbl", "mvex", "moof", "traf", "dinf", "edts")
)
_BASE_IS_MOOF: Final = 0x020000
_NOT_SYNC: Final = 0x00010000
_SYNC_FLAGS: Final = 0x02000000  # depends on no other sample
_HEADER_BYTES: Final = 8


class Box(msgspec.Struct, frozen=True):
    """Where a box lies in a buffer; `first` is its body's first byte, `end` the one after."""

    kind: str
    first: int
    end: int


class FragmentTimes(msgspec.Struct, frozen=True, kw_only=True):
    """What `moof` says about its samples, in ticks of the track."""

    decode_time: int
    presentation_start: int
    presentation_end: int
    sample_count: int
    sync_indices: tuple[int, ...]


class BoxSplitter:
    """A file to write to, which cuts what is written into an init and fragments.

    `on_init` gets `ftyp` and `moov`, `on_fragment` each `moof` with the `mdat` after it. Other
    boxes are dropped. What the callbacks raise comes out of the muxer's call.
    """

    def __init__(
        self, on_init: Callable[[bytes], None], on_fragment: Callable[[bytes], None]
    ) -> None:
        self._on_init = on_init
        self._on_fragment = on_fragment
        self._buffer = bytearray()
        self._held = bytearray()

    def write(self, data: bytes) -> int:
        self._buffer += data
        while len(self._buffer) >= _HEADER_BYTES:
            size_bytes, kind = _header(self._buffer, 0)
            if len(self._buffer) < size_bytes:
                break
            self._box(kind, bytes(self._buffer[:size_bytes]))
            del self._buffer[:size_bytes]
        return len(data)

    def _box(self, kind: str, box: bytes) -> None:
        if kind in ("ftyp", "moof"):
            self._held[:] = box
        elif kind == "moov":
            self._on_init(bytes(self._held) + box)
            self._held.clear()
        elif kind == "mdat" and self._held:
            self._on_fragment(bytes(self._held) + box)
            self._held.clear()


def walk(data: bytes, first: int = 0, end: int | None = None) -> Iterator[Box]:
    """All boxes in `data`, parents before their children. Raises RemoteProtocolError for a size
    that does not fit."""
    end = len(data) if end is None else end
    while first < end:
        if end - first < _HEADER_BYTES:
            raise RemoteProtocolError(f"{end - first} stray bytes where a box should start")
        size_bytes, kind = _header(data, first)
        if first + size_bytes > end:
            raise RemoteProtocolError(f"box {kind!r} of {size_bytes} bytes does not fit")
        box = Box(kind, first + _HEADER_BYTES, first + size_bytes)
        yield box
        if kind in _CONTAINERS:
            yield from walk(data, box.first, box.end)
        first += size_bytes


def find(data: bytes, kind: str) -> Box:
    """The first box of this kind. Raises RemoteProtocolError when there is none."""
    for box in walk(data):
        if box.kind == kind:
            return box
    raise RemoteProtocolError(f"no {kind!r} box")


def timescale(init: bytes) -> int:
    """Ticks per second of the (only) track."""
    box = find(init, "mdhd")
    version = init[box.first]
    return int(struct.unpack_from(">I", init, box.first + (20 if version == 1 else 12))[0])


def edit_shift(init: bytes) -> int:
    """By how many ticks the edit list moves all times towards 0; 0 without one. With pictures
    that are decoded before they are shown, the first is shown at this time of the track."""
    for box in walk(init):
        if box.kind == "elst" and struct.unpack_from(">I", init, box.first + 4)[0] > 0:
            is_wide = init[box.first] == 1
            at = box.first + 8
            media_time = struct.unpack_from(">Qq" if is_wide else ">Ii", init, at)[1]
            return max(0, int(media_time))
    return 0


def avc_codecs(init: bytes) -> str:
    """RFC 6381 name of the H.264 stream, from `avcC`."""
    at = init.find(b"avcC")
    if at < 0 or at + 8 > len(init):
        raise RemoteProtocolError("no 'avcC' box")
    return "avc1." + init[at + 5 : at + 8].hex()


def fragment_times(fragment: bytes, shift: int = 0) -> FragmentTimes:
    """Sample times of a `moof` with one track and one run; `shift` is the init's `edit_shift`."""
    tfhd, tfdt, trun = (find(fragment, kind) for kind in ("tfhd", "tfdt", "trun"))
    default_duration, default_flags = _track_defaults(fragment, tfhd)
    wide = fragment[tfdt.first] == 1
    decode_time = struct.unpack_from(">Q" if wide else ">I", fragment, tfdt.first + 4)[0]

    version, flags, sample_count = _run_head(fragment, trun)
    at = trun.first + 8 + 4 * bool(flags & 0x1)
    first_flags = None
    if flags & 0x4:
        first_flags = struct.unpack_from(">I", fragment, at)[0]
        at += 4
    time, start, end = decode_time, None, decode_time - shift
    sync = []
    for index in range(sample_count):
        duration, sample_flags, offset = default_duration, default_flags, -shift
        if flags & 0x100:
            duration = struct.unpack_from(">I", fragment, at)[0]
            at += 4
        at += 4 * bool(flags & 0x200)
        if flags & 0x400:
            sample_flags = struct.unpack_from(">I", fragment, at)[0]
            at += 4
        if flags & 0x800:
            offset += struct.unpack_from(">i" if version else ">I", fragment, at)[0]
            at += 4
        if index == 0 and first_flags is not None:
            sample_flags = first_flags
        if not sample_flags & _NOT_SYNC:
            sync.append(index)
        shown = time + offset
        start = shown if start is None else min(start, shown)
        end = max(end, shown + duration)
        time += duration
    return FragmentTimes(
        decode_time=decode_time,
        presentation_start=end if start is None else start,
        presentation_end=end,
        sample_count=sample_count,
        sync_indices=tuple(sync),
    )


def audio_fragment(
    samples: Sequence[bytes], *, sequence_no: int, decode_time: int, sample_ticks: int
) -> bytes:
    """`moof` and `mdat` of audio frames that all last `sample_ticks`."""
    sizes = struct.pack(f">{len(samples)}I", *map(len, samples))
    mfhd = _full_box(b"mfhd", 0, 0, struct.pack(">I", sequence_no))
    tfhd = _full_box(
        b"tfhd", 0, _BASE_IS_MOOF | 0x8 | 0x20, struct.pack(">III", 1, sample_ticks, _SYNC_FLAGS)
    )
    tfdt = _full_box(b"tfdt", 1, 0, struct.pack(">Q", decode_time))

    def moof(data_offset: int) -> bytes:
        run = struct.pack(">Ii", len(samples), data_offset) + sizes
        trun = _full_box(b"trun", 0, 0x1 | 0x200, run)
        return _box(b"moof", mfhd + _box(b"traf", tfhd + tfdt + trun))

    # The offset has a fixed width, so the size is known before the offset is.
    return moof(len(moof(0)) + _HEADER_BYTES) + _box(b"mdat", b"".join(samples))


def _header(data: bytes | bytearray, at: int) -> tuple[int, str]:
    size_bytes, raw = struct.unpack_from(">I4s", data, at)
    kind = raw.decode("latin-1")
    if not _HEADER_BYTES <= size_bytes <= BOX_BYTES_MAX:
        raise RemoteProtocolError(f"box {kind!r} claims {size_bytes} bytes")
    return size_bytes, kind


def _track_defaults(data: bytes, tfhd: Box) -> tuple[int, int]:
    flags = int.from_bytes(data[tfhd.first + 1 : tfhd.first + 4], "big")
    at = tfhd.first + 8 + 8 * bool(flags & 0x1) + 4 * bool(flags & 0x2)
    duration = sample_flags = 0
    if flags & 0x8:
        duration = struct.unpack_from(">I", data, at)[0]
        at += 4
    at += 4 * bool(flags & 0x10)
    if flags & 0x20:
        sample_flags = struct.unpack_from(">I", data, at)[0]
    return duration, sample_flags


def _run_head(data: bytes, trun: Box) -> tuple[int, int, int]:
    word, sample_count = struct.unpack_from(">II", data, trun.first)
    return word >> 24, word & 0xFFFFFF, sample_count


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", _HEADER_BYTES + len(body), kind) + body


def _full_box(kind: bytes, version: int, flags: int, body: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags) + body)
