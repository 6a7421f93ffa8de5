"""The published comparison: whole files ranked by a score, pinned at midnight, at once.

A file is an item at one rendition, its score the bytes a day it is expected to serve, its density
that over its size. The best by density are pinned, up to a share of the store; the rest of the
store is LRU.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from simulation.placement.replay import Wanted
from simulation.placement.residency import HOUR_S, Floats, Store
from simulation.placement.trace import DAY_HOURS, Trace
from simulation.prefetch.segments import RENDITIONS

_AT_ONCE: Final = 1e30


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
        self.hours = tuple(range(first_day * DAY_HOURS, trace.hours, DAY_HOURS))

    def plan(self, hour: int, stores: Sequence[Store]) -> list[Wanted]:
        return [self._wanted(edge, hour, store) for edge, store in enumerate(stores)]

    def _wanted(self, edge: int, hour: int, store: Store) -> Wanted:
        sizes = self._trace.copy_bytes
        density = self._scores.of(edge, hour // DAY_HOURS) / sizes
        order = np.argsort(-density, kind="stable")
        order = order[density[order] > 0]
        chosen = np.zeros(len(sizes), dtype=np.bool_)
        chosen[order[np.cumsum(sizes[order]) <= self._pinned_bytes]] = True
        is_wanted = chosen[self._trace.chunks.copy_of]
        missing = is_wanted & (store.held < self._trace.chunk_segments)
        return Wanted(
            is_wanted,
            np.flatnonzero(missing).astype(np.int32),
            np.array([[0.0, 1.0]]),
            _AT_ONCE,
            _AT_ONCE,
            _AT_ONCE,
        )


def bytes_by_day(trace: Trace) -> Floats:
    """(edge, copy, day): a viewing counts whole on the day on which it began.

    So the published figures have it: with bytes on the day on which they flow, the oracle hits .720
    at 5 % of the public log and not the .710 that was published.
    """
    log, copies = trace.log, len(trace.copy_bytes)
    edge = np.searchsorted(np.array(trace.edges), log.edge)
    copy = log.item * RENDITIONS + log.rendition
    day = (log.start_s // (DAY_HOURS * HOUR_S)).astype(np.int64)
    asked = log.segments * log.kbps[log.item, log.rendition] * log.segment_s * 125.0
    found = np.zeros((len(trace.edges), copies, trace.days))
    np.add.at(found, (edge, copy, day), asked)
    return found
