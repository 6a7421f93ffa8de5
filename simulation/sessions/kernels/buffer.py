"""BOLA; see abr/controllers/bola.py."""

from __future__ import annotations

import numpy as np

from abr.controllers.bola import SHORT_TITLE_SEGMENTS_MIN
from simulation.sessions.kernels.jit import jit
from simulation.sessions.kernels.kinds import (
    BOLA_GAIN_S,
    BOLA_RUNG,
    Floats,
    Progress,
    Rule,
    State,
    sustainable,
)


@jit
def choose_by_buffer(rule: Rule, memory: Floats, state: State) -> int:
    worth, ladder_kbps = rule.buffer.worth, rule.ladder_kbps
    near = min(state.segment_index, state.segments_left)
    segments = max(near / 2.0, SHORT_TITLE_SEGMENTS_MIN)
    limit_s = min(rule.buffer_s_max, segments * rule.segment_s)
    gain_s = max(limit_s - rule.segment_s, 1e-3) / worth[-1]
    memory[BOLA_GAIN_S] = gain_s
    by_rate = sustainable(rule, state.estimate_kbps * rule.buffer.safety, state.ttfb_s)
    rung = by_rate
    if state.segment_index > 0 and state.last_rung >= 0:
        rung, best = 0, -np.inf
        for other in range(len(ladder_kbps)):
            score = (gain_s * worth[other] - state.buffer_s) / ladder_kbps[other]
            if score > best:
                rung, best = other, score
        last_rung = int(memory[BOLA_RUNG])
        if rung > last_rung and rung > by_rate:
            rung = min(rung, last_rung if last_rung > by_rate else by_rate + 1)
    memory[BOLA_RUNG] = rung
    return rung


@jit
def gives_up_by_buffer(rule: Rule, memory: Floats, progress: Progress) -> bool:
    worth, ladder_kbps, gain_s = rule.buffer.worth, rule.ladder_kbps, memory[BOLA_GAIN_S]
    now = gain_s * worth[progress.rung] - progress.buffer_s
    if now < 0 or gain_s <= 0:
        return False
    left = max(1.0 - progress.received_bits / progress.sizes_bits[progress.rung], 1e-9)
    best, best_score = -1, now / left
    for rung in range(progress.rung):
        share = ladder_kbps[rung] / ladder_kbps[progress.rung]
        if share >= left:  # nor has any above it fewer bits than are left
            break
        score = (gain_s * worth[rung] - progress.buffer_s) / share
        if score > best_score:
            best, best_score = rung, score
    if best < 0:
        return False
    memory[BOLA_RUNG] = best
    return True
