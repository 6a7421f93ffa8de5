"""The published comparison: whole files ranked by a score, pinned at midnight, at once.

A file is an item at one rendition, its score the bytes a day it is expected to serve, its density
that over its size. The best by density are pinned, up to a share of the store; the rest of the
store is LRU.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulation.placement.replay import Wanted
from simulation.placement.residency import HOUR_S, Floats
from simulation.placement.trace import DAY_HOURS, Trace


class Scores(Protocol):
    @abstractmethod
    def of(self, edge: int, day: int) -> Floats:
        """(copy,) bytes expected on this day."""


class DailyPlanner:
    """Pins at each midnight from `first_day` on."""

    is_published = True

    def __init__(
        self,
        trace: Trace,
        capacity_bytes: float,
        scores: Scores,
        *,
        pinned_share: float,
        first_day: int = 1,
    ) -> None:
        self._trace = trace
        self._pinned_bytes = pinned_share * capacity_bytes
        self._scores = scores
        self._day = 0
        self.hours = tuple(range(first_day * DAY_HOURS, trace.hours, DAY_HOURS))

    def begin(self, hour: int) -> None:
        self._day = hour // DAY_HOURS

    def wanted(self, edge: int, held: NDArray[np.int64], fill_bytes: float) -> Wanted:
        sizes = self._trace.copy_bytes
        density = self._scores.of(edge, self._day) / sizes
        order = np.argsort(-density, kind="stable")
        order = order[density[order] > 0]
        chosen = np.zeros(len(sizes), dtype=np.bool_)
        chosen[order[np.cumsum(sizes[order]) <= self._pinned_bytes]] = True
        is_wanted = chosen[self._trace.chunks.copy_of]
        missing = is_wanted & (held < self._trace.chunk_segments)
        return Wanted(is_wanted, np.flatnonzero(missing).astype(np.int32))


def bytes_by_day(trace: Trace) -> Floats:
    """(edge, copy, day)"""
    copies = len(trace.copy_bytes)
    found = np.zeros((len(trace.edges), copies, trace.days))
    for edge, requests in enumerate(trace.requests):
        day = (requests.at_s // (DAY_HOURS * HOUR_S)).astype(np.int64)
        day = np.minimum(day, trace.days - 1)
        cell = trace.chunks.copy_of[requests.chunk].astype(np.int64) * trace.days + day
        asked = requests.segments * trace.segment_bytes[requests.chunk]
        found[edge] = np.bincount(cell, asked, copies * trace.days).reshape(copies, trace.days)
    return found
