"""From whom an edge fetches a planned file: a peer of its cluster, one of its region, the origin.

Of the edges of a cluster that all are to fetch a file, one fetches it first, the *fill master*:
the first by rendezvous hashing of its title, so that the work is shared. The others ask it. Of the
clusters of a region one goes ahead in the same way. Whoever holds a file already comes before
either. An edge is only ever told of edges that come before it in these orders, so nobody waits in a
circle; and who is asked and does not hold the file yet says so, and the next one is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.hashing import ranked

HOLDERS_MAX: Final = 3
"""Of one kind; if three of them fail, more will hardly help. With the masters that makes eight, as
many as a planned file may name."""


class Place(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """An edge that may be fetched from, and what it holds and is about to fetch."""

    edge: str
    site: str
    region: str
    held_bytes: NDArray[np.int64] | None  # (file,), from the start
    fetch_file: NDArray[np.int64]
    """Files it is about to fetch, each once."""
    fetch_bytes: NDArray[np.int64]
    """Bytes from their start that it will hold then."""


class Sources:
    """Who is asked for which file."""

    def __init__(self, places: Sequence[Place], keys: NDArray[np.uint64]) -> None:  # keys: (file,)
        self._places = sorted(places, key=lambda place: place.edge)
        self._names = [place.edge for place in self._places]
        fetched = [place.fetch_file for place in self._places]
        files = np.unique(np.concatenate(fetched)) if fetched else np.zeros(0, dtype=np.int64)
        self._files = files
        shape = (len(files), len(self._places))
        # Where each place comes in the order of each file; bytes of it that each holds now, and
        # those that it will have fetched.
        self._rank = np.zeros(shape, dtype=np.int16)
        self._now = np.zeros(shape, dtype=np.int64)
        self._then = np.zeros(shape, dtype=np.int64)
        if not len(files):
            return
        order = ranked(keys[files], self._names, [1.0] * len(self._places))
        np.put_along_axis(self._rank, order, np.arange(shape[1], dtype=np.int16)[None, :], axis=1)
        for column, place in enumerate(self._places):
            if place.held_bytes is not None:
                self._now[:, column] = place.held_bytes[files]
            self._then[np.searchsorted(files, place.fetch_file), column] = place.fetch_bytes

    def of(self, edge: str) -> list[tuple[str, ...]]:
        """Whom `edge` asks for each of the files that it is about to fetch."""
        me = self._names.index(edge)
        mine = self._places[me]
        count = len(mine.fetch_file)
        near = [
            column
            for column, place in enumerate(self._places)
            if place.site == mine.site and column != me
        ]
        far = [
            column
            for column, place in enumerate(self._places)
            if place.site != mine.site and place.region == mine.region and mine.region
        ]
        if not count or not (near or far):
            return [()] * count
        rows = np.searchsorted(self._files, mine.fetch_file)
        # Who holds it, and who fetches it before; of the cluster first, then of the region.
        groups = [
            self._first(rows, columns, mine.fetch_bytes, self._rank[rows, me], is_now, most)
            for columns in (near, far)
            for is_now, most in ((True, HOLDERS_MAX), (False, 1))
        ]
        found = np.concatenate(groups, axis=1)
        # Few ways to choose make up for many files.
        known: dict[tuple[int, ...], tuple[str, ...]] = {}
        named = []
        for chosen in map(tuple, found.tolist()):
            names = known.get(chosen)
            if names is None:
                names = tuple(self._names[column] for column in chosen if column >= 0)
                known[chosen] = names
            named.append(names)
        return named

    def _first(
        self,
        rows: NDArray[np.int64],
        columns: Sequence[int],
        end_bytes: NDArray[np.int64],
        my_rank: NDArray[np.int16],
        is_now: bool,
        most: int,
    ) -> NDArray[np.int64]:  # (row, at most `most`): columns, -1 for none
        """Of these places the first ones that have the file."""
        at = np.array(columns, dtype=np.int64)
        rank = self._rank[np.ix_(rows, at)]
        if is_now:
            has = self._now[np.ix_(rows, at)] >= end_bytes[:, None]
        else:
            has = self._then[np.ix_(rows, at)] >= end_bytes[:, None]
            has &= rank < my_rank[:, None]
        nobody = np.iinfo(np.int16).max
        ranks = np.where(has, rank, nobody)
        order = np.argsort(ranks, axis=1, kind="stable")[:, :most]
        return np.where(np.take_along_axis(ranks, order, axis=1) < nobody, at[order], -1)
