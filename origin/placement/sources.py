"""From whom an edge fetches a planned file: a peer of its cluster, one of its region, the origin.

Of the edges of a cluster that all are to fetch a file, one fetches it first, the *fill master*:
the first by rendezvous hashing of its title, so that the work is shared. The others ask it. Of the
clusters of a region one goes ahead in the same way. Whoever holds a file already comes before
either. An edge is only ever told of edges that come before it in these orders, so nobody waits in a
circle; and who is asked and does not hold the file yet says so, and the next one is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.hashing import ranked

SOURCES_MAX: Final = 8
"""As many as a planned file may name."""
HOLDERS_MAX: Final = 3
"""Of one kind; if three of them fail, more will hardly help."""


class Place(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """An edge that may be fetched from, and what it holds and is about to fetch."""

    edge: str
    site: str
    region: str
    held_bytes: NDArray[np.int64] | None  # (file,), from the start
    fetches: Mapping[int, int]
    """File -> bytes from its start that it will hold when it has fetched them."""


class Sources:
    """Who is asked for which file."""

    def __init__(self, places: Sequence[Place], keys: NDArray[np.uint64]) -> None:  # keys: (file,)
        self._places = sorted(places, key=lambda place: place.edge)
        self._names = [place.edge for place in self._places]
        self._column = {name: column for column, name in enumerate(self._names)}
        files = np.array(sorted({file for place in self._places for file in place.fetches}))
        self._row = {int(file): row for row, file in enumerate(files)}
        order: NDArray[np.int64] = np.zeros((0, len(self._places)), dtype=np.int64)
        if len(files):
            order = ranked(keys[files], self._names, [1.0] * len(self._places))
        # Bytes of each file that each place holds now, and those that it will have fetched.
        self._now = np.zeros((len(files), len(self._places)), dtype=np.int64)
        self._then = np.zeros_like(self._now)
        for column, place in enumerate(self._places):
            if place.held_bytes is not None and len(files):
                self._now[:, column] = place.held_bytes[files]
            for file, end_bytes in place.fetches.items():
                self._then[self._row[file], column] = end_bytes
        self._order = order

    def of(self, edge: str, file: int, end_bytes: int) -> tuple[str, ...]:
        """Whom `edge` asks for the first `end_bytes` of a file that it is about to fetch."""
        row = self._row[file]
        order = self._order[row]
        me = self._column[edge]
        mine = self._places[me]
        holds = order[self._now[row, order] >= end_bytes]
        fetch = order[self._then[row, order] >= end_bytes]
        before = fetch[: int(np.argmax(fetch == me))]
        near = [column for column in holds.tolist() if self._is_near(column, mine)]
        masters = [column for column in before.tolist() if self._is_near(column, mine)]
        far = [column for column in holds.tolist() if self._is_far(column, mine)]
        # The master of a cluster asks that of another that comes before it.
        ahead = [column for column in before.tolist() if self._is_far(column, mine)]
        chosen = [near[:HOLDERS_MAX], masters[:1], far[:HOLDERS_MAX], ahead[:1]]
        return tuple(dict.fromkeys(self._names[column] for group in chosen for column in group))[
            :SOURCES_MAX
        ]

    def _is_near(self, column: int, mine: Place) -> bool:
        place = self._places[column]
        return place.site == mine.site and place.edge != mine.edge

    def _is_far(self, column: int, mine: Place) -> bool:
        place = self._places[column]
        return place.site != mine.site and place.region == mine.region and bool(mine.region)
