"""The files that could be placed, and the items that are made of them.

A file is a rendition of a title. Its first minute or so, its *head*, is wanted more often per byte
than the rest, since viewers leave; so a file may be placed as a head and what follows it. The two
are items of falling density, the head first: where the rest would be denser than the head, both are
one item (the concave envelope), and a greedy choice by density never wants a rest without its head.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from origin.catalog import DASH_NAME, Title, media_path
from origin.placement.problem import HEAD, REST, WHOLE, Items


class Files(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One row a file, sorted by title and rendition."""

    titles: tuple[str, ...]
    renditions: tuple[str, ...]
    manifests: tuple[str, ...]
    size_bytes: NDArray[np.int64]
    head_bytes: NDArray[np.int64]
    """0: it is placed as a whole or not at all."""
    head_s: NDArray[np.float64]
    """Media time at which the head ends, at a segment's end."""

    def __post_init__(self) -> None:
        keys = list(zip(self.titles, self.renditions, strict=True))
        assert all(one < two for one, two in pairwise(keys)), "sort the files"
        assert (self.size_bytes > 0).all()
        assert ((self.head_bytes >= 0) & (self.head_bytes < self.size_bytes)).all()

    def __len__(self) -> int:
        return len(self.titles)

    def rows(self) -> dict[tuple[str, str], int]:
        """Row of each (title, rendition)."""
        return {key: row for row, key in enumerate(zip(self.titles, self.renditions, strict=True))}


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One file, before it is a row."""

    title: str
    rendition: str
    manifest: str
    size_bytes: int
    head_bytes: int = 0
    head_s: float = 0.0


def files_of(entries: Iterable[FileEntry]) -> Files:
    """The rows of these files; those without bytes are left out, the first of a name counts."""
    found: dict[tuple[str, str], FileEntry] = {}
    for entry in entries:
        if entry.size_bytes > 0:
            found.setdefault((entry.title, entry.rendition), entry)
    rows = [found[key] for key in sorted(found)]
    return Files(
        titles=tuple(row.title for row in rows),
        renditions=tuple(row.rendition for row in rows),
        manifests=tuple(row.manifest for row in rows),
        size_bytes=np.array([row.size_bytes for row in rows], dtype=np.int64),
        head_bytes=np.array(
            [row.head_bytes if row.head_bytes < row.size_bytes else 0 for row in rows],
            dtype=np.int64,
        ),
        head_s=np.array([row.head_s for row in rows], dtype=np.float64),
    )


def entries_of(title: Title, head_s: float) -> Iterable[FileEntry]:
    """The files of a packaged title, with heads of whole segments that reach `head_s` of media, so
    far as that is less than half of it; 0: without."""
    for one in title.renditions:
        end_s, size_bytes = 0.0, one.init_size_bytes
        for segment in one.segments:
            if end_s >= head_s:
                break
            end_s, size_bytes = (
                segment.start_s + segment.duration_s,
                size_bytes + segment.size_bytes,
            )
        has_head = 0.0 < end_s <= title.duration_s / 2
        yield FileEntry(
            title=title.id,
            rendition=one.rendition.id,
            manifest=media_path(title.id, DASH_NAME),
            size_bytes=one.size_bytes,
            head_bytes=size_bytes if has_head else 0,
            head_s=end_s if has_head else 0.0,
        )


def files_of_titles(titles: Sequence[Title], head_s: float) -> Files:
    return files_of(entry for title in titles for entry in entries_of(title, head_s))


def increments(
    files: Files,
    value_bytes: NDArray[np.floating],  # (file,)
    head_value_bytes: NDArray[np.floating] | None = None,  # (file,)
    held_bytes: NDArray[np.int64] | None = None,  # (file,) or (file, member)
) -> Items:
    """The items of these files: what a whole file saves, how much of it its head does, and what of
    its start is held. Files that save nothing are left out unless they are held in part, since
    what is held counts as replaced when it goes."""
    value = np.maximum(0.0, np.asarray(value_bytes, dtype=np.float64))
    held = np.zeros(len(files), dtype=np.int64) if held_bytes is None else held_bytes
    any_held = held if held.ndim == 1 else held.max(axis=1)
    rows = np.flatnonzero((value > 0.0) | (any_held > 0))
    size, head = files.size_bytes[rows], files.head_bytes[rows]
    value, held = value[rows], held[rows]
    if head_value_bytes is None:
        head_value = np.zeros(len(rows))
    else:
        head_value = np.clip(np.asarray(head_value_bytes, dtype=np.float64)[rows], 0.0, value)
    rest_value = value - head_value
    # Split where the head is denser than what follows it.
    is_split = (head > 0) & (head_value * (size - head) > rest_value * head)
    counts = 1 + is_split
    first = np.cumsum(counts) - counts
    total = int(counts.sum())
    part = np.zeros(total, dtype=np.int8)
    item_size = np.zeros(total, dtype=np.int64)
    item_value = np.zeros(total)
    item_held = np.zeros((total, *held.shape[1:]), dtype=np.int64)
    part[first] = np.where(is_split, HEAD, WHOLE)
    item_size[first] = np.where(is_split, head, size)
    item_value[first] = np.where(is_split, head_value, value)
    limit = item_size[first] if held.ndim == 1 else item_size[first][:, None]
    item_held[first] = np.minimum(held, limit)
    rest = first[is_split] + 1
    part[rest] = REST
    item_size[rest] = (size - head)[is_split]
    item_value[rest] = rest_value[is_split]
    before = head[is_split] if held.ndim == 1 else head[is_split][:, None]
    item_held[rest] = np.maximum(0, np.minimum(held[is_split] - before, held[is_split]))
    return Items(
        file_index=np.repeat(rows, counts),
        part=part,
        size_bytes=item_size,
        value_bytes=item_value,
        held_bytes=item_held,
    )
