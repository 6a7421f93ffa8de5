"""One set of figures for an edge and its viewers, whether they were simulated or live.

Both worlds end in the same reports: what each player says of each title it played, and the edge's
status. Ratios are taken over all sessions together (bytes over bytes, seconds over seconds), and
are None where there is nothing to measure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from abr.report import SessionReport
from edge.status import EdgeStatus


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one edge did for its viewers. A title that never showed a picture has no start-up time
    and counts in `sessions_unstarted`."""

    sessions: int
    sessions_unstarted: int
    sessions_failed: int
    next_episode_count: int
    next_episode_startup_p50_s: float | None
    next_episode_startup_p95_s: float | None
    next_episode_hit_ratio: float | None
    startup_p50_s: float | None
    startup_p95_s: float | None
    byte_hit_ratio: float | None
    rebuffer_ratio: float | None
    stall_count: int
    switch_count: int
    bitrate_kbps_mean: float | None
    qoe_linear_mean: float | None
    client_bytes: int
    origin_bytes: int
    prefetch_bytes: int
    prefetch_used_bytes: int
    prefetch_waste_bytes: int
    prefetch_precision: float | None
    inference_p50_s: float | None
    inference_p99_s: float | None


def figures(
    sessions: Sequence[SessionReport],
    status: EdgeStatus,
    inference_p99_s: float | None,
    inference_p50_s: float | None = None,
) -> Figures:
    """The figures of one edge from its viewers' reports and its own status."""
    following = [each for each in sessions if each.is_next_episode]
    startups_s = _startups_s(sessions)
    following_s = _startups_s(following)
    played_s = sum(each.played_s for each in sessions)
    stalled_s = sum(each.stalled_s for each in sessions)
    weighed = sum((each.bitrate_kbps or 0.0) * each.played_s for each in sessions)
    weighed_qoe = sum((each.qoe_linear or 0.0) * each.segment_count for each in sessions)
    segment_count = sum(each.segment_count for each in sessions)
    from_edge = sum(bool(each.started_from_edge) for each in following)
    return Figures(
        sessions=len(sessions),
        sessions_unstarted=len(sessions) - len(startups_s),
        sessions_failed=sum(each.ended == "failed" for each in sessions),
        next_episode_count=len(following),
        next_episode_startup_p50_s=_quantile(following_s, 0.5),
        next_episode_startup_p95_s=_quantile(following_s, 0.95),
        next_episode_hit_ratio=_ratio(from_edge, len(following)),
        startup_p50_s=_quantile(startups_s, 0.5),
        startup_p95_s=_quantile(startups_s, 0.95),
        byte_hit_ratio=_ratio(status.resident_bytes_sent, status.client_bytes),
        rebuffer_ratio=_ratio(stalled_s, played_s + stalled_s),
        stall_count=sum(each.stall_count for each in sessions),
        switch_count=sum(each.switch_count for each in sessions),
        bitrate_kbps_mean=_ratio(weighed, played_s),
        qoe_linear_mean=_ratio(weighed_qoe, segment_count),
        client_bytes=status.client_bytes,
        origin_bytes=status.origin_bytes,
        prefetch_bytes=status.prefetch_bytes,
        prefetch_used_bytes=status.prefetch_used_bytes,
        prefetch_waste_bytes=status.prefetch_waste_bytes,
        prefetch_precision=status.prefetch_precision,
        inference_p50_s=inference_p50_s,
        inference_p99_s=inference_p99_s,
    )


def _startups_s(sessions: Iterable[SessionReport]) -> list[float]:
    return [each.startup_s for each in sessions if each.startup_s is not None]


def _quantile(values: Sequence[float], share: float) -> float | None:
    return float(np.quantile(values, share)) if values else None


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
