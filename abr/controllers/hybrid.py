"""The throughput rule with buffer gates that a stock player of today has."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from abr.controllers.late import late_in_s, lower_rung
from abr.view import Attempt, Floats, Rungs, View, highest_within
from nearcast.config import Section
from nearcast.units import BITS_PER_BYTE, BITS_PER_KBIT


class HybridParams(Section, frozen=True, kw_only=True):
    """`safety`: share of the estimate that a rung may take. `up_buffer_s`: no step up with less in
    the buffer; `down_buffer_s`: no step down with more. `window_weight`: of the samples in the
    median, each weighing the square root of its bytes."""

    safety: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.7
    up_buffer_s: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    down_buffer_s: Annotated[float, msgspec.Meta(ge=0)] = 25.0
    window_weight: Annotated[float, msgspec.Meta(gt=0)] = 2000.0


class Hybrid:
    """The highest rung within a share of the median throughput, but up only from a safe buffer and
    down only from one that is not full.

    The estimate is a weighted median of the last transfers, the wait for the first byte counted in.
    Source: the documented defaults of Media3 (ExoPlayer): AdaptiveTrackSelection (fraction 0.7, up
    from 10 s, down under 25 s) over DefaultBandwidthMeter with SlidingPercentile (median, weight
    2000 of square roots of bytes). That player lets a segment under way come; ours gives a late one
    up as abr.controllers.late says, which is what hls.js does when its buffer runs low. Where
    recent transfers came from an edge's store the estimate is no higher than the session's.
    """

    def __init__(self, params: HybridParams | None = None, session_count: int = 1) -> None:
        del session_count  # what it needs to know is in the view
        self._params = params or HybridParams()

    def choose(self, view: View) -> Rungs:
        params = self._params
        usable_kbps = self._estimate_kbps(view) * params.safety
        ideal = highest_within(view.ladder_kbps <= usable_kbps[:, None])
        last = view.last_rung
        too_early = (ideal > last) & (view.buffer_s < params.up_buffer_s)
        too_late = (ideal < last) & (view.buffer_s >= params.down_buffer_s)
        stays = (too_early | too_late) & (last >= 0) & ~view.is_startup
        return np.where(stays, last, ideal).astype(np.int64)

    def _estimate_kbps(self, view: View) -> Floats:
        """(n,): NaN where nothing was measured."""
        history = view.history
        took_s = history.duration_s + history.ttfb_s
        kbps = history.bytes * BITS_PER_BYTE / BITS_PER_KBIT / np.maximum(took_s, 1e-9)
        # From the newest sample back, as much weight as the window holds.
        weight = np.nan_to_num(np.sqrt(history.bytes))
        newer = np.cumsum(weight[:, ::-1], axis=1)[:, ::-1] - weight
        weight = np.clip(self._params.window_weight - newer, 0.0, weight)
        order = np.argsort(kbps, axis=1)  # NaN last, and they weigh nothing
        below = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
        middle = np.argmax(below >= below[:, -1:] / 2.0, axis=1)[:, None]
        median = np.take_along_axis(kbps, np.take_along_axis(order, middle, axis=1), axis=1)[:, 0]
        has_hits = history.is_hit.any(axis=1) | np.isnan(median)
        link_kbps = np.where(has_hits, np.fmin(median, view.estimate_kbps), median)
        return view.own_kbps(link_kbps)

    def abandon(self, attempt: Attempt) -> Rungs:
        return lower_rung(attempt)

    def patience_s(self, attempt: Attempt) -> Floats:
        return late_in_s(attempt)
