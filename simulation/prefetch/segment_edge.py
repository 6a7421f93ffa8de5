"""The same chunks through an edge's own cache, as it is set or with another eviction policy.

The gates are those of the planner's default prices; a backhaul without end is assumed. With
`eviction = "expected"` the cache is told what an edge tells it: who watches which version, who may
go on to the next, and who has left.
"""

from __future__ import annotations

import numpy as np

from edge.config import EdgeConfig, PrefetchConfig
from edge.prefetch.value import threshold
from nearcast.units import bytes_per_s_from_kbps
from predictor.features import FINISHED_PROGRESS
from simulation.prefetch.edge_store import EdgeStore
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
    RENDITIONS,
    Chunks,
    Demand,
    Floats,
    Ints,
    SegmentLog,
)


def replay_edge(
    log: SegmentLog,
    demand: Demand,
    chunks: Chunks,
    scores: Scores,
    following: Ints,  # (item,) -1: none
    *,
    capacity_bytes: int,
    counted_from_s: float,
    eviction: str = EdgeConfig().eviction,
) -> Floats:
    """Figures by kernels.positions."""
    config = PrefetchConfig()
    head_gate, rest_gate = threshold(config, "start"), threshold(config, "rest")
    sizes = chunks.sizes_bytes.tolist()
    store = EdgeStore(
        capacity_bytes,
        sizes,
        trust_per_s=bytes_per_s_from_kbps(config.rate_kbps),
        eviction=eviction,
        group_of=chunks.copy_of.tolist(),
    )
    hopes = store.hopes
    own = demand.sessions
    item = log.item[own]
    successor = following[item]
    has_next = successor >= 0
    start = chunks.first[successor] + log.rendition[own] * chunks.count[successor]
    ahead = np.where(has_next, start, -1).tolist()
    next_copy = (successor * RENDITIONS + log.rendition[own]).tolist()
    copy = (item * RENDITIONS + log.rendition[own]).tolist()
    viewers = log.viewer[own].tolist()
    lengths = chunks.count[successor].tolist()
    halves = (chunks.count[item] // 2).tolist()
    at_half, at_end = scores.at[0][own].tolist(), scores.left[own].tolist()
    ends_s = log.start_s[own] + log.segments[own] * log.segment_s
    whole_s = (log.start_s[own] + log.item_segments[item] * log.segment_s).tolist()
    finished = (log.segments[own] / log.item_segments[item] >= FINISHED_PROGRESS).tolist()
    begun: set[int] = set()
    figures = np.zeros(FIGURES)
    times = np.concatenate([demand.at_s, ends_s + IDLE_S])
    order = np.argsort(times, kind="stable")
    sessions = np.concatenate([demand.session, np.arange(len(own), dtype=np.int32)])
    positions = np.concatenate([demand.chunk, np.full(len(own), -1, dtype=np.int32)])
    numbers = np.concatenate([demand.number, np.full(len(own), -1, dtype=np.int32)])
    now_s = 0.0
    for now_s, session, position, number in zip(
        times[order].tolist(),
        sessions[order].tolist(),
        positions[order].tolist(),
        numbers[order].tolist(),
        strict=True,
    ):
        is_counted = now_s >= counted_from_s
        if number >= 0:
            if hopes is not None and session not in begun:
                begun.add(session)
                until_s = whole_s[session]
                hopes.asked(copy[session], viewers[session], until_s, now_s, is_watching=True)
            is_held, is_first = store.ask(number, now_s)
            if is_counted:
                figures[REQUEST_BYTES] += sizes[number]
                figures[MISS_BYTES] += 0 if is_held else sizes[number]
                figures[USED_BYTES] += sizes[number] if is_first else 0
        elif hopes is not None:
            left_s, is_finished = now_s - IDLE_S, finished[session]
            hopes.left(copy[session], viewers[session], left_s, is_finished=is_finished)
        first = ahead[session]
        if first < 0 or (number >= 0 and position != halves[session]):
            continue
        answers = at_end[session] if number < 0 else at_half[session]
        if hopes is not None:
            since_s = now_s - IDLE_S if number < 0 else whole_s[session]
            hopes.foretold(next_copy[session], viewers[session], since_s, answers, now_s)
        said, chance = store.chance(answers, now_s)
        count = lengths[session] if chance >= rest_gate else int(chance >= head_gate)
        for each in range(first, first + count):
            if store.fetch(each, said, now_s) and is_counted:
                figures[PREFETCH_BYTES] += sizes[each]
    figures[TRUST] = store.trust(now_s)
    return figures
