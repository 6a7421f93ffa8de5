"""How many of those who go on at once find the next title warm, over several logs."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Final

import msgspec
import numpy as np

from nearcast.units import kbps_from_bytes_per_s
from simulation.prefetch.gate import Gate
from simulation.prefetch.moments import Moments
from simulation.prefetch.requests import Requests
from simulation.prefetch.timing import LENGTH_S, WARMUP_S, Timing, Way

LINK_SHARE: Final = 1.2


class Warmth(msgspec.Struct, frozen=True, kw_only=True):
    """One way to decide at one capacity, mean over the seeds."""

    way: str
    is_adaptive: bool
    """Whether players go down in rate where demand would fill the link; else they wait."""
    capacity: float
    link_kbps: float
    follower_count: int  # successors started within a minute of the end
    warm_ratio: float  # of these
    head_ratio: float  # of these: the head was there, whatever came later
    stalled_ratio: float  # of all plays: bytes came later than they were to be shown
    rate_ratio: float  # of what is missed: the rate that players kept, beside that of their title
    moved_ratio: float  # bytes over the link, per byte watched


def warmth(
    works: Sequence[tuple[Requests, Moments]],
    way: Way,
    *,
    gate: Gate,
    capacity: float,
    is_adaptive: bool = True,
) -> Warmth:
    """Each of `works` on a link of `LINK_SHARE` times the mean rate of what is watched."""
    runs = []
    for requests, moments in works:
        link = LINK_SHARE * _mean_rate(requests)
        run = Timing(
            requests, moments, way, gate=gate, share=capacity, link=link, is_adaptive=is_adaptive
        )
        run.run()
        runs.append((run, link))
    return Warmth(
        way=way,
        is_adaptive=is_adaptive,
        capacity=capacity,
        link_kbps=fmean(kbps_from_bytes_per_s(link) for _, link in runs),
        follower_count=sum(run.follower_count for run, _ in runs),
        warm_ratio=fmean(run.warm_count / max(run.follower_count, 1) for run, _ in runs),
        head_ratio=fmean(run.head_count / max(run.follower_count, 1) for run, _ in runs),
        stalled_ratio=fmean(run.late_count / max(run.play_count, 1) for run, _ in runs),
        rate_ratio=fmean(run.rate_ratio for run, _ in runs),
        moved_ratio=fmean(run.moved_ratio for run, _ in runs),
    )


def _mean_rate(requests: Requests) -> float:
    """Bytes/s that are watched, over the part of the log that is counted."""
    log = requests.log
    begin_s = float(log.start_s.min())
    length_s = min(LENGTH_S, float(log.start_s.max()) - begin_s + 1.0)
    from_s = begin_s + length_s * (WARMUP_S / LENGTH_S)
    there = (log.start_s >= from_s) & (log.start_s < begin_s + length_s)
    runtime_s = np.maximum(log.runtime_s, 1.0)
    shares = np.minimum(log.watched_s / runtime_s, 1.0) * requests.sizes_bytes[log.title]
    return float(shares[there].sum()) / (begin_s + length_s - from_s)
