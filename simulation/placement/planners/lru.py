"""No plan at all: what viewers pull stays until it is the one not asked for the longest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulation.placement.options import Options
from simulation.placement.replay import Wanted
from simulation.placement.trace import Trace


class Pull:
    hours: tuple[int, ...] = ()
    is_published = True

    def begin(self, hour: int) -> None:
        raise AssertionError("it never plans")

    def wanted(self, edge: int, held: NDArray[np.int64], fill_bytes: float) -> Wanted:
        raise AssertionError("it never plans")


def lru(trace: Trace, capacity_bytes: float, options: Options) -> Pull:
    return Pull()
