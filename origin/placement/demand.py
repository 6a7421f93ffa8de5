"""What a forecast is given: the titles there are, and hour by hour what edges reported of them.

Everything is numbered: edges, titles and renditions by their position. Nothing here names a viewer;
"about to want the next episode" arrives as a count of viewings that got half through one.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

WATCHED_BINS: Final = 20
"""How far people watch is counted in so many equal parts of a title."""


class Titles(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Films and episodes, one row each."""

    genre: Ints  # (title,) from 0; -1: nobody said; what genres there are is the operator's
    is_film: NDArray[np.bool_]  # (title,)
    episode: Ints  # (title,) from 0; of films too
    series: Ints  # (title,) from 0; a film is one of its own
    successor: Ints  # (title,) the episode that follows; -1: none
    release_hour: Floats  # (title,) in hours on the clock of the demand; -inf: there from the start
    duration_s: Floats  # (title,)
    size_bytes: Floats  # (title, rendition) 0: there is no such rendition

    def __post_init__(self) -> None:
        count = len(self.genre)
        for name in self.__struct_fields__:
            assert len(getattr(self, name)) == count, f"{name} has another length"
        assert self.size_bytes.ndim == 2
        assert count == 0 or int(self.genre.min()) >= -1

    def __len__(self) -> int:
        return len(self.genre)


class HourDemand(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What became known in one hour, of all edges; rows may come in any order and repeat."""

    edge: Ints  # (row,)
    title: Ints  # (row,)
    rendition: Ints  # (row,)
    sessions: Floats  # (row,) viewings that began
    next_edge: Ints  # (pending,)
    next_title: Ints  # (pending,) the episode that follows the one of which they saw half
    next_sessions: Floats  # (pending,)
    watched: Floats  # (2, WATCHED_BINS) viewings that ended in each part: of episodes, of films


def no_demand() -> HourDemand:
    """An hour in which nothing was reported."""
    none, nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
    return HourDemand(
        edge=none,
        title=none,
        rendition=none,
        sessions=nothing,
        next_edge=none,
        next_title=none,
        next_sessions=nothing,
        watched=np.zeros((2, WATCHED_BINS)),
    )
