"""The files an edge should hold, made of the items that were chosen for it."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from origin.placement.files import Files
from origin.placement.inputs import EdgeInput
from origin.placement.problem import HEAD, EdgePlacement, Site

FILES_MAX: Final = 200_000
"""Of one edge's plan, so that it stays below what an edge reads; the least worth are left out."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Files, one row each: those that are held, then those to fetch, both by falling density."""

    file: NDArray[np.int64]
    end_bytes: NDArray[np.int64]  # less than the file's size: its head
    value_bytes: NDArray[np.float64]
    fill_bytes: NDArray[np.int64]  # of it, not there yet


def wanted_files(files: Files, site: Site, column: int, placed: EdgePlacement) -> Wanted:
    """A head and its rest are one file again."""
    items, chosen = site.items, placed.chosen
    copy_no = placed.copy_no
    steps = np.where(copy_no > 1, copy_no * (copy_no - 1), 1)
    worth = np.where(copy_no > 1, site.spread[chosen] / steps, 1.0)
    value = items.value_bytes[chosen] * worth
    fill = np.maximum(0, items.size_bytes[chosen] - items.held_bytes[chosen, column])
    file, of = np.unique(items.file_index[chosen], return_inverse=True)
    has_more = np.zeros(len(file), dtype=np.bool_)
    has_more[of[items.part[chosen] != HEAD]] = True
    end = np.where(has_more, files.size_bytes[file], files.head_bytes[file])
    return _ordered(
        file,
        end,
        np.bincount(of, weights=value, minlength=len(file)).astype(np.float64),
        np.bincount(of, weights=fill, minlength=len(file)).astype(np.int64),
    )


def held_files(files: Files, edge: EdgeInput, pinned_bytes: int) -> Wanted:
    """What an edge holds, as far as it fits: the plan of an edge that fetches nothing."""
    held = np.zeros(len(files), dtype=np.int64) if edge.held_bytes is None else edge.held_bytes
    is_whole = held >= files.size_bytes
    is_head = ~is_whole & (files.head_bytes > 0) & (held >= files.head_bytes)
    file = np.flatnonzero(is_whole | is_head)
    end = np.where(is_whole[file], files.size_bytes[file], files.head_bytes[file])
    value = np.maximum(0.0, np.asarray(edge.value_bytes, dtype=np.float64)[file])
    if edge.head_value_bytes is not None:
        value = np.where(is_whole[file], value, np.minimum(value, edge.head_value_bytes[file]))
    found = _ordered(file, end, value, np.zeros(len(file), dtype=np.int64))
    fits = np.cumsum(found.end_bytes) <= pinned_bytes
    return _rows(found, np.flatnonzero(fits))


def _ordered(
    file: NDArray[np.int64],
    end: NDArray[np.int64],
    value: NDArray[np.float64],
    fill: NDArray[np.int64],
) -> Wanted:
    is_fill = fill > 0
    density = value / np.where(is_fill, fill, end)
    order = np.lexsort((file, -density, is_fill))[:FILES_MAX]
    everything = Wanted(file=file, end_bytes=end, value_bytes=value, fill_bytes=fill)
    return _rows(everything, order)


def _rows(wanted: Wanted, rows: NDArray[np.int64]) -> Wanted:
    return Wanted(
        file=wanted.file[rows],
        end_bytes=wanted.end_bytes[rows],
        value_bytes=wanted.value_bytes[rows],
        fill_bytes=wanted.fill_bytes[rows],
    )
