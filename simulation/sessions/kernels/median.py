"""The hybrid; see abr/controllers/hybrid.py and abr/controllers/late.py."""

from __future__ import annotations

import numpy as np

from abr.controllers.late import WORTHWHILE_RATIO
from abr.view import GO_ON, HISTORY
from nearcast.units import BITS_PER_BYTE, BITS_PER_KBIT
from simulation.sessions.kernels.jit import jit
from simulation.sessions.kernels.kinds import (
    Progress,
    Rule,
    Samples,
    State,
    highest_within,
    rate_kbps,
)


@jit
def choose_by_median(rule: Rule, state: State, samples: Samples) -> int:
    usable_kbps = _estimate_kbps(rule, state, samples) * rule.median.safety
    ideal, last = highest_within(rule.ladder_kbps, usable_kbps), state.last_rung
    if last < 0 or state.segment_index == 0:
        return ideal
    too_early = ideal > last and state.buffer_s < rule.median.up_buffer_s
    too_late = ideal < last and state.buffer_s >= rule.median.down_buffer_s
    return last if too_early or too_late else ideal


@jit
def _estimate_kbps(rule: Rule, state: State, samples: Samples) -> float:
    count = min(state.sample_count, HISTORY)
    if count == 0:
        return state.estimate_kbps
    kbps, weights = np.zeros(count), np.zeros(count)
    total, has_hits = 0.0, False
    for place in range(count):  # from the newest back
        at = (state.sample_count - 1 - place) % HISTORY
        size_bytes = samples.size_bytes[at]
        kbps[place] = size_bytes * BITS_PER_BYTE / BITS_PER_KBIT / max(samples.took_s[at], 1e-9)
        weight = np.sqrt(size_bytes)
        total += weight
        newer = total - weight
        weights[place] = min(max(rule.median.window_weight - newer, 0.0), weight)
        has_hits |= samples.is_hit[at]
    order = np.argsort(kbps)
    below = np.cumsum(weights[order])
    place = 0
    while below[place] < below[-1] / 2.0:
        place += 1
    median: float = kbps[order[place]]
    if has_hits and state.estimate_kbps < median:
        return state.estimate_kbps
    return median


@jit
def lower_rung(rule: Rule, progress: Progress) -> int:
    """What to fetch instead of a segment that is late, or GO_ON."""
    is_waiting = progress.buffer_s <= 0
    patience_s = rule.segment_s if is_waiting else progress.buffer_s
    rate_bps = rate_kbps(progress) * BITS_PER_KBIT
    left_bits = max(progress.sizes_bits[progress.rung] - progress.received_bits, 0.0)
    left_s = left_bits / rate_bps
    if left_s <= patience_s:
        return GO_ON
    for rung in range(progress.rung - 1, -1, -1):
        if progress.ttfb_s + progress.sizes_bits[rung] / rate_bps <= patience_s:
            return rung
    again_s = progress.ttfb_s + progress.sizes_bits[0] / rate_bps
    return 0 if again_s < WORTHWHILE_RATIO * left_s else GO_ON
