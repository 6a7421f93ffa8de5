"""What was wanted, as arrays for the forecast: columns of one row per hour, edge and rendition.

There may be millions of rows. They are taken in some hundred at a time, in any order, and are kept
by the hour, so that who reads them again reads only the hours of which more was told meanwhile.
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


_Keys = NDArray[np.int32]


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
    """Rows of an hour, some names and some figures, in arrays: a pair for each hour, in order."""

    def __init__(self, name_count: int, figure_count: int) -> None:
        self._names: tuple[dict[str, int], ...] = tuple({} for _ in range(name_count))
        self._new: list[tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]] = []
        self._hours: dict[int, tuple[NDArray[np.int32], NDArray[np.float64]]] = {}
        self._figure_count = figure_count

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        hours, *columns = zip(*rows, strict=True)
        count = len(self._names)
        keys = [
            np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int32)
            for known, names in zip(self._names, columns[:count], strict=True)
        ]
        figures = np.array(columns[count:], dtype=np.float64)
        self._new.append((np.array(hours, dtype=np.int64), np.stack(keys), figures))

    def forget(self, hours: Iterable[int]) -> None:
        """What was told of these so far."""
        self._settle(self._places())
        for hour in hours:
            self._hours.pop(hour, None)

    def ordered(
        self,
    ) -> tuple[tuple[tuple[str, ...], ...], NDArray[np.int64], _Keys, NDArray[np.float64]]:
        """Names of each kind, sorted; hours (row,), keys (kind, row) and figures (figure, row)."""
        places = self._places()
        self._settle(places)
        blocks = [self._hours[hour] for hour in sorted(self._hours)]
        counts = [keys.shape[1] for keys, _ in blocks]
        hours = np.repeat(np.array(sorted(self._hours), dtype=np.int64), counts)
        no_keys = np.zeros((len(self._names), 0), dtype=np.int32)
        keys = np.concatenate([no_keys, *(one for one, _ in blocks)], axis=1)
        no_figures = np.zeros((self._figure_count, 0))
        figures = np.concatenate([no_figures, *(one for _, one in blocks)], axis=1)
        names = tuple(tuple(sorted(known)) for known in self._names)
        return names, hours, _placed(keys, places), figures

    def _settle(self, places: Sequence[NDArray[np.int32]]) -> None:
        """Put what is new to its hours. Their order is that of names, which others that come do not
        change."""
        if not self._new:
            return
        hours = np.concatenate([one for one, _, _ in self._new])
        keys = np.concatenate([one for _, one, _ in self._new], axis=1)
        figures = np.concatenate([one for _, _, one in self._new], axis=1)
        self._new = []
        order = np.argsort(hours, kind="stable")
        found, first = np.unique(hours[order], return_index=True)
        for hour, rows in zip(found.tolist(), np.split(order, first[1:]), strict=True):
            block, values = keys[:, rows], figures[:, rows]
            if hour in self._hours:
                block = np.concatenate([self._hours[hour][0], block], axis=1)
                values = np.concatenate([self._hours[hour][1], values], axis=1)
            sorted_rows = np.lexsort(_placed(block, places)[::-1])
            self._hours[hour] = block[:, sorted_rows], values[:, sorted_rows]

    def _places(self) -> list[NDArray[np.int32]]:
        """Of each kind, from the number of a name to its place in their order."""
        found = []
        for known in self._names:
            place = np.zeros(len(known), dtype=np.int32)
            place[[known[name] for name in sorted(known)]] = np.arange(len(known))
            found.append(place)
        return found


def _placed(keys: _Keys, places: Sequence[NDArray[np.int32]]) -> _Keys:
    if not keys.shape[1]:
        return keys
    return np.stack([place[numbers] for place, numbers in zip(places, keys, strict=True)])


class DemandRows:
    """Takes rows of the table of demand, in any order, and keeps them by the hour."""

    def __init__(self) -> None:
        self._rows = _Rows(3, 5)

    def add(self, rows: Sequence[DemandRow]) -> None:
        self._rows.add(rows)

    def forget(self, hours: Iterable[int]) -> None:
        """What was told of hours that begin at these wall times."""
        self._rows.forget(hours)

    def columns(self) -> DemandColumns:
        (edges, titles, renditions), hours, keys, figures = self._rows.ordered()
        return DemandColumns(
            edges=edges,
            titles=titles,
            renditions=renditions,
            hour_wall_s=hours,
            edge=keys[0],
            title=keys[1],
            rendition=keys[2],
            client_bytes=figures[0],
            resident_bytes=figures[1],
            origin_bytes=figures[2],
            head_bytes=figures[3],
            session_count=figures[4],
        )


class WantedRows:
    """Takes rows of the table of what is wanted next, in any order, and keeps them by the hour."""

    def __init__(self) -> None:
        self._rows = _Rows(2, 1)

    def add(self, rows: Sequence[WantedRow]) -> None:
        self._rows.add(rows)

    def forget(self, hours: Iterable[int]) -> None:
        """What was told of hours that begin at these wall times."""
        self._rows.forget(hours)

    def columns(self) -> WantedColumns:
        (edges, titles), hours, keys, figures = self._rows.ordered()
        return WantedColumns(
            edges=edges,
            titles=titles,
            hour_wall_s=hours,
            edge=keys[0],
            title=keys[1],
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
