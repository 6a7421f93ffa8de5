"""The files an edge should hold, made of the items that were chosen for it."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from origin.placement.files import Files
from origin.placement.inputs import EdgeInput
from origin.placement.problem import HEAD, EdgePlacement, Site
from origin.placement.reserving import Share

FILES_MAX: Final = 200_000
"""Of one edge's plan, so that it stays below what an edge reads; the least worth are left out."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Files, one row each: those that are held, those to fetch, and those for which there is only a
    place; each sort by falling density."""

    file: NDArray[np.int64]
    end_bytes: NDArray[np.int64]  # less than the file's size: its head
    fetch_bytes: NDArray[np.int64]  # up to where it is held or to be fetched; the rest is reserved
    value_bytes: NDArray[np.float64]
    fill_bytes: NDArray[np.int64]  # to be fetched

    @property
    def is_reserved(self) -> NDArray[np.bool_]:
        """Nothing of it is held for certain, or fetched."""
        reserved: NDArray[np.bool_] = self.fetch_bytes == 0
        return reserved


def wanted_files(
    files: Files, site: Site, column: int, placed: EdgePlacement, share: Share
) -> Wanted:
    """A head and its rest are one file again."""
    items = site.items
    copy_no = np.ones(len(items), dtype=np.int64)
    copy_no[placed.chosen] = placed.copy_no
    steps = np.where(copy_no > 1, copy_no * (copy_no - 1), 1)
    value = items.value_bytes * np.where(copy_no > 1, site.spread / steps, 1.0)
    fill = np.zeros(len(items), dtype=np.int64)
    fill[share.placed] = np.maximum(
        0, items.size_bytes[share.placed] - items.held_bytes[share.placed, column]
    )
    rows = np.concatenate([share.placed, share.reserved])
    is_placed = np.arange(len(rows)) < len(share.placed)
    file, of = np.unique(items.file_index[rows], return_inverse=True)
    end = _ends(files, file, of, items.part[rows] != HEAD)
    fetch = np.where(
        np.bincount(of, is_placed, len(file)) > 0,
        _ends(files, file, of, (items.part[rows] != HEAD) & is_placed),
        0,
    )
    return _ordered(
        Wanted(
            file=file,
            end_bytes=end,
            fetch_bytes=fetch,
            value_bytes=np.bincount(of, value[rows], len(file)).astype(np.float64),
            fill_bytes=np.bincount(of, fill[rows], len(file)).astype(np.int64),
        )
    )


def _ends(
    files: Files, file: NDArray[np.int64], of: NDArray[np.intp], is_more: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Where each file ends, of which these rows are more than its head."""
    has_more = np.bincount(of, is_more, len(file)) > 0
    ends: NDArray[np.int64] = np.where(has_more, files.size_bytes[file], files.head_bytes[file])
    return ends


def held_files(files: Files, edge: EdgeInput, pinned_bytes: int) -> Wanted:
    """What an edge holds, as far as it fits: the plan of an edge that fetches nothing."""
    held = np.zeros(len(files), dtype=np.int64) if edge.held_bytes is None else edge.held_bytes
    file = np.flatnonzero(held > 0)
    size, head = files.size_bytes[file], files.head_bytes[file]
    is_whole = held[file] >= size
    is_head = ~is_whole & (head > 0) & (held[file] >= head)
    fetch = np.where(is_whole, size, np.where(is_head, head, 0))
    value = np.maximum(0.0, np.asarray(edge.value_bytes, dtype=np.float64)[file])
    if edge.head_value_bytes is not None:
        value = np.where(is_head, np.minimum(value, edge.head_value_bytes[file]), value)
    found = _ordered(
        Wanted(
            file=file,
            # What is there of one that is not complete stays too, and nothing is added to it.
            end_bytes=np.where(is_head, head, size),
            fetch_bytes=fetch,
            value_bytes=value,
            fill_bytes=np.zeros(len(file), dtype=np.int64),
        )
    )
    fits = np.cumsum(found.end_bytes) <= pinned_bytes
    return _rows(found, np.flatnonzero(fits))


def _ordered(wanted: Wanted) -> Wanted:
    is_fill = wanted.fill_bytes > 0
    density = wanted.value_bytes / np.where(is_fill, wanted.fill_bytes, wanted.end_bytes)
    sort = np.where(wanted.is_reserved, 2, np.where(is_fill, 1, 0))
    return _rows(wanted, np.lexsort((wanted.file, -density, sort))[:FILES_MAX])


def _rows(wanted: Wanted, rows: NDArray[np.int64]) -> Wanted:
    return Wanted(
        file=wanted.file[rows],
        end_bytes=wanted.end_bytes[rows],
        fetch_bytes=wanted.fetch_bytes[rows],
        value_bytes=wanted.value_bytes[rows],
        fill_bytes=wanted.fill_bytes[rows],
    )
