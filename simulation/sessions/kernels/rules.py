"""Which rule does what."""

from __future__ import annotations

from abr.view import ASK_AGAIN, GO_ON
from simulation.sessions.kernels.buffer import choose_by_buffer, gives_up_by_buffer
from simulation.sessions.kernels.jit import jit
from simulation.sessions.kernels.kinds import (
    BOLA,
    BOLA_E,
    DYNAMIC,
    DYNAMIC_DASH,
    HYBRID,
    IS_BOLA,
    THROUGHPUT,
    Floats,
    Progress,
    Rule,
    Samples,
    State,
)
from simulation.sessions.kernels.median import choose_by_median, lower_rung
from simulation.sessions.kernels.placeholder import (
    decide,
    note_given_up,
    observe,
    rung_that_scores_better,
)
from simulation.sessions.kernels.rate import choose_by_rate, rung_instead


@jit
def choose(rule: Rule, memory: Floats, state: State, samples: Samples) -> int:
    """The rung of the next segment."""
    if rule.kind == THROUGHPUT:
        return choose_by_rate(rule, memory, state)
    if rule.kind == BOLA:
        return choose_by_buffer(rule, memory, state)
    if rule.kind == DYNAMIC:
        return _choose_dynamic(rule, memory, state)
    if rule.kind == HYBRID:
        return choose_by_median(rule, state, samples)
    observe(rule, memory, state, samples)
    if rule.kind == DYNAMIC_DASH:
        was_bola = memory[IS_BOLA] > 0
        is_bola = state.buffer_s >= rule.leave_s if was_bola else state.buffer_s > rule.enter_s
        memory[IS_BOLA] = 1.0 if is_bola else 0.0
        if not is_bola:
            return choose_by_rate(rule, memory, state)
    return decide(rule, memory, state)


@jit
def _choose_dynamic(rule: Rule, memory: Floats, state: State) -> int:
    by_rate = choose_by_rate(rule, memory, state)
    by_buffer = choose_by_buffer(rule, memory, state)
    if memory[IS_BOLA] > 0:
        is_bola = not (state.buffer_s < rule.leave_s and by_buffer < by_rate)
    else:
        is_bola = state.buffer_s > rule.enter_s and by_buffer >= by_rate
    memory[IS_BOLA] = 1.0 if is_bola else 0.0
    return by_buffer if is_bola else by_rate


@jit
def abandon(rule: Rule, memory: Floats, progress: Progress) -> int:
    """The rung to fetch the segment at instead, or GO_ON, or ASK_AGAIN."""
    if rule.kind == BOLA:
        return ASK_AGAIN if gives_up_by_buffer(rule, memory, progress) else GO_ON
    if rule.kind == HYBRID:
        return lower_rung(rule, progress)
    if rule.kind == BOLA_E or (rule.kind == DYNAMIC_DASH and memory[IS_BOLA] > 0):
        instead = rung_that_scores_better(rule, memory, progress)
    else:
        instead = rung_instead(rule, progress)
    note_given_up(memory, progress.rung, instead)
    return GO_ON if instead == GO_ON else ASK_AGAIN
