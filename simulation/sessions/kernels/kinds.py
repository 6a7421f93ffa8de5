"""What a rule is, what it is told, and what it remembers of a session."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abr.view import HISTORY
from simulation.sessions.kernels.jit import jit

THROUGHPUT, BOLA, DYNAMIC, BOLA_E, DYNAMIC_DASH, HYBRID = range(6)

Floats = NDArray[np.float64]

# What all rules remember of a session, in one array.
RATE_SAFETY, BOLA_RUNG, BOLA_GAIN_S, IS_BOLA = range(4)
E_SAFETY, E_PLACEHOLDER_S, E_RUNG, E_INSTEAD, E_HAS_STARTED = range(4, 9)
MEMORY_COUNT = 9


class Rate(NamedTuple):
    """The throughput rule's parameters."""

    safety: float
    low_buffer_safety_first: float
    low_buffer_safety: float
    abandon_ratio: float


class Buffer(NamedTuple):
    """BOLA's. `worth` (rungs,): utility + gamma p."""

    worth: Floats
    safety: float


class Placeholder(NamedTuple):
    """BOLA-E's. The levels are (rungs,): see abr/controllers/bola_e.py."""

    lowest_s: Floats
    highest_s: Floats
    low_buffer_safety_first: float
    low_buffer_safety: float


class Median(NamedTuple):
    """The hybrid's."""

    safety: float
    up_buffer_s: float
    down_buffer_s: float
    window_weight: float


class Rule(NamedTuple):
    """A rule with the parameters of all its parts. Below `leave_s` of buffer a rule of two parts
    goes by rate, above `enter_s` by buffer."""

    kind: int
    ladder_kbps: Floats
    segment_s: float
    buffer_s_max: float
    leave_s: float
    enter_s: float
    rate: Rate
    buffer: Buffer
    placeholder: Placeholder
    median: Median


class Samples(NamedTuple):
    """Of the last transfers, in a ring: the newest at `(count - 1) % HISTORY`. (HISTORY,) each."""

    size_bytes: Floats
    took_s: Floats
    """First byte included."""
    is_hit: NDArray[np.bool_]


class State(NamedTuple):
    """Of one session, before it asks for its next segment."""

    buffer_s: float
    gap_s: float
    estimate_kbps: float
    ttfb_s: float
    segment_index: int
    segments_left: int
    last_rung: int
    sample_count: int


class Progress(NamedTuple):
    """Of a segment under way, some of which is here."""

    sizes_bits: Floats
    """(rungs,): of this segment."""
    rung: int
    received_bits: float
    elapsed_s: float
    ttfb_s: float
    buffer_s: float


@jit
def begin(rule: Rule) -> Floats:
    """What is remembered of a session that has not begun."""
    memory = np.zeros(MEMORY_COUNT)
    memory[RATE_SAFETY] = rule.rate.low_buffer_safety_first
    memory[E_SAFETY] = rule.placeholder.low_buffer_safety_first
    memory[E_INSTEAD] = -1.0
    return memory


@jit
def no_samples() -> Samples:
    return Samples(np.zeros(HISTORY), np.zeros(HISTORY), np.zeros(HISTORY, dtype=np.bool_))


@jit
def rate_kbps(progress: Progress) -> float:
    """Since the first byte."""
    return progress.received_bits / max(progress.elapsed_s - progress.ttfb_s, 1e-6) / 1000.0


@jit
def highest_within(ladder_kbps: Floats, limit_kbps: float) -> int:
    """The highest rung up to the limit, which may be NaN; else 0."""
    rung = 0
    while rung + 1 < len(ladder_kbps) and ladder_kbps[rung + 1] <= limit_kbps:
        rung += 1
    return rung


@jit
def sustainable(rule: Rule, rate_kbps: float, ttfb_s: float) -> int:
    """The highest rung whose segments come within their own duration."""
    return highest_within(rule.ladder_kbps, rate_kbps * (1.0 - ttfb_s / rule.segment_s))
