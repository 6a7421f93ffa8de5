"""Which series each viewer has open, the one watched last in front, and where in it they are."""

from __future__ import annotations

from typing import Final

import numpy as np

from predictor.viewing.course import Bools, Floats, Ints

SERIES_OPEN: Final = 6
"""Series a viewer may come back to."""

_COLUMNS = ("series", "episode", "is_left", "liking")


class OpenSeries:
    """Columns (viewer, slot); slot 0 is in front, and an empty slot has the series -1."""

    def __init__(self, viewers: int) -> None:
        shape = (viewers, SERIES_OPEN)
        self.series = np.full(shape, -1, dtype=np.int64)
        self.episode = np.zeros(shape, dtype=np.int64)  # watched last, or now
        self.is_left = np.zeros(shape, dtype=bool)  # that episode, before its end
        self.liking = np.zeros(shape)  # log-odds

    def keep(self, chosen: Bools) -> None:
        """Go on with these viewers alone."""
        for name in _COLUMNS:
            setattr(self, name, getattr(self, name)[chosen])

    def bring_forward(self, at: Ints, slot: Ints) -> None:
        """For the viewers `at`, the series of that slot moves to the front."""
        # (viewer, slot): the slot itself first, then the others in their order.
        order = np.argsort(np.arange(SERIES_OPEN) != slot[:, None], axis=1, kind="stable")
        for name in _COLUMNS:
            values = getattr(self, name)
            values[at] = np.take_along_axis(values[at], order, axis=1)

    def open(self, at: Ints, series: Ints, episode: Ints, liking: Floats) -> None:
        """Another series in front for the viewers `at`; the last slot's is forgotten."""
        new = {"series": series, "episode": episode, "is_left": False, "liking": liking}
        for name, values in new.items():
            column = getattr(self, name)
            column[at, 1:] = column[at, :-1]
            column[at, 0] = values
        # One series is open once: where it was open already, the older mark goes.
        again = self.series[at, 1:] == series[:, None]
        self.series[at, 1:] = np.where(again, -1, self.series[at, 1:])
