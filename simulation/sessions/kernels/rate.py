"""The throughput rule; see abr/controllers/throughput.py."""

from __future__ import annotations

from abr.controllers.throughput import ABANDON_AFTER_S, LOW_BUFFER_SAFETY_KEEP
from abr.view import GO_ON
from nearcast.units import BITS_PER_KBIT
from simulation.sessions.kernels.jit import jit
from simulation.sessions.kernels.kinds import (
    RATE_SAFETY,
    Floats,
    Progress,
    Rule,
    State,
    highest_within,
    rate_kbps,
    sustainable,
)


@jit
def choose_by_rate(rule: Rule, memory: Floats, state: State) -> int:
    rung = sustainable(rule, state.estimate_kbps * rule.rate.safety, state.ttfb_s)
    if rule.rate.low_buffer_safety <= 0 or state.segment_index == 0:
        return rung
    safety = memory[RATE_SAFETY]
    memory[RATE_SAFETY] = max(safety * LOW_BUFFER_SAFETY_KEEP, rule.rate.low_buffer_safety)
    usable_s = safety * (state.buffer_s - state.ttfb_s)
    usable_kbps = state.estimate_kbps * usable_s / rule.segment_s
    return min(rung, highest_within(rule.ladder_kbps, usable_kbps))


@jit
def rung_instead(rule: Rule, progress: Progress) -> int:
    """What a segment that takes too long were better fetched at, or GO_ON."""
    rate, size_bits = rate_kbps(progress), progress.sizes_bits[progress.rung]
    left_bits = size_bits - progress.received_bits
    total_s = progress.elapsed_s + left_bits / (rate * BITS_PER_KBIT)
    if total_s <= rule.rate.abandon_ratio * rule.segment_s or progress.elapsed_s < ABANDON_AFTER_S:
        return GO_ON
    rung = sustainable(rule, rate * rule.rate.safety, progress.ttfb_s)
    share = rule.ladder_kbps[rung] / rule.ladder_kbps[progress.rung]
    return rung if rung < progress.rung and size_bits * share < left_bits else GO_ON
