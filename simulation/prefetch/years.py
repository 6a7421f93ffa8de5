"""The logs that the table is made on when there is none of one's own."""

from __future__ import annotations

from collections.abc import Iterable

from predictor.logs.plays import PlaysLog
from simulation.workload import series_workload


def years(seeds: Iterable[int], *, viewers: int, days: float) -> list[tuple[int, PlaysLog]]:
    """A log for each seed. With other than the measured number of viewers or days the catalogue
    is not scaled: fewer viewers share less."""
    return [(seed, series_workload(seed, viewers=viewers, days=days)) for seed in seeds]
