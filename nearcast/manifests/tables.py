"""The segments of a representation, kept as what a manifest says of them.

A title has thousands of segments, an edge knows thousands of titles, and a `Segment` with its URL
is half a kilobyte. So a representation holds a `SegmentTable`, which makes a `Segment` when it is
asked for one: times are runs of equal durations or plain arrays, URLs a template or one long text.
A template takes as much memory for fifty thousand segments as for five.

The other way round, from a URL to its segment, leads through the number in it (`Template.digits`,
`Template.index_of`), or through the hashes of its names (`Names`).
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, repeat, takewhile
from typing import Final, Literal, overload

from nearcast.errors import RemoteProtocolError
from nearcast.manifests.timing import Runs, Timing
from nearcast.media import ByteRange, Segment

NAMES_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of the URLs of one representation that no template gives, folders apart. A query alone is a
reference of two bytes to a URL of thousands."""

FOLDERS_MAX: Final = 256
"""Folders that the segments of a representation are looked for in."""

SAME_NAME_MAX: Final = 16
"""Segments looked at that have the same name and start, and differ in their query."""

SORTED_TOGETHER: Final = 64
"""Parts that names are sorted in, each by itself: sorting holds up all else that a process does."""

TABLE_BYTES: Final = 600
"""What a table costs however few its segments are."""

Slot = tuple[Literal["Number", "Time"], int]
"""What varies in a URL, and how many digits it has at least."""


class Template:
    """URLs by a rule: `pieces` with the numbers or times of `slots` between them."""

    __slots__ = ("_first_no", "_pieces", "_runs", "_slots")

    def __init__(
        self,
        pieces: tuple[str, ...],
        slots: tuple[Slot, ...],
        first_no: int,
        runs: Runs | None = None,
    ) -> None:
        """`runs` are needed where a time is in the URL."""
        self._pieces = pieces
        self._slots = slots
        self._first_no = first_no
        self._runs = runs

    def url(self, index: int) -> str:
        made = self._pieces[0]
        for (name, width), piece in zip(self._slots, self._pieces[1:], strict=True):
            value = self._first_no + index
            if name == "Time":
                assert self._runs is not None
                value = self._runs.start(index)
            made += f"{value:0{width}d}{piece}"
        return made

    def parts(self, count: int) -> Iterator[tuple[str, str]]:
        """Folder and name of each URL."""
        if not self._slots:
            return repeat(split(self.url(0)), count)
        return (split(self.url(index)) for index in range(count))

    @property
    def digits(self) -> tuple[str, str] | None:
        """What is before and after the only digits that vary; None where more than that varies, or
        these digits touch others."""
        if len(self._slots) != 1:
            return None
        before, after = self._pieces
        return None if before[-1:].isdigit() or after[:1].isdigit() else (before, after)

    def index_of(self, value: int) -> int | None:
        """Which segment may have this number in its URL."""
        if self._slots[0][0] == "Number":
            return value - self._first_no
        assert self._runs is not None
        return self._runs.index_of(value)

    @property
    def size_bytes(self) -> int:
        return sum(map(sys.getsizeof, self._pieces))


class Listed:
    """URLs without a rule: the last parts one behind the other, and the folders they are in."""

    __slots__ = ("_are_folders", "_ends", "_folder_nos", "_folders", "_text")

    def __init__(self, urls: Sequence[str]) -> None:
        cuts = [len(split(url)[0]) for url in urls]
        folders: dict[str, int] = {}
        for url, cut in zip(urls, cuts, strict=True):
            folders.setdefault(url[:cut], len(folders))
        self._are_folders = len(folders) <= FOLDERS_MAX
        if not self._are_folders:
            first, last = min(urls), max(urls)  # what these share, all do
            pairs = zip(first, last, strict=False)
            common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            folders, cuts = {urls[0][:common]: 0}, [common] * len(urls)
        if sum(map(len, urls)) - sum(cuts) > NAMES_BYTES_MAX:
            raise RemoteProtocolError("the URLs of the segments are too long")
        self._text = "".join([url[cut:] for url, cut in zip(urls, cuts, strict=True)])
        lengths = (len(url) - cut for url, cut in zip(urls, cuts, strict=True))
        self._ends = array("I", accumulate(lengths))
        self._folders = tuple(folders)
        self._folder_nos = array("I")
        if len(folders) > 1:
            pieces = zip(urls, cuts, strict=True)
            self._folder_nos.extend([folders[url[:cut]] for url, cut in pieces])

    def url(self, index: int) -> str:
        folder = self._folders[self._folder_nos[index] if self._folder_nos else 0]
        return folder + self._text[self._ends[index - 1] if index else 0 : self._ends[index]]

    def parts(self, count: int) -> Iterator[tuple[str, str]]:
        """Folder and name of each URL."""
        if not self._are_folders:
            yield from (split(self.url(index)) for index in range(count))
            return
        start = 0
        for index, end in enumerate(self._ends):
            folder = self._folders[self._folder_nos[index] if self._folder_nos else 0]
            yield folder, self._text[start:end]
            start = end

    @property
    def size_bytes(self) -> int:
        return (
            sys.getsizeof(self._text)
            + sys.getsizeof(self._ends)
            + sys.getsizeof(self._folder_nos)
            + sum(map(sys.getsizeof, self._folders))
        )


