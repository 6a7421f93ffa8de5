"""Find the segments of a media file that has its index inside.

An MPD says where the file is and, mostly, at which bytes of it the index is. An `IndexReader` says
which bytes it wants next, is given them, and ends with the segments. Where the MPD does not say
where the index is, the file's boxes are gone through from its beginning. An index may refer to
others further back (hierarchical, or a chain); they are fetched one by one.

Every step goes forward in the file, and their number is bounded, so that reading ends whatever the
file holds.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Final

import msgspec

from nearcast.errors import RemoteProtocolError
from nearcast.manifests.limits import BYTE_OFFSET_MAX, DURATION_S_MAX, SegmentBudget, shown
from nearcast.manifests.sidx import HEADER_BYTES, Box, SegmentIndex, read_box, read_sidx
from nearcast.media import ByteRange

PROBE_BYTES: Final = 16 * 1024
"""Asked for where the size of an index is not known: enough for an hour in four-second segments."""

INDEX_BYTES_MAX: Final = 1024 * 1024
"""A sidx box holds at most 65535 entries of 12 bytes."""

INDEXES_MAX: Final = 256
"""Of one representation: a two-hour film of which each half minute has an index of its own."""

BOXES_MAX: Final = 32
"""Passed over before the index: ftyp, moov, free and a few of a packager's own."""

_NO_INDEX_BEHIND: Final = ("moof", "mdat")


class IndexPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A file, and at which bytes its index is, where that is known. `offset_s`: the time in the
    media at which the Period begins."""

    url: str
    byte_range: ByteRange | None
    offset_s: Fraction


class FoundIndex(msgspec.Struct, frozen=True, kw_only=True):
    """`first_byte`: where the index is; what comes before it is the initialisation."""

    first_byte: int
    starts_s: tuple[float, ...]
    durations_s: tuple[float, ...]
    ranges: tuple[ByteRange, ...]


class _At(msgspec.Struct, frozen=True):
    """Bytes from `first` on: an index (`duration_s` None), or media."""

    first: int
    size_bytes: int = 0
    start_s: float = 0.0
    duration_s: float | None = None


class IndexReader:
    """Fetch `wanted`, `feed` it what came, until it is None; then `found` is set."""

    def __init__(self, place: IndexPlace, budget: SegmentBudget) -> None:
        self.place = place
        self.found: FoundIndex | None = None
        self.wanted: ByteRange | None = place.byte_range or ByteRange(0, PROBE_BYTES - 1)
        self._budget = budget
        self._window_first = 0
        self._window = b""
        self._asked: ByteRange = self.wanted
        self._position = self.wanted.first
        self._first_byte: int | None = None
        self._box_count = 0
        self._index_count = 0
        self._todo: list[_At] = []  # next one last
        self._media: list[_At] = []

    def feed(self, data: bytes) -> None:
        """The bytes that were wanted are here, or fewer where the file ends.

        Raises RemoteProtocolError.
        """
        assert self.wanted is not None
        self._asked, self.wanted = self.wanted, None
        self._window_first, self._window = self._asked.first, data[: self._asked.size_bytes]
        if self._first_byte is None and not self._find_first():
            return
        while self._todo:
            one = self._todo[-1]
            if one.duration_s is not None:
                self._media.append(one)
                self._todo.pop()
                continue
            if self._index_count == INDEXES_MAX:
                raise RemoteProtocolError(f"more than {INDEXES_MAX} sidx boxes in one file")
            box = self._box(one.first)
            index = None if box is None else self._index(box, one.first)
            if box is None or index is None:
                return
            self._todo.pop()
            self._expand(index, one.first + box.size_bytes)
        self._finish()

    def _find_first(self) -> bool:
        """Look for the first index, box by box; False: more bytes are wanted."""
        while True:
            box = self._box(self._position)
            if box is None:
                return False
            if box.kind == "sidx":
                self._first_byte = self._position
                self._todo.append(_At(self._position))
                return True
            self._box_count += 1
            if box.kind in _NO_INDEX_BEHIND or box.size_bytes == 0:
                raise RemoteProtocolError(f"there is no sidx box before {shown(box.kind)}")
            if self._box_count > BOXES_MAX:
                raise RemoteProtocolError(f"there is no sidx box among the first {BOXES_MAX} boxes")
            self._position += box.size_bytes

    def _box(self, position: int) -> Box | None:
        """The head of the box there; None: more bytes are wanted."""
        offset = position - self._window_first
        head = self._window[offset : offset + HEADER_BYTES] if offset >= 0 else b""
        # The last box of a range may be so short that its head is all there is.
        if len(head) >= HEADER_BYTES or (len(head) >= 8 and head[:4] != b"\0\0\0\1"):
            return read_box(head)
        if self._want(position, HEADER_BYTES):
            return None
        return read_box(head)  # says that it is cut off

    def _index(self, box: Box, position: int) -> SegmentIndex | None:
        """The index there; None: more bytes are wanted."""
        if box.kind != "sidx":
            raise RemoteProtocolError(f"a sidx box refers to {shown(box.kind)} as another index")
        if not 0 < box.size_bytes <= INDEX_BYTES_MAX:
            raise RemoteProtocolError(f"a sidx box of {box.size_bytes} bytes")
        offset = position - self._window_first
        if offset + box.size_bytes > len(self._window) and self._want(position, box.size_bytes):
            return None
        self._index_count += 1
        body = self._window[offset + box.head_bytes : offset + box.size_bytes]
        if len(body) < box.size_bytes - box.head_bytes:
            raise RemoteProtocolError(
                f"the sidx box is cut off: {len(body) + box.head_bytes} of {box.size_bytes} bytes"
            )
        return read_sidx(body)

    def _want(self, position: int, size_bytes: int) -> bool:
        """Ask for these bytes, unless they were asked for and have not come."""
        asked = self._asked
        if asked.first <= position and position + size_bytes - 1 <= asked.last:
            return False
        if position + size_bytes > BYTE_OFFSET_MAX:
            raise RemoteProtocolError("a sidx box refers to bytes out of bounds")
        self.wanted = ByteRange(position, position + max(size_bytes, PROBE_BYTES) - 1)
        return True

    def _expand(self, index: SegmentIndex, media_first: int) -> None:
        """Put the entries of an index in its place."""
        self._budget.take(len(index.references))
        first = media_first + index.media_offset
        ticks = index.start_ticks
        made: list[_At] = []
        for one in index.references:
            if first + one.size_bytes > BYTE_OFFSET_MAX:
                raise RemoteProtocolError("the sidx box refers to bytes out of bounds")
            if one.is_index:
                made.append(_At(first))
            else:
                start_s = self._time_s(ticks, index.timescale)
                length_s = self._time_s(ticks + one.duration_ticks, index.timescale) - start_s
                made.append(_At(first, one.size_bytes, start_s, length_s))
            first += one.size_bytes
            ticks += one.duration_ticks
        self._todo.extend(reversed(made))

    def _time_s(self, ticks: int, timescale: int) -> float:
        offset_s = self.place.offset_s
        over = ticks * offset_s.denominator - offset_s.numerator * timescale
        return over / (timescale * offset_s.denominator)

    def _finish(self) -> None:
        """What lies before the Period is left out, or cut."""
        kept = [one for one in self._media if one.start_s + (one.duration_s or 0.0) > 0]
        if not kept:
            raise RemoteProtocolError("every segment lies before the start of the Period")
        starts_s = [max(0.0, one.start_s) for one in kept]
        ends_s = [one.start_s + (one.duration_s or 0.0) for one in kept]
        lengths_s = [end - start for start, end in zip(starts_s, ends_s, strict=True)]
        if ends_s[-1] > DURATION_S_MAX:
            raise RemoteProtocolError("the sidx box lists media after more than a week")
        if min(lengths_s) <= 0 or any(one >= two for one, two in pairwise(starts_s)):
            raise RemoteProtocolError("the times of the sidx boxes go back")
        assert self._first_byte is not None
        self.found = FoundIndex(
            first_byte=self._first_byte,
            starts_s=tuple(starts_s),
            durations_s=tuple(lengths_s),
            ranges=tuple(ByteRange(one.first, one.first + one.size_bytes - 1) for one in kept),
        )
        self._media.clear()
