"""The same chunks through the edge's own cache: S3-FIFO, and prefetches kept apart.

As an edge does it: `cache.index` holds what was asked for by S3-FIFO and what was fetched ahead
until its time is over, and `edge.prefetch.trust` believes the model by the bytes that were used.
The gates are those of the planner's default prices; a backhaul without end is assumed.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from cache.index import CacheConfig, Index
from edge.config import PrefetchConfig
from edge.prefetch.plans import Source
from edge.prefetch.trust import Trust
from nearcast.horizons import within
from nearcast.units import bytes_per_s_from_kbps
from simulation.prefetch.kernels.positions import (
    FIGURES,
    MISS_BYTES,
    PREFETCH_BYTES,
    REQUEST_BYTES,
    TRUST,
    USED_BYTES,
)
from simulation.prefetch.moments import IDLE_S, Scores
from simulation.prefetch.segments import (
    Chunks,
    Demand,
    Floats,
    Ints,
    SegmentLog,
)

_SOURCE: Final[Source] = "model"


class _Edge:
    """One edge's cache and what its planner remembers."""

    def __init__(self, capacity_bytes: int, chunks: Chunks, config: PrefetchConfig) -> None:
        self._sizes = chunks.sizes_bytes.tolist()
        self._index = Index(CacheConfig(capacity_bytes=capacity_bytes, memory_capacity_bytes=0))
        self._trust = Trust(bytes_per_s_from_kbps(config.rate_kbps))
        self._lifetime_s = config.lifetime_s
        self._said: dict[str, float] = {}  # of what was fetched ahead and not used yet
        self.figures = np.zeros(FIGURES)

    def ask(self, number: int, now_s: float, *, is_counted: bool) -> None:
        key, size_bytes = str(number), self._sizes[number]
        self._let_go(self._index.expire(now_s), now_s)
        is_held = key in self._index
        if is_counted:
            self.figures[REQUEST_BYTES] += size_bytes
            self.figures[MISS_BYTES] += 0 if is_held else size_bytes
        if is_held:
            said = self._said.pop(key, None)
            if said is not None:
                self._trust.resolved(_SOURCE, said, size_bytes, now_s, is_used=True)
                if is_counted:
                    self.figures[USED_BYTES] += size_bytes
            self._index.touch(key)
        else:
            self._let_go(self._index.add(key, size_bytes, now_s).evicted, now_s)

    def chance(self, answers: list[float]) -> tuple[float, float]:
        """That it is used within its lifetime: as the model says, and as it is believed."""
        said = within(answers, self._lifetime_s)
        return said, said * self._trust.factor(_SOURCE)

    def fetch(self, number: int, said: float, now_s: float, *, is_counted: bool) -> None:
        key, size_bytes = str(number), self._sizes[number]
        if key in self._index:
            self._index.extend(key, now_s + self._lifetime_s)
            return
        found = self._index.add(key, size_bytes, now_s, prefetch_until_s=now_s + self._lifetime_s)
        self._let_go(found.evicted, now_s)
        if found.refusal is None:
            self._said[key] = said
            if is_counted:
                self.figures[PREFETCH_BYTES] += size_bytes

    def finish(self) -> Floats:
        self.figures[TRUST] = self._trust.factor(_SOURCE)
        return self.figures

    def _let_go(self, keys: tuple[str, ...], now_s: float) -> None:
        for key in keys:
            said = self._said.pop(key, None)
            if said is not None:
                size_bytes = self._sizes[int(key)]
                self._trust.resolved(_SOURCE, said, size_bytes, now_s, is_used=False)


def replay_edge(
    log: SegmentLog,
    demand: Demand,
    chunks: Chunks,
    scores: Scores,
    following: Ints,  # (item,) -1: none
    *,
    capacity_bytes: int,
    counted_from_s: float,
    head_gate: float,
    rest_gate: float,
) -> Floats:
    """Figures by kernels.positions."""
    edge = _Edge(capacity_bytes, chunks, PrefetchConfig())
    own = demand.sessions
    item = log.item[own]
    successor = following[item]
    has_next = successor >= 0
    start = chunks.first[successor] + log.rendition[own] * chunks.count[successor]
    ahead = np.where(has_next, start, -1).tolist()
    lengths = chunks.count[successor].tolist()
    halves = (chunks.count[item] // 2).tolist()
    at_half, at_end = scores.at[0][own].tolist(), scores.left[own].tolist()
    left_s = log.start_s[own] + log.segments[own] * log.segment_s + IDLE_S
    events = len(demand.at_s)
    times = np.concatenate([demand.at_s, left_s])
    order = np.argsort(times, kind="stable")
    sessions = np.concatenate([demand.session, np.arange(len(own), dtype=np.int32)])
    positions = np.concatenate([demand.chunk, np.full(len(own), -1, dtype=np.int32)])
    numbers = np.concatenate([demand.number, np.full(len(own), -1, dtype=np.int32)])
    assert events + len(own) == len(order)
    for now_s, session, position, number in zip(
        times[order].tolist(),
        sessions[order].tolist(),
        positions[order].tolist(),
        numbers[order].tolist(),
        strict=True,
    ):
        is_counted = now_s >= counted_from_s
        if number >= 0:
            edge.ask(number, now_s, is_counted=is_counted)
        first = ahead[session]
        if first < 0 or (number >= 0 and position != halves[session]):
            continue
        said, chance = edge.chance(at_end[session] if number < 0 else at_half[session])
        count = lengths[session] if chance >= rest_gate else int(chance >= head_gate)
        for each in range(first, first + count):
            edge.fetch(each, said, now_s, is_counted=is_counted)
    return edge.finish()
