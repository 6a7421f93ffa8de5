"""What could be had by files pinned at midnight, if the day's demand were known."""

from __future__ import annotations

from simulation.placement.options import Options
from simulation.placement.planners.daily import DailyPlanner, bytes_by_day
from simulation.placement.residency import Floats
from simulation.placement.trace import Trace

HYBRID_SHARE = 0.6


class _Known:
    def __init__(self, trace: Trace) -> None:
        self._by_day = bytes_by_day(trace)

    def of(self, edge: int, day: int) -> Floats:
        found: Floats = self._by_day[edge, :, day]
        return found


def oracle(trace: Trace, capacity_bytes: float, options: Options) -> DailyPlanner:
    return DailyPlanner(trace, capacity_bytes, _Known(trace), pinned_share=1.0, first_day=0)


def oracle_hybrid(trace: Trace, capacity_bytes: float, options: Options) -> DailyPlanner:
    share = HYBRID_SHARE
    return DailyPlanner(trace, capacity_bytes, _Known(trace), pinned_share=share, first_day=0)
