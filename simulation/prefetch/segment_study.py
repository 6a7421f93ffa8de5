"""How many bytes an edge misses with and without foresight, on segment requests of a log.

Every edge of the log has a cache of its own, of a share of the whole catalogue's bytes. Beside the
bytes missed stands what was fetched ahead: a prefetch only pays where it is asked for. The model
knows of a viewer what the log has of them before, and it is asked half-way and at the end. Wrong
models stand beside the right one: they may cost what they fetch, and must not cost hits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from cache.eviction.s3fifo import S3FifoParams
from edge.config import EdgeConfig, PrefetchConfig
from edge.prefetch.value import threshold
from predictor.viewing.course import successors
from simulation.prefetch.answers import DEFAULT, scores_by
from simulation.prefetch.kernels import positions
from simulation.prefetch.moments import HORIZON_COUNT, IDLE_S, Scores
from simulation.prefetch.requests import requests_of
from simulation.prefetch.segment_edge import replay_edge
from simulation.prefetch.segments import (
    CHUNK_SEGMENTS,
    Chunks,
    Demand,
    Floats,
    SegmentLog,
    chunks_of,
    demand_of,
    plays_log,
)

S3FIFO: Final = "s3fifo"
EDGE: Final = "edge"
EXPECTED: Final = "edge, expected"
RESIDENCY: Final = "residency"
EVICTION_OF: Final = {EDGE: EdgeConfig().eviction, EXPECTED: "expected"}
"""Of the edge's own cache: as it is set when nobody sets anything, and with another policy."""
MODELS: Final = (DEFAULT, "rule", "random", "inverted")
CAPACITY: Final = 0.05
COUNTED_FROM_S: Final = 4 * 86_400.0

WINDOW_S: Final = 12 * 3600.0
MEMORY_S: Final = 4 * 86_400.0
HEAD_GATE: Final = threshold(PrefetchConfig(), "start")
REST_GATE: Final = threshold(PrefetchConfig(), "rest")
DRAWN: Final = 24


class SegmentRow(msgspec.Struct, frozen=True, kw_only=True):
    """Over all edges, after the warm-up; ratios of requested bytes."""

    policy: str
    byte_miss_ratio: float
    to_s3fifo: float
    prefetched_ratio: float
    prefetch_precision: float | None
    moved_to_s3fifo: float
    """Missed and prefetched bytes together, over what S3-FIFO misses."""
    trust: float | None
    """What the model's word counts for in the end, mean of the edges."""


class SegmentStudy(msgspec.Struct, frozen=True, kw_only=True):
    sessions: int
    edges: int
    chunk_requests: int
    chunk_segments: int
    capacity_bytes: int
    requested_bytes: int
    seed: int
    rows: tuple[SegmentRow, ...]

    def row(self, policy: str) -> SegmentRow:
        return next(row for row in self.rows if row.policy == policy)


