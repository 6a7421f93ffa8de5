"""The forecast from one plan to the next: what was taken in is kept, and only what is new is fed.

A forecaster goes through all hours of a history in their order, so what it has become by some hour
can be kept, so long as these hours would be told the same again. Edges report late: one that was
cut off for a while brings hours long past. So the one that is kept stops `LATE_HOURS` before the
newest, a copy of it takes the rest, and each hour that it took has a digest. An hour told
otherwise, an edge or a title more, a title released at another time, a history that begins
elsewhere: it goes, and another begins anew. Either way the forecast is, to the bit, that of one
made from nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from origin.placement.demand import Floats, HourDemand, Titles
from origin.placement.forecast import Forecast, Forecaster

LATE_HOURS: Final = 12
"""An edge cut off for less has nothing begun anew; each costs a plan a three-hundredth of what
beginning anew does."""
KEPT_CELLS_MAX: Final = 2_000_000
"""Edges times titles. A million take half a gigabyte, and the copy as much; of more none is
kept."""


class History(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The hours that there are, and of whom."""

    titles: Titles
    first_hour: int
    end_hour: int
    known_since: Floats  # (edge,) see Forecaster
    demand: Callable[[int], HourDemand]
    """Of an hour; without how far people watched..."""
    watched: Floats
    """...which is known of all of them together."""


class KeptForecast:
    """Makes forecasts one after the other; remembers nothing that changes one."""

    def __init__(self, cells_max: int = KEPT_CELLS_MAX) -> None:
        self._cells_max = cells_max
        self._kept: Forecaster | None = None
        self._of = b""
        self._told: list[bytes] = []
        self.taken_count = 0
        """Hours that were fed to forecasters, in all."""

    def forecast(self, history: History) -> Forecast:
        """As of `history.end_hour`."""
        settled_hour = max(history.first_hour, history.end_hour - LATE_HOURS)
        of = _digest_of(history)
        if of != self._of or not self._continues(history, settled_hour):
            self._kept, self._of, self._told = _begun(history), of, []
        forecaster = self._kept
        assert forecaster is not None
        while forecaster.hour < settled_hour:
            demand = history.demand(forecaster.hour)
            self._told.append(_digest(demand))
            self._take(forecaster, demand)
        if len(history.known_since) * len(history.titles) > self._cells_max:
            self._kept, self._of = None, b""
        else:
            forecaster = forecaster.copy()
        while forecaster.hour < history.end_hour:
            demand = history.demand(forecaster.hour)
            if forecaster.hour == history.end_hour - 1:
                demand = msgspec.structs.replace(demand, watched=history.watched)
            self._take(forecaster, demand)
        return forecaster.forecast()

    def _take(self, forecaster: Forecaster, demand: HourDemand) -> None:
        forecaster.take(demand)
        self.taken_count += 1

    def _continues(self, history: History, settled_hour: int) -> bool:
        """Whether all that the kept one took would be told the same again."""
        if self._kept is None or self._kept.hour > settled_hour:
            return False
        hours = range(history.first_hour, self._kept.hour)
        return all(
            _digest(history.demand(hour)) == told
            for hour, told in zip(hours, self._told, strict=True)
        )


def _begun(history: History) -> Forecaster:
    return Forecaster(
        history.titles,
        len(history.known_since),
        first_hour=history.first_hour,
        known_since=history.known_since,
    )


def _digest_of(history: History) -> bytes:
    return _digest(history.titles, history.known_since, np.array([history.first_hour]))


def _digest(record: HourDemand | Titles, *others: NDArray[Any]) -> bytes:
    """Of all arrays in it, and of these."""
    found = hashlib.blake2b(digest_size=16)
    for array in (*(getattr(record, name) for name in record.__struct_fields__), *others):
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.digest()