class Ranges:
    """The byte ranges of segments, of which some may have none."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, ranges: Iterable[ByteRange | None]) -> None:
        self._firsts, self._lasts = array("Q"), array("Q")
        for one in ranges:
            self._firsts.append(one.first if one is not None else 1)
            self._lasts.append(one.last if one is not None else 0)

    def get(self, index: int) -> ByteRange | None:
        first, last = self._firsts[index], self._lasts[index]
        return ByteRange(first, last) if first <= last else None

    def first(self, index: int) -> int:
        """Where the segment begins in its file."""
        return self._firsts[index] if self._firsts[index] <= self._lasts[index] else 0

    @property
    def size_bytes(self) -> int:
        return sys.getsizeof(self._firsts) + sys.getsizeof(self._lasts)


class Names:
    """Which segments have a name: the last part of a URL, without its query."""

    __slots__ = ("_indexes", "_keys", "folders")

    def __init__(self, parts: Iterable[tuple[str, str]], ranges: Ranges | None) -> None:
        """`parts`: folder and name of each segment's URL."""
        folders: dict[str, None] = {}
        heaps: list[list[int]] = [[] for _ in range(SORTED_TOGETHER)]
        for index, (folder, name) in enumerate(parts):
            if folder not in folders and len(folders) < FOLDERS_MAX:
                folders[folder] = None
            key = _key(name)
            first = 0 if ranges is None else ranges.first(index)
            # In one number, since the garbage collector would look at tuples again and again.
            heaps[key * SORTED_TOGETHER >> 32].append((key << 64 | first) << 32 | index)
        self.folders = tuple(folders)
        self._keys, self._indexes = array("I"), array("I")
        for heap in heaps:
            heap.sort()
            self._keys.extend([one >> 96 for one in heap])
            self._indexes.extend([one & 0xFFFFFFFF for one in heap])

    def find(self, name: str, first_byte: int, ranges: Ranges | None) -> Iterator[int]:
        """Segments that may be meant by this name from this byte on, likeliest first."""
        wanted = _key(name)
        low = bisect_left(self._keys, wanted)
        high = bisect_right(self._keys, wanted, lo=low)
        at = high
        if ranges is not None:
            at = bisect_right(self._indexes, first_byte, lo=low, hi=high, key=ranges.first)
            at = max(at, min(low + 1, high))
        yield from reversed(self._indexes[max(low, at - SAME_NAME_MAX) : at])

    @property
    def size_bytes(self) -> int:
        return (
            sys.getsizeof(self._keys)
            + sys.getsizeof(self._indexes)
            + sum(map(sys.getsizeof, self.folders))
        )


class SegmentTable(Sequence[Segment]):
    """Segments that are made when they are looked at."""

    __slots__ = ("_count", "_places", "_ranges", "_skipped", "_timing", "names")

    def __init__(
        self,
        timing: Timing,
        places: Template | Listed,
        *,
        ranges: Ranges | None = None,
        skipped: int = 0,
    ) -> None:
        """`skipped`: so many at the beginning are not played."""
        self._timing = timing
        self._places = places
        self._ranges = ranges
        self._skipped = skipped
        self._count = len(timing) - skipped
        self.names: Names | None = None
        """Where no template leads from a URL to its segment."""
        if self.template is None or self.template.digits is None:
            self.names = Names(places.parts(len(timing)), ranges)

    @property
    def template(self) -> Template | None:
        return self._places if isinstance(self._places, Template) else None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Segment: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Segment, ...]: ...
    def __getitem__(self, index: int | slice) -> Segment | tuple[Segment, ...]:
        if isinstance(index, slice):
            return tuple(map(self._segment, range(*index.indices(self._count))))
        if not -self._count <= index < self._count:
            raise IndexError(index)
        return self._segment(index % self._count)

    def __iter__(self) -> Iterator[Segment]:
        return map(self._segment, range(self._count))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SegmentTable | tuple):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def with_digits(self, value: int) -> int | None:
        """The segment whose URL may hold this number, where a template has digits."""
        assert self.template is not None
        return self._shown(self.template.index_of(value))

    def with_name(self, name: str, first_byte: int) -> Iterator[int]:
        """The segments that may have this name and play from this byte on, likeliest first."""
        assert self.names is not None
        for found in self.names.find(name, first_byte, self._ranges):
            index = self._shown(found)
            if index is not None:
                yield index

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, nearly."""
        parts = (self._timing, self._places, self._ranges, self.names)
        return TABLE_BYTES + sum(part.size_bytes for part in parts if part is not None)

    def _segment(self, index: int) -> Segment:
        index += self._skipped
        start_s, duration_s = self._timing.times_s(index)
        byte_range = None if self._ranges is None else self._ranges.get(index)
        return Segment(
            url=self._places.url(index),
            start_s=start_s,
            duration_s=duration_s,
            byte_range=byte_range,
            size_bytes=None if byte_range is None else byte_range.size_bytes,
        )

    def _shown(self, index: int | None) -> int | None:
        if index is None or not self._skipped <= index < self._skipped + self._count:
            return None
        return index - self._skipped


def _key(name: str) -> int:
    """32 bits are enough: what has the same is told apart by the whole URL."""
    return hash(name.partition("?")[0]) & 0xFFFFFFFF


def split(url: str) -> tuple[str, str]:
    """A URL's folder, with its slash, and the rest."""
    query_at = url.find("?")
    at = url.rfind("/", 0, len(url) if query_at < 0 else query_at) + 1
    return url[:at], url[at:]
