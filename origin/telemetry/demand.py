"""What was wanted, as arrays for the forecast: columns of one row per hour, edge and rendition.

There may be millions of rows. They are taken in a few thousand at a time, so that an origin that
reads them goes on answering in between, and are put in order at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

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


class _Rows:
    """Rows of an hour, some names and some figures, in arrays."""

    def __init__(self, name_count: int, figure_count: int) -> None:
        self._names: tuple[dict[str, int], ...] = tuple({} for _ in range(name_count))
        self._keys: list[NDArray[np.int64]] = []
        self._figures: list[NDArray[np.float64]] = []
        self._figure_count = figure_count

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        columns = list(zip(*rows, strict=True))
        keys = [np.array(columns[0], dtype=np.int64)]
        for known, names in zip(self._names, columns[1 : 1 + len(self._names)], strict=True):
            keys.append(
                np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int64)
            )
        self._keys.append(np.stack(keys))
        figures = columns[1 + len(self._names) :]
        self._figures.append(np.array(figures, dtype=np.float64))

    def ordered(
        self,
    ) -> tuple[tuple[tuple[str, ...], ...], NDArray[np.int64], NDArray[np.float64]]:
        """Names of each kind, sorted; keys (hour and indices, rows) and figures (figure, rows)."""
        empty_keys = np.zeros((1 + len(self._names), 0), dtype=np.int64)
        keys = np.concatenate([empty_keys, *self._keys], axis=1)
        figures = np.concatenate([np.zeros((self._figure_count, 0)), *self._figures], axis=1)
        sorted_names = tuple(tuple(sorted(known)) for known in self._names)
        for index, (known, names) in enumerate(zip(self._names, sorted_names, strict=True)):
            place = np.zeros(len(names), dtype=np.int64)
            place[[known[name] for name in names]] = np.arange(len(names))
            keys[1 + index] = place[keys[1 + index]]
        order = np.lexsort(keys[::-1])
        return sorted_names, keys[:, order], figures[:, order]


class DemandRows:
    """Takes rows of the table of demand, in any order."""

    def __init__(self) -> None:
        self._rows = _Rows(3, 5)

    def add(self, rows: Sequence[DemandRow]) -> None:
        self._rows.add(rows)

    def columns(self) -> DemandColumns:
        (edges, titles, renditions), keys, figures = self._rows.ordered()
        return DemandColumns(
            edges=edges,
            titles=titles,
            renditions=renditions,
            hour_wall_s=keys[0],
            edge=keys[1].astype(np.int32),
            title=keys[2].astype(np.int32),
            rendition=keys[3].astype(np.int32),
            client_bytes=figures[0],
            resident_bytes=figures[1],
            origin_bytes=figures[2],
            head_bytes=figures[3],
            session_count=figures[4],
        )


class WantedRows:
    """Takes rows of the table of what is wanted next, in any order."""

    def __init__(self) -> None:
        self._rows = _Rows(2, 1)

    def add(self, rows: Sequence[WantedRow]) -> None:
        self._rows.add(rows)

    def columns(self) -> WantedColumns:
        (edges, titles), keys, figures = self._rows.ordered()
        return WantedColumns(
            edges=edges,
            titles=titles,
            hour_wall_s=keys[0],
            edge=keys[1].astype(np.int32),
            title=keys[2].astype(np.int32),
            session_count=figures[0],
        )


def demand_columns(rows: Iterable[DemandRow]) -> DemandColumns:
    """All at once: for few."""
    taken = DemandRows()
    taken.add(tuple(rows))
    return taken.columns()


def wanted_columns(rows: Iterable[WantedRow]) -> WantedColumns:
    """All at once: for few."""
    taken = WantedRows()
    taken.add(tuple(rows))
    return taken.columns()
