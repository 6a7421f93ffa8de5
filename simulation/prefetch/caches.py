"""One run of each policy over the same requests, as figures with names."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from cache.eviction.hopes import ExpectedParams
from cache.eviction.s3fifo import S3FifoParams
from edge.config import EdgeConfig
from nearcast.units import bytes_per_s_from_kbps
from simulation.prefetch.belady import belady
from simulation.prefetch.edge_store import EdgeStore
from simulation.prefetch.edge_titles import replay_titles
from simulation.prefetch.gate import Gate
from simulation.prefetch.kernels import counts
from simulation.prefetch.kernels.foreseen import replay_foreseen
from simulation.prefetch.kernels.recent import replay_recent
from simulation.prefetch.moments import CHECKPOINT, LEFT, START, Moments
from simulation.prefetch.requests import Floats, Ints, Requests
from simulation.replay.kernels.s3fifo import replay_s3fifo

ORACLE_S: Final = 7 * 86_400.0
"""The oracle fetches what its viewer will start within so long."""


class Belief(msgspec.Struct, frozen=True, kw_only=True):
    """How far a source is believed: by how many of its prefetches came true, as on an edge."""

    prior: float = 200.0  # prefetches
    half_life_s: float = 7 * 86_400.0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """After the warm-up, in the unit of the sizes: objects where they are one, else bytes."""

    hit_ratio: float
    precision: float | None = None  # of what was prefetched, the share that was asked for
    moved_ratio: float  # missed and prefetched, per unit asked for
    waste_ratio: float = 0.0  # prefetched and never asked for, per unit asked for
    evicted_ratio: float = 0.0  # the part of it that was evicted; the rest is still there


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """Requests, what is known when, the sizes that count, and how much fits."""

    requests: Requests
    moments: Moments
    sizes_bytes: Ints
    capacity_bytes: int
    warmup_count: int

    @property
    def completion(self) -> Floats:
        log = self.requests.log
        return np.asarray(log.watched_s / log.runtime_s)


def lru(trial: Trial) -> Figures:
    return _recent(trial, np.zeros(len(trial.moments.kind), dtype=np.bool_))


def rule(trial: Trial) -> Figures:
    """LRU, and the next episode once half of this one is watched."""
    moments = trial.moments
    return _recent(trial, (moments.kind == CHECKPOINT) & (moments.share == 0.5))


def oracle(trial: Trial) -> Figures:
    """LRU, and at the end the next episode if it will be started within a week."""
    moments, requests = trial.moments, trial.requests
    goes_on = requests.goes_on_s - requests.leaves_s <= ORACLE_S
    return _recent(
        trial, (moments.kind == CHECKPOINT) & (moments.share == 0.5) & goes_on[moments.play]
    )


def s3fifo(trial: Trial) -> Figures:
    params = S3FifoParams()
    title = trial.requests.log.title
    _, missed_bytes = replay_s3fifo(
        title.astype(np.int32),
        trial.sizes_bytes,
        trial.capacity_bytes,
        trial.warmup_count,
        params.small_share,
        params.ghost_share,
        params.hit_count_max,
        params.promotion_hit_count,
        params.object_share_max,
    )
    asked_bytes = int(trial.sizes_bytes[title[trial.warmup_count :]].sum())
    return _without_prefetch(1.0 - missed_bytes / asked_bytes)


def bound(trial: Trial) -> Figures:
    """Belady's rule with leave to pass by, without prefetching."""
    title = trial.requests.log.title
    _, hit_bytes = belady(title, trial.sizes_bytes, trial.capacity_bytes, trial.warmup_count)
    return _without_prefetch(hit_bytes / int(trial.sizes_bytes[title[trial.warmup_count :]].sum()))


def foreseen(
    trial: Trial, gate: Gate, belief: Belief | None = None, params: ExpectedParams | None = None
) -> Figures:
    """The planner's prefetches, and residency by expectation."""
    of, belief = params or ExpectedParams(), belief or Belief()
    moments, log = trial.moments, trial.requests.log
    completion = trial.completion
    chance, threshold = gate.chances(moments, completion)
    return _figures(
        replay_foreseen(
            moments.at_s,
            moments.ends_s,
            moments.kind,
            moments.play,
            moments.probabilities,
            chance,
            threshold,
            log.title,
            trial.requests.successor,
            log.viewer,
            completion,
            trial.sizes_bytes,
            trial.capacity_bytes,
            trial.warmup_count,
            of.window_s,
            of.popularity_s,
            of.popularity_first,
            of.popularity_again,
            of.popularity_none,
            of.broken_off,
            of.resumed,
            of.later,
            of.spare,
            of.drawn_count,
            belief.prior,
            belief.half_life_s,
        )
    )


def edge(trial: Trial, *, eviction: str = EdgeConfig().eviction) -> Figures:
    """An edge as it is set when nobody sets anything, or with another policy."""
    sizes = trial.sizes_bytes.tolist()
    log = trial.requests.log
    rate = bytes_per_s_from_kbps(EdgeConfig().prefetch.rate_kbps)
    # Trust counts bytes; where every object is one, as many of them as the same rate brings.
    scale = float(trial.sizes_bytes[log.title].sum() / trial.requests.sizes_bytes[log.title].sum())
    store = EdgeStore(trial.capacity_bytes, sizes, trust_per_s=rate * scale, eviction=eviction)
    return _figures(replay_titles(store, trial.requests, trial.moments, sizes, trial.warmup_count))


def edge_expected(trial: Trial) -> Figures:
    """The same edge with `eviction = "expected"`."""
    return edge(trial, eviction="expected")


def _recent(trial: Trial, fetches: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Figures:
    moments = trial.moments
    return _figures(
        replay_recent(
            moments.kind,
            moments.play,
            fetches,
            trial.requests.log.title,
            trial.requests.successor,
            trial.sizes_bytes,
            trial.capacity_bytes,
            trial.warmup_count,
        )
    )


def _figures(found: Floats) -> Figures:
    asked, hit = found[counts.REQUEST_BYTES], found[counts.HIT_BYTES]
    fetched = found[counts.PREFETCH_BYTES]
    evicted, unused = found[counts.WASTED_BYTES], found[counts.UNUSED_BYTES]
    return Figures(
        hit_ratio=float(hit / asked),
        precision=float(found[counts.USED_BYTES] / fetched) if fetched else None,
        moved_ratio=float((asked - hit + fetched) / asked),
        waste_ratio=float((evicted + unused) / asked),
        evicted_ratio=float(evicted / asked),
    )


def _without_prefetch(hit_ratio: float) -> Figures:
    return Figures(hit_ratio=hit_ratio, moved_ratio=1.0 - hit_ratio)


__all__ = [
    "LEFT",
    "START",
    "Belief",
    "Figures",
    "Trial",
    "bound",
    "foreseen",
    "lru",
    "oracle",
    "rule",
    "s3fifo",
]
