"""What was wanted, as arrays for the forecast: columns of one row per hour, edge and rendition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

DemandRow = tuple[int, str, str, str, int, int, int, int, int]
"""Wall time of the hour, edge, title, rendition; client, resident, origin, head bytes; sessions."""
WantedRow = tuple[int, str, str, int]
"""Wall time of the hour, edge, title, viewers."""


class DemandColumns(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Rows in the order of hour, edge, title, rendition. Names are sorted; rows hold indices."""

    edges: tuple[str, ...]
    titles: tuple[str, ...]
    renditions: tuple[str, ...]
    hour_wall_s: NDArray[np.int64]  # (rows,)
    edge: NDArray[np.int32]  # (rows,)
    title: NDArray[np.int32]  # (rows,)
    rendition: NDArray[np.int32]  # (rows,)
    client_bytes: NDArray[np.float64]  # (rows,)
    resident_bytes: NDArray[np.float64]  # (rows,)
    origin_bytes: NDArray[np.float64]  # (rows,)
    head_bytes: NDArray[np.float64]  # (rows,)
    session_count: NDArray[np.float64]  # (rows,)


class WantedColumns(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Viewers who got half through an episode and had not begun the one that follows: `title`."""

    edges: tuple[str, ...]
    titles: tuple[str, ...]
    hour_wall_s: NDArray[np.int64]  # (rows,)
    edge: NDArray[np.int32]  # (rows,)
    title: NDArray[np.int32]  # (rows,)
    session_count: NDArray[np.float64]  # (rows,)


def demand_columns(rows: Iterable[DemandRow]) -> DemandColumns:
    """From rows of the database, in any order."""
    ordered = sorted(rows)
    columns: tuple[Sequence[object], ...] = tuple(zip(*ordered, strict=True)) or ((),) * 9
    edges, edge = _indexed(columns[1])
    titles, title = _indexed(columns[2])
    renditions, rendition = _indexed(columns[3])
    figures = [np.asarray(column, dtype=np.float64) for column in columns[4:]]
    return DemandColumns(
        edges=edges,
        titles=titles,
        renditions=renditions,
        hour_wall_s=np.asarray(columns[0], dtype=np.int64),
        edge=edge,
        title=title,
        rendition=rendition,
        client_bytes=figures[0],
        resident_bytes=figures[1],
        origin_bytes=figures[2],
        head_bytes=figures[3],
        session_count=figures[4],
    )


def wanted_columns(rows: Iterable[WantedRow]) -> WantedColumns:
    """From rows of the database, in any order."""
    ordered = sorted(rows)
    columns: tuple[Sequence[object], ...] = tuple(zip(*ordered, strict=True)) or ((),) * 4
    edges, edge = _indexed(columns[1])
    titles, title = _indexed(columns[2])
    return WantedColumns(
        edges=edges,
        titles=titles,
        hour_wall_s=np.asarray(columns[0], dtype=np.int64),
        edge=edge,
        title=title,
        session_count=np.asarray(columns[3], dtype=np.float64),
    )


def _indexed(names: Sequence[object]) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    known = tuple(sorted({str(name) for name in names}))
    at = {name: index for index, name in enumerate(known)}
    return known, np.array([at[str(name)] for name in names], dtype=np.int32)
