"""The logs that the table is made on when there is none of one's own."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from predictor.logs.plays import PlaysLog
from simulation.workload import series_workload
from simulation.workload.catalogue import Catalogue
from simulation.workload.generated import series_shelf

Bools = NDArray[np.bool_]


class Year(msgspec.Struct, frozen=True, kw_only=True):
    """A log to replay, by its seed."""

    seed: int
    log: PlaysLog
    goes_further: Bools | None = None
    """(play,) Whether the catalogue has a successor; None: it has those that the log names."""


def goes_further(log: PlaysLog, shelf: Catalogue) -> Bools:
    """(play,) An episode after which the catalogue has another, played by anyone or not."""
    # The series of a drawn log are named by their numbers in the catalogue.
    number = np.array([int(name.lstrip("s")) for name in log.series_names], dtype=np.int64)
    is_episode = log.series >= 0
    series = number[np.maximum(log.series, 0)] if len(number) else np.zeros(len(log), np.int64)
    is_last = (log.season >= shelf.season_count[series]) & (
        log.episode >= shelf.season_length[series]
    )
    return np.asarray(is_episode & ~is_last)


def years(seeds: Iterable[int], *, viewers: int, days: float) -> list[Year]:
    """One for each seed. With other than the measured number of viewers or days the catalogue is
    not scaled: fewer viewers share less."""
    found = []
    for seed in seeds:
        log = series_workload(seed, viewers=viewers, days=days)
        further = goes_further(log, series_shelf(seed, days=days))
        found.append(Year(seed=seed, log=log, goes_further=further))
    return found
