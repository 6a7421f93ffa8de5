"""No plan at all: what viewers pull stays until it is the one not asked for the longest."""

from __future__ import annotations

from collections.abc import Sequence

from simulation.placement.options import Options
from simulation.placement.replay import Wanted
from simulation.placement.residency import Store
from simulation.placement.trace import Trace


class Pull:
    hours: tuple[int, ...] = ()
    is_published = True

    def plan(self, hour: int, stores: Sequence[Store]) -> list[Wanted]:
        raise AssertionError("it never plans")


def lru(trace: Trace, capacity_bytes: float, options: Options) -> Pull:
    return Pull()
