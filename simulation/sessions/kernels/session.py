"""Sessions over the plain transport; see simulation/sessions/{engine,watch,history,plain}.py."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abr.throughput import HALF_LIFE_FAST_S, HALF_LIFE_SLOW_S
from nearcast.units import BITS_PER_KBIT
from simulation.replay.kernels.jit import jit
from simulation.sessions.capacity import Links
from simulation.sessions.kernels.link import position_bits, reaches_s
from simulation.sessions.kernels.rules import (
    LOW_BUFFER_SAFETY,
    MEMORY_COUNT,
    Progress,
    Rule,
    State,
    choose,
    gives_up,
)
from simulation.sessions.watch import ASK_AGAIN_COUNT_MAX, FIRST_BYTES_S, TIME_S_TOLERANCE

# What was measured, forgetting: kbit/s and waits each at two speeds, and how much they stand for.
FAST_KBPS, SLOW_KBPS, WEIGHT_S, FAST_TTFB_S, SLOW_TTFB_S, TTFB_COUNT = range(6)
MEASURE_COUNT = 6


class Play(NamedTuple):
    """What is the same for all sessions of a run, but for the edge."""

    sizes_bits: NDArray[np.float64]
    """(segments, rungs)"""
    speedups: NDArray[np.float64]
    """(n, segments): so many times as fast as the link does a segment come."""
    latency_s: float
    first_rung: int
    """-1: the rule chooses."""
    can_abandon: bool
    moments_s: NDArray[np.float64]


class Found(NamedTuple):
    """The arrays of an Outcome, to be filled in."""

    rungs: NDArray[np.int64]
    asked_s: NDArray[np.float64]
    here_s: NDArray[np.float64]
    buffer_s: NDArray[np.float64]
    stalled_s: NDArray[np.float64]
    abandoned: NDArray[np.int64]
    wasted_bits: NDArray[np.float64]
    kbps: NDArray[np.float64]
    ttfb_s: NDArray[np.float64]


@jit
def play_sessions(links: Links, rule: Rule, play: Play, found: Found) -> None:
    for row in range(len(found.rungs)):
        _play_session(links, rule, play, found, row)


@jit
def _play_session(links: Links, rule: Rule, play: Play, found: Found, row: int) -> None:
    segments = len(play.sizes_bits)
    memory = np.zeros(MEMORY_COUNT)
    memory[LOW_BUFFER_SAFETY] = rule.low_buffer_safety_first
    measured = np.zeros(MEASURE_COUNT)
    limit_s = max(rule.buffer_s_max, rule.segment_s)
    now_s = buffer_s = 0.0
    last_rung, index, span = -1, 0, links.first[row]
    while index < segments:
        wait_s = max(buffer_s + rule.segment_s - limit_s, 0.0)
        now_s += wait_s
        buffer_s -= wait_s
        rung = play.first_rung
        if index > 0 or rung < 0:
            kbps, wait_s = _estimate_kbps(measured), _ttfb_s(measured, rule.segment_s)
            state = State(buffer_s, kbps, wait_s, index, segments - index, last_rung)
            rung = choose(rule, memory, state)
        size_bits, speedup = play.sizes_bits[index, rung], play.speedups[row, index]
        first_s = now_s + play.latency_s
        first_bits, span = position_bits(links, row, first_s, span)
        end_s = max(reaches_s(links, row, first_bits + size_bits / speedup, span), first_s)
        lost_s, lost_bits = np.inf, 0.0
        tries = found.abandoned[row, index]
        if play.can_abandon and rung > 0 and index > 0 and tries < ASK_AGAIN_COUNT_MAX:
            lost_s, lost_bits = _watch(
                links,
                rule,
                play,
                memory,
                row,
                span,
                rung,
                index,
                now_s,
                first_bits,
                end_s,
                buffer_s,
            )
        is_whole = lost_s == np.inf
        if not is_whole:
            end_s = lost_s
        ttfb_s, duration_s = first_s - now_s, max(end_s - first_s, 1e-9)
        elapsed_s = end_s - now_s
        if index > 0:
            found.stalled_s[row, index] += max(elapsed_s - buffer_s, 0.0)
        if is_whole:
            kbps = size_bits / duration_s / BITS_PER_KBIT
            _measure(measured, kbps, duration_s, ttfb_s, rule.segment_s)
            found.rungs[row, index] = rung
            found.asked_s[row, index] = now_s
            found.here_s[row, index] = end_s
            found.buffer_s[row, index] = buffer_s
            found.kbps[row, index] = kbps
            found.ttfb_s[row, index] = ttfb_s
            last_rung = rung
            index += 1
        else:
            found.abandoned[row, index] += 1
            found.wasted_bits[row, index] += lost_bits
        buffer_s = max(buffer_s - elapsed_s, 0.0) + (rule.segment_s if is_whole else 0.0)
        now_s = end_s


@jit
def _watch(
    links: Links,
    rule: Rule,
    play: Play,
    memory: NDArray[np.float64],
    row: int,
    span: int,
    rung: int,
    index: int,
    sent_s: float,
    first_bits: float,
    end_s: float,
    buffer_s: float,
) -> tuple[float, float]:
    """When the segment was given up, inf if not, and the bits that had come."""
    size_bits, speedup = play.sizes_bits[index, rung], play.speedups[row, index]
    ttfb_s = sent_s + play.latency_s - sent_s
    elapsed_s = max(play.moments_s[0], ttfb_s + FIRST_BYTES_S)
    look = 0
    while sent_s + elapsed_s < end_s:
        now_s = sent_s + elapsed_s
        bits, span = position_bits(links, row, now_s, span)
        bits = max(bits - first_bits, 0.0) * speedup
        left_s = max(buffer_s - elapsed_s, 0.0)
        if bits > 0:
            progress = Progress(rung, size_bits, bits, elapsed_s, ttfb_s, left_s)
            if gives_up(rule, memory, progress):
                return now_s, bits
        while play.moments_s[look] <= elapsed_s + TIME_S_TOLERANCE:
            look += 1
        elapsed_s = play.moments_s[look]
    return np.inf, 0.0


@jit
def _measure(
    measured: NDArray[np.float64], kbps: float, duration_s: float, ttfb_s: float, segment_s: float
) -> None:
    """One more transfer."""
    for half_life_s, rate, wait in (
        (HALF_LIFE_FAST_S, FAST_KBPS, FAST_TTFB_S),
        (HALF_LIFE_SLOW_S, SLOW_KBPS, SLOW_TTFB_S),
    ):
        keep = np.exp2(-duration_s / half_life_s)
        measured[rate] = keep * measured[rate] + (1.0 - keep) * kbps
        keep = 0.5 ** (segment_s / half_life_s)
        measured[wait] = keep * measured[wait] + (1.0 - keep) * ttfb_s
    measured[WEIGHT_S] += duration_s
    measured[TTFB_COUNT] += 1


@jit
def _estimate_kbps(measured: NDArray[np.float64]) -> float:
    if measured[WEIGHT_S] == 0:
        return np.nan
    fast: float = measured[FAST_KBPS] / (1.0 - np.exp2(-measured[WEIGHT_S] / HALF_LIFE_FAST_S))
    slow: float = measured[SLOW_KBPS] / (1.0 - np.exp2(-measured[WEIGHT_S] / HALF_LIFE_SLOW_S))
    return min(fast, slow)


@jit
def _ttfb_s(measured: NDArray[np.float64], segment_s: float) -> float:
    count = measured[TTFB_COUNT]
    if count == 0:
        return 0.0
    fast: float = measured[FAST_TTFB_S] / (1.0 - (0.5 ** (segment_s / HALF_LIFE_FAST_S)) ** count)
    slow: float = measured[SLOW_TTFB_S] / (1.0 - (0.5 ** (segment_s / HALF_LIFE_SLOW_S)) ** count)
    return max(fast, slow)
