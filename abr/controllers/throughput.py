"""The rate rule: the highest rung that the measured throughput carries."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from abr.view import ASK_AGAIN, GO_ON, Attempt, Flags, Floats, Rungs, View, highest_within
from nearcast.config import Section
from nearcast.units import BITS_PER_KBIT

LOW_BUFFER_SAFETY_KEEP = 0.9
"""Each decision trusts the buffer a little less, until the lowest share is reached."""
ABANDON_AFTER_S = 0.5
"""Bytes of a shorter time say little about a rate."""


class ThroughputParams(Section, frozen=True, kw_only=True):
    """`safety`: share of the estimate that is planned with. `low_buffer_safety_first`, falling to
    `low_buffer_safety`: share of what the link brings while the buffer lasts that one segment may
    take; 0 switches that rule off. `abandon_ratio`: a segment that would take longer than so many
    times its duration is given up."""

    safety: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.9
    low_buffer_safety_first: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.9
    low_buffer_safety: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    abandon_ratio: Annotated[float, msgspec.Meta(ge=1)] = 1.8


class ThroughputRule:
    """Fetch at the highest rung whose segments arrive, first byte included, as fast as they play.

    Two more rules: the rung is held down to what arrives before the buffer is empty (from playback
    on, since before there is no buffer to protect), and a segment under way that would take too
    long is fetched anew at what its own rate carries, if fewer bytes are then left to come.
    Source: ThroughputRule, InsufficientBufferRule and AbandonRequestsRule of dash.js, in the form
    of Spiteri, Sitaraman, Sparacio, "From Theory to Practice: Improving Bitrate Adaptation in the
    DASH Reference Player", MMSys 2018.
    """

    def __init__(self, params: ThroughputParams | None = None, session_count: int = 1) -> None:
        self._params = params or ThroughputParams()
        self._low_buffer_safety = np.full(session_count, self._params.low_buffer_safety_first)

    def choose(self, view: View) -> Rungs:
        rung = sustainable_rung(view, self._params.safety)
        if self._params.low_buffer_safety > 0:
            rung = np.minimum(rung, self._affordable_rung(view))
        return rung

    def _affordable_rung(self, view: View) -> Rungs:
        """(n,): what arrives before the buffer is empty."""
        safety = self._low_buffer_safety[view.session]
        less = np.maximum(safety * LOW_BUFFER_SAFETY_KEEP, self._params.low_buffer_safety)
        self._low_buffer_safety[view.session] = np.where(view.is_startup, safety, less)
        usable_s = safety * (view.buffer_s - view.ttfb_s)
        usable_kbps = view.own_kbps(view.estimate_kbps) * usable_s / view.segment_duration_s
        arrives = view.ladder_kbps <= usable_kbps[:, None]
        return highest_within(arrives | view.is_startup[:, None])

    def abandon(self, attempt: Attempt) -> Rungs:
        instead = self.rung_instead(attempt)
        return np.where(instead == GO_ON, GO_ON, ASK_AGAIN).astype(np.int64)

    def rung_instead(self, attempt: Attempt) -> Rungs:
        """(n,): what a segment that takes too long were better fetched at, or GO_ON."""
        rate_kbps = attempt.rate_kbps
        left_bits = attempt.size_bits - attempt.received_bits
        total_s = attempt.elapsed_s + left_bits / (rate_kbps * BITS_PER_KBIT)
        is_late = total_s > self._params.abandon_ratio * attempt.duration_s
        is_late &= attempt.elapsed_s >= ABANDON_AFTER_S
        instead = np.full(is_late.shape, GO_ON)
        late = np.flatnonzero(is_late)
        if late.size:
            instead[late] = self._instead(attempt.take(late), left_bits[late])
        return instead

    def patience_s(self, attempt: Attempt) -> Floats:
        """(n,): see abr.view.Patient."""
        params, ladder_kbps = self._params, attempt.ladder_kbps
        size_bits, received_bits = attempt.size_bits, attempt.received_bits
        # Late is what was slower than this on average since its first byte.
        limit_s = params.abandon_ratio * attempt.duration_s
        late_bps = size_bits / np.maximum(limit_s - attempt.ttfb_s, 1e-9)
        # And slower than this it is when a rung that has fewer bits than are left is carried only.
        left_kbps = (1.0 - received_bits / size_bits) * ladder_kbps[attempt.rung]
        above = np.searchsorted(ladder_kbps, left_kbps)
        share = params.safety * np.maximum(1.0 - attempt.ttfb_s / attempt.duration_s, 1e-9)
        less_bps = ladder_kbps[above] * BITS_PER_KBIT / share
        slow_at_s = attempt.ttfb_s + received_bits / np.minimum(late_bps, less_bps)
        patience_s = np.maximum(slow_at_s, ABANDON_AFTER_S) - attempt.elapsed_s
        return np.where(above == 0, np.inf, np.maximum(patience_s, 0.0))

    def _instead(self, attempt: Attempt, left_bits: Floats) -> Rungs:
        arrives = _arrives(
            attempt.ladder_kbps,
            attempt.rate_kbps * self._params.safety,
            attempt.ttfb_s,
            attempt.duration_s,
        )
        rung = highest_within(arrives)
        share = attempt.ladder_kbps[rung] / attempt.ladder_kbps[attempt.rung]
        is_less = (rung < attempt.rung) & (attempt.size_bits * share < left_bits)
        return np.where(is_less, rung, GO_ON).astype(np.int64)


def sustainable_rung(view: View, safety: float) -> Rungs:
    """(n,): the highest rung that `safety` x the estimate sustains; 0 where there is no
    estimate."""
    rate_kbps = view.own_kbps(view.estimate_kbps) * safety
    return highest_within(
        _arrives(view.ladder_kbps, rate_kbps, view.ttfb_s, view.segment_duration_s)
    )


def _arrives(ladder_kbps: Floats, rate_kbps: Floats, ttfb_s: Floats, duration_s: Floats) -> Flags:
    """(n, rungs): a segment comes within its own duration. Rates, not sizes: one small segment is
    no reason to climb for one segment."""
    carried_kbps = rate_kbps * (1.0 - ttfb_s / duration_s)
    return ladder_kbps <= carried_kbps[:, None]