def study(
    log: SegmentLog,
    *,
    seed: int,
    models: tuple[str, ...] = MODELS,
    capacity: float = CAPACITY,
    chunk_segments: int = CHUNK_SEGMENTS,
    counted_from_s: float = COUNTED_FROM_S,
    edges_own: Sequence[str] = (EDGE,),
) -> SegmentStudy:
    """S3-FIFO alone; residency by expectation without a model and with each of the models; and the
    edge's own cache with the first model's prefetches.

    `edges_own`: of `EVICTION_OF`. "edge, expected" is not compiled and takes some minutes for each
    edge of a large log, so it is left to who asks for it."""
    chunks = chunks_of(log, chunk_segments)
    capacity_bytes = int(capacity * log.catalogue_bytes)
    plays = plays_log(log)
    requests = requests_of(plays, seed=seed)
    scores = {name: scores_by(name, requests, seed=seed) for name in models}
    figures: dict[str, Floats] = {}
    edges = np.unique(log.edge)
    requests_count = 0
    for edge in edges:
        demand = demand_of(log, chunks, int(edge))
        requests_count += len(demand.at_s)
        found = {S3FIFO: _s3fifo(demand, chunks, capacity_bytes, counted_from_s)}
        for name in (RESIDENCY, *models):
            found[name] = _foreseen(
                log,
                demand,
                chunks,
                scores.get(name),
                capacity_bytes=capacity_bytes,
                counted_from_s=counted_from_s,
                seed=seed,
            )
        for name in edges_own if models else ():
            found[name] = replay_edge(
                log,
                demand,
                chunks,
                scores[models[0]],
                successors(plays),
                capacity_bytes=capacity_bytes,
                counted_from_s=counted_from_s,
                eviction=EVICTION_OF[name],
            )
        for name, each in found.items():
            figures[name] = figures.get(name, np.zeros(positions.FIGURES)) + each
    base = figures[S3FIFO]
    return SegmentStudy(
        sessions=len(log.item),
        edges=len(edges),
        chunk_requests=requests_count,
        chunk_segments=chunk_segments,
        capacity_bytes=capacity_bytes,
        requested_bytes=int(base[positions.REQUEST_BYTES]),
        seed=seed,
        rows=tuple(
            SegmentRow(
                policy=name,
                byte_miss_ratio=float(each[positions.MISS_BYTES] / each[positions.REQUEST_BYTES]),
                to_s3fifo=float(each[positions.MISS_BYTES] / base[positions.MISS_BYTES]),
                prefetched_ratio=float(
                    each[positions.PREFETCH_BYTES] / each[positions.REQUEST_BYTES]
                ),
                prefetch_precision=float(
                    each[positions.USED_BYTES] / each[positions.PREFETCH_BYTES]
                )
                if each[positions.PREFETCH_BYTES]
                else None,
                moved_to_s3fifo=float(
                    (each[positions.MISS_BYTES] + each[positions.PREFETCH_BYTES])
                    / base[positions.MISS_BYTES]
                ),
                trust=float(each[positions.TRUST] / len(edges))
                if name in scores or name in EVICTION_OF
                else None,
            )
            for name, each in figures.items()
        ),
    )


def _s3fifo(demand: Demand, chunks: Chunks, capacity_bytes: int, counted_from_s: float) -> Floats:
    from simulation.replay.compiled import KERNELS

    of_policy = KERNELS[S3FIFO]
    warmup = int(np.searchsorted(demand.at_s, counted_from_s))
    _, missed = of_policy.replay(
        demand.number,
        chunks.sizes_bytes,
        capacity_bytes,
        warmup,
        *of_policy.arguments(S3FifoParams()),
    )
    figures = np.zeros(positions.FIGURES)
    figures[positions.REQUEST_BYTES] = chunks.sizes_bytes[demand.number[warmup:]].sum()
    figures[positions.MISS_BYTES] = missed
    return figures


def _foreseen(
    log: SegmentLog,
    demand: Demand,
    chunks: Chunks,
    scores: Scores | None,
    *,
    capacity_bytes: int,
    counted_from_s: float,
    seed: int,
) -> Floats:
    from simulation.prefetch.kernels import chunks as kernel

    own = demand.sessions
    watched_s = log.segments[own] * log.segment_s
    left_s = log.start_s[own] + watched_s + IDLE_S
    at_s = np.concatenate([demand.at_s, left_s])
    order = np.argsort(at_s, kind="stable")
    requests = len(demand.at_s)
    kind = np.repeat(np.array([kernel.REQUEST, kernel.LEFT], dtype=np.int8), [requests, len(own)])
    session = np.concatenate([demand.session, np.arange(len(own), dtype=np.int32)])
    chunk = np.concatenate([demand.chunk, np.zeros(len(own), dtype=np.int32)])
    nothing = np.zeros((len(own), HORIZON_COUNT), dtype=np.float32)
    following = successors(plays_log(log))
    found = kernel.replay_chunks(
        at_s[order],
        kind[order],
        session[order],
        chunk[order],
        log.viewer[own],
        log.item[own],
        log.rendition[own],
        log.segments[own] / log.item_segments[log.item[own]],
        nothing if scores is None else np.ascontiguousarray(scores.at[0][own], dtype=np.float32),
        nothing if scores is None else np.ascontiguousarray(scores.left[own], dtype=np.float32),
        following,
        chunks.count,
        chunks.first,
        chunks.sizes_bytes,
        chunks.copy_of,
        capacity_bytes,
        counted_from_s,
        WINDOW_S,
        MEMORY_S,
        HEAD_GATE,
        REST_GATE,
        scores is not None,
        DRAWN,
        seed,
    )
    return np.asarray(found, dtype=np.float64)
