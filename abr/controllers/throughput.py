"""The rate rule: the highest rung that the measured throughput carries."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from abr.view import Rungs, View, highest_within
from nearcast.config import Section
from nearcast.units import BITS_PER_KBIT


class ThroughputParams(Section, frozen=True, kw_only=True):
    """`safety`: share of the estimate that is planned with. `low_buffer_safety`: share of what the
    link brings while the buffer lasts that one segment may take; 0 switches that rule off."""

    safety: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.9
    low_buffer_safety: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.7


class ThroughputRule:
    """Fetch at the highest rung whose segments arrive, first byte included, as fast as they play.

    Source: dash.js 5 ThroughputRule (safety 0.9) with its InsufficientBufferRule (0.7), which also
    holds the rung down to what arrives before the buffer is empty; the time to the first byte is
    charged as in Sabre (Spiteri et al., MMSys 2018). The latter rule waits for playback to start,
    since before that there is no buffer to protect.
    """

    def __init__(self, params: ThroughputParams | None = None) -> None:
        self._params = params or ThroughputParams()

    def choose(self, view: View) -> Rungs:
        rung = sustainable_rung(view, self._params.safety)
        if self._params.low_buffer_safety > 0:
            usable_bits = (
                view.estimate_kbps * BITS_PER_KBIT * view.buffer_s * self._params.low_buffer_safety
            )
            arrives = view.sizes_bits[:, 0, :] <= usable_bits[:, None]
            arrives |= view.is_startup[:, None]
            rung = np.minimum(rung, highest_within(arrives))
        return rung


def sustainable_rung(view: View, safety: float) -> Rungs:
    """(n,): the highest rung that `safety` x the estimate sustains; 0 where there is no
    estimate."""
    duration_s = view.segment_duration_s[:, None]
    # Rates, not sizes: one small segment is no reason to climb for one segment.
    transfer_s = view.ladder_kbps * duration_s / (view.estimate_kbps[:, None] * safety)
    return highest_within(view.ttfb_s[:, None] + transfer_s <= duration_s)
