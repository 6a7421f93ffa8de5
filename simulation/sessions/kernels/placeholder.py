"""BOLA-E; see abr/controllers/bola_e.py."""

from __future__ import annotations

import numpy as np

from abr.controllers.bola_e import BUFFER_S_MIN
from abr.controllers.throughput import LOW_BUFFER_SAFETY_KEEP
from abr.view import GO_ON, HISTORY
from nearcast.units import BITS_PER_KBIT
from simulation.sessions.kernels.jit import jit
from simulation.sessions.kernels.kinds import (
    E_HAS_STARTED,
    E_INSTEAD,
    E_PLACEHOLDER_S,
    E_RUNG,
    E_SAFETY,
    Floats,
    Progress,
    Rule,
    Samples,
    State,
    highest_within,
    rate_kbps,
    sustainable,
)


@jit
def observe(rule: Rule, memory: Floats, state: State, samples: Samples) -> None:
    """Take in what came of the last request."""
    lowest_s, highest_s = rule.placeholder.lowest_s, rule.placeholder.highest_s
    placeholder_s, instead = memory[E_PLACEHOLDER_S], int(memory[E_INSTEAD])
    buffer_s = state.buffer_s + state.gap_s
    rung = max(state.last_rung, 0)
    if instead == GO_ON:
        took_s = samples.took_s[(state.sample_count - 1) % HISTORY]  # 0 before the first
        before_s = buffer_s + took_s
        placeholder_s = min(placeholder_s, max(highest_s[rung] - before_s, 0.0))
        placeholder_s = max(placeholder_s, lowest_s[rung] - before_s)
        memory[E_RUNG] = rung
    else:
        wanted_s = lowest_s[instead] if instead > 0 else BUFFER_S_MIN
        placeholder_s = min(placeholder_s, max(wanted_s - buffer_s, 0.0))
    memory[E_PLACEHOLDER_S] = placeholder_s + state.gap_s
    memory[E_INSTEAD] = GO_ON


@jit
def decide(rule: Rule, memory: Floats, state: State) -> int:
    """After `observe`."""
    lowest_s, highest_s = rule.placeholder.lowest_s, rule.placeholder.highest_s
    buffer_s, placeholder_s = state.buffer_s, memory[E_PLACEHOLDER_S]
    by_rate = sustainable(rule, state.estimate_kbps, state.ttfb_s)
    if memory[E_HAS_STARTED] == 0 or state.segment_index == 0:
        memory[E_PLACEHOLDER_S] = max(lowest_s[by_rate] - buffer_s, 0.0)
        if not np.isnan(state.estimate_kbps):
            memory[E_HAS_STARTED] = 1.0
        return by_rate
    rung, best = 0, -np.inf
    for other in range(len(rule.ladder_kbps)):
        score = (highest_s[other] - (buffer_s + placeholder_s)) / rule.ladder_kbps[other]
        if score > best:
            rung, best = other, score
    last_rung = int(memory[E_RUNG])
    if rung > last_rung and rung > by_rate:
        rung = max(last_rung, by_rate) + 1
    surplus_s = max(buffer_s + placeholder_s - highest_s[rung], 0.0)
    placeholder_s = max(placeholder_s - surplus_s, 0.0)

    safety = memory[E_SAFETY]
    memory[E_SAFETY] = max(safety * LOW_BUFFER_SAFETY_KEEP, rule.placeholder.low_buffer_safety)
    usable_kbps = state.estimate_kbps * safety * (buffer_s - state.ttfb_s) / rule.segment_s
    arriving = highest_within(rule.ladder_kbps, usable_kbps)
    if arriving < rung:
        rung = arriving
        placeholder_s = min(placeholder_s, max(lowest_s[arriving] - buffer_s, 0.0))
    memory[E_PLACEHOLDER_S] = placeholder_s
    return rung


@jit
def rung_that_scores_better(rule: Rule, memory: Floats, progress: Progress) -> int:
    """Or GO_ON."""
    highest_s, ladder_kbps = rule.placeholder.highest_s, rule.ladder_kbps
    level_s = max(progress.buffer_s + memory[E_PLACEHOLDER_S] - progress.ttfb_s, 0.0)
    meanwhile_bits = rate_kbps(progress) * BITS_PER_KBIT * progress.ttfb_s
    size_bits = progress.sizes_bits[progress.rung]
    left_bits = size_bits - progress.received_bits - meanwhile_bits
    best = GO_ON
    best_score = (highest_s[progress.rung] - level_s) / max(left_bits, 1e-9)
    for rung in range(progress.rung):
        bits = size_bits * (ladder_kbps[rung] / ladder_kbps[progress.rung])
        score = (highest_s[rung] - level_s) / bits
        if bits < left_bits and score > best_score:
            best, best_score = rung, score
    return best


@jit
def note_given_up(memory: Floats, rung: int, instead: int) -> None:
    """Where `instead` is a rung, the segment is given up for it."""
    if instead != GO_ON:
        memory[E_INSTEAD] = instead
        memory[E_RUNG] = rung
