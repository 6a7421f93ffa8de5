"""The rules by which peers choose and give up; see abr/controllers/{throughput,bola,dynamic}.py."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abr.controllers.bola import SHORT_TITLE_SEGMENTS_MIN
from abr.controllers.throughput import ABANDON_AFTER_S, LOW_BUFFER_SAFETY_KEEP
from nearcast.units import BITS_PER_KBIT
from simulation.replay.kernels.jit import jit

THROUGHPUT, BOLA, DYNAMIC = range(3)

# What a rule remembers of a session.
LOW_BUFFER_SAFETY, BOLA_RUNG, BOLA_GAIN_S, IS_BOLA = range(4)
MEMORY_COUNT = 4


class Rule(NamedTuple):
    """One of the three, with the parameters of its parts."""

    kind: int
    ladder_kbps: NDArray[np.float64]
    segment_s: float
    buffer_s_max: float
    safety: float
    low_buffer_safety_first: float
    low_buffer_safety: float
    abandon_ratio: float
    worth: NDArray[np.float64]
    """(rungs,): utility + gamma p."""
    bola_safety: float
    low_buffer_s: float


class State(NamedTuple):
    """Of one session, before it asks for its next segment."""

    buffer_s: float
    estimate_kbps: float
    ttfb_s: float
    segment_index: int
    segments_left: int
    last_rung: int


class Progress(NamedTuple):
    """Of a segment under way, some of which is here."""

    rung: int
    size_bits: float
    received_bits: float
    elapsed_s: float
    ttfb_s: float
    buffer_s: float


@jit
def highest_within(ladder_kbps: NDArray[np.float64], limit_kbps: float) -> int:
    rung = 0
    while rung + 1 < len(ladder_kbps) and ladder_kbps[rung + 1] <= limit_kbps:
        rung += 1
    return rung


@jit
def choose(rule: Rule, memory: NDArray[np.float64], state: State) -> int:
    """The rung of the next segment."""
    if rule.kind == THROUGHPUT:
        return _by_rate(rule, memory, state)
    by_buffer = _by_buffer(rule, memory, state)
    if rule.kind == BOLA:
        return by_buffer
    by_rate = _by_rate(rule, memory, state)
    if memory[IS_BOLA] > 0:
        is_bola = not (state.buffer_s < rule.low_buffer_s and by_buffer < by_rate)
    else:
        is_bola = state.buffer_s > rule.low_buffer_s and by_buffer >= by_rate
    memory[IS_BOLA] = 1.0 if is_bola else 0.0
    return by_buffer if is_bola else by_rate


@jit
def _sustainable(rule: Rule, rate_kbps: float, ttfb_s: float) -> int:
    return highest_within(rule.ladder_kbps, rate_kbps * (1.0 - ttfb_s / rule.segment_s))


@jit
def _by_rate(rule: Rule, memory: NDArray[np.float64], state: State) -> int:
    rung = _sustainable(rule, state.estimate_kbps * rule.safety, state.ttfb_s)
    if rule.low_buffer_safety <= 0 or state.segment_index == 0:
        return rung
    safety = memory[LOW_BUFFER_SAFETY]
    memory[LOW_BUFFER_SAFETY] = max(safety * LOW_BUFFER_SAFETY_KEEP, rule.low_buffer_safety)
    usable_s = safety * (state.buffer_s - state.ttfb_s)
    usable_kbps = state.estimate_kbps * usable_s / rule.segment_s
    return min(rung, highest_within(rule.ladder_kbps, usable_kbps))


@jit
def _by_buffer(rule: Rule, memory: NDArray[np.float64], state: State) -> int:
    near = min(state.segment_index, state.segments_left)
    segments = max(near / 2.0, SHORT_TITLE_SEGMENTS_MIN)
    limit_s = min(rule.buffer_s_max, segments * rule.segment_s)
    gain_s = max(limit_s - rule.segment_s, 1e-3) / rule.worth[-1]
    memory[BOLA_GAIN_S] = gain_s
    by_rate = _sustainable(rule, state.estimate_kbps * rule.bola_safety, state.ttfb_s)
    rung = by_rate
    if state.segment_index > 0 and state.last_rung >= 0:
        rung = 0
        best = -np.inf
        for other in range(len(rule.ladder_kbps)):
            score = (gain_s * rule.worth[other] - state.buffer_s) / rule.ladder_kbps[other]
            if score > best:
                rung, best = other, score
        last_rung = int(memory[BOLA_RUNG])
        if rung > last_rung and rung > by_rate:
            rung = min(rung, last_rung if last_rung > by_rate else by_rate + 1)
    memory[BOLA_RUNG] = rung
    return rung


@jit
def gives_up(rule: Rule, memory: NDArray[np.float64], progress: Progress) -> bool:
    """The segment is given up, and the rule asked again."""
    if rule.kind == BOLA:
        return _scores_better(rule, memory, progress)
    return _is_late(rule, progress)


@jit
def _is_late(rule: Rule, progress: Progress) -> bool:
    rate_kbps = progress.received_bits / max(progress.elapsed_s - progress.ttfb_s, 1e-6) / 1000.0
    left_bits = progress.size_bits - progress.received_bits
    total_s = progress.elapsed_s + left_bits / (rate_kbps * BITS_PER_KBIT)
    if total_s <= rule.abandon_ratio * rule.segment_s or progress.elapsed_s < ABANDON_AFTER_S:
        return False
    rung = _sustainable(rule, rate_kbps * rule.safety, progress.ttfb_s)
    share = rule.ladder_kbps[rung] / rule.ladder_kbps[progress.rung]
    return rung < progress.rung and progress.size_bits * share < left_bits


@jit
def _scores_better(rule: Rule, memory: NDArray[np.float64], progress: Progress) -> bool:
    gain_s = memory[BOLA_GAIN_S]
    now = gain_s * rule.worth[progress.rung] - progress.buffer_s
    if now < 0 or gain_s <= 0:
        return False
    left = max(1.0 - progress.received_bits / progress.size_bits, 1e-9)
    now /= left
    best, best_score = -1, -np.inf
    for rung in range(progress.rung):
        share = rule.ladder_kbps[rung] / rule.ladder_kbps[progress.rung]
        if share >= left:  # nor any above it
            break
        score = (gain_s * rule.worth[rung] - progress.buffer_s) / share
        if score > now and score > best_score:
            best, best_score = rung, score
    if best < 0:
        return False
    memory[BOLA_RUNG] = best
    return True
