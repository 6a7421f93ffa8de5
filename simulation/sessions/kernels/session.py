"""Sessions over the plain transport; see simulation/sessions/{engine,watch,history,plain}.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abr.throughput import HALF_LIFE_FAST_S, HALF_LIFE_SLOW_S
from abr.view import ASK_AGAIN, ASK_AGAIN_COUNT_MAX, GO_ON, HISTORY
from nearcast.units import BITS_PER_BYTE, BITS_PER_KBIT
from simulation.sessions.capacity import Links
from simulation.sessions.kernels.jit import fingerprint, jit, jit_kept
from simulation.sessions.kernels.kinds import Floats, Progress, Rule, State, begin, no_samples
from simulation.sessions.kernels.link import position_bits, reaches_s
from simulation.sessions.kernels.rules import abandon, choose
from simulation.sessions.watch import FIRST_BYTES_S, TIME_S_TOLERANCE

# What was measured, forgetting: kbit/s and waits each at two speeds, and how much they stand for.
FAST_KBPS, SLOW_KBPS, WEIGHT_S, FAST_TTFB_S, SLOW_TTFB_S, TTFB_COUNT = range(6)
MEASURE_COUNT = 6


class Play(NamedTuple):
    """What is the same whatever the rule."""

    sizes_bits: Floats
    """(segments, rungs)"""
    hits: NDArray[np.bool_]
    """(n, segments): the edge has it, and sends it so many times as fast."""
    hit_speedup: float
    latency_s: float
    first_rung: int
    """ASK_AGAIN: the rule chooses."""
    can_abandon: bool
    abandon_count_max: int
    moments_s: Floats


class Found(NamedTuple):
    """The arrays of an Outcome, to be filled in."""

    rungs: NDArray[np.int64]
    asked_s: Floats
    here_s: Floats
    buffer_s: Floats
    stalled_s: Floats
    abandoned: NDArray[np.int64]
    wasted_bits: Floats
    kbps: Floats
    ttfb_s: Floats


class Sent(NamedTuple):
    """A request under way."""

    segment_index: int
    rung: int
    tries: int
    sent_s: float
    end_s: float
    span: int
    """In which its first byte came."""
    first_bits: float
    speedup: float
    buffer_s: float


@jit
def _play_session(links: Links, rule: Rule, play: Play, found: Found, row: int) -> None:
    memory, samples, measured = begin(rule), no_samples(), np.zeros(MEASURE_COUNT)
    segments = len(play.sizes_bits)
    limit_s = max(rule.buffer_s_max, rule.segment_s)
    now_s = quiet_s = buffer_s = 0.0
    index, last_rung, next_rung = 0, -1, play.first_rung
    sample_count, span = 0, links.first[row]
    while index < segments:
        wait_s = max(buffer_s + rule.segment_s - limit_s, 0.0)
        now_s += wait_s
        buffer_s -= wait_s
        rung = next_rung
        if rung == ASK_AGAIN:
            state = State(
                buffer_s,
                now_s - quiet_s,
                _estimate_kbps(measured),
                _ttfb_s(measured, rule.segment_s),
                index,
                segments - index,
                last_rung,
                sample_count,
            )
            rung = choose(rule, memory, state, samples)
        is_hit, tries = play.hits[row, index], found.abandoned[row, index]
        size_bits, speedup = play.sizes_bits[index, rung], play.hit_speedup if is_hit else 1.0
        first_s = now_s + play.latency_s
        first_bits, span = position_bits(links, row, first_s, span)
        end_s = max(reaches_s(links, row, first_bits + size_bits / speedup, span), first_s)
        next_rung, received = GO_ON, size_bits
        if play.can_abandon and rung > 0 and index > 0 and tries < ASK_AGAIN_COUNT_MAX:
            sent = Sent(index, rung, tries, now_s, end_s, span, first_bits, speedup, buffer_s)
            next_rung, end_s, received = _watch(links, rule, play, memory, row, sent)
        ttfb_s, duration_s, elapsed_s = first_s - now_s, max(end_s - first_s, 1e-9), end_s - now_s
        samples.size_bytes[sample_count % HISTORY] = received / BITS_PER_BYTE
        samples.took_s[sample_count % HISTORY] = duration_s + ttfb_s
        samples.is_hit[sample_count % HISTORY] = is_hit
        sample_count += 1
        if index > 0:
            found.stalled_s[row, index] += max(elapsed_s - buffer_s, 0.0)
        left_s = max(buffer_s - elapsed_s, 0.0)
        if next_rung == GO_ON:
            kbps = received / duration_s / BITS_PER_KBIT
            _measure(measured, kbps, duration_s, ttfb_s, rule.segment_s)
            found.rungs[row, index] = rung
            found.asked_s[row, index] = now_s
            found.here_s[row, index] = end_s
            found.buffer_s[row, index] = buffer_s
            found.kbps[row, index] = kbps
            found.ttfb_s[row, index] = ttfb_s
            left_s += rule.segment_s
            last_rung, next_rung = rung, ASK_AGAIN
            index += 1
        else:
            found.abandoned[row, index] += 1
            found.wasted_bits[row, index] += received
        now_s = quiet_s = end_s
        buffer_s = left_s


@jit
def _watch(
    links: Links, rule: Rule, play: Play, memory: Floats, row: int, sent: Sent
) -> tuple[int, float, float]:
    """What to fetch instead, or GO_ON; when that was decided, or the segment was here; its bits
    till then."""
    sizes_bits, span = play.sizes_bits[sent.segment_index], sent.span
    ttfb_s = sent.sent_s + play.latency_s - sent.sent_s
    elapsed_s = max(play.moments_s[0], ttfb_s + FIRST_BYTES_S)
    look = 0
    while sent.sent_s + elapsed_s < sent.end_s:
        now_s = sent.sent_s + elapsed_s
        bits, span = position_bits(links, row, now_s, span)
        bits = max(bits - sent.first_bits, 0.0) * sent.speedup
        if bits > 0:
            left_s = max(sent.buffer_s - elapsed_s, 0.0)
            progress = Progress(sizes_bits, sent.rung, bits, elapsed_s, ttfb_s, left_s)
            instead = abandon(rule, memory, progress)
            if instead != GO_ON and (instead < 0 or sent.tries < play.abandon_count_max):
                return instead, now_s, bits
        while play.moments_s[look] <= elapsed_s + TIME_S_TOLERANCE:
            look += 1
        elapsed_s = play.moments_s[look]
    return GO_ON, sent.end_s, sizes_bits[sent.rung]


@jit
def _measure(
    measured: Floats, kbps: float, duration_s: float, ttfb_s: float, segment_s: float
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
def _estimate_kbps(measured: Floats) -> float:
    if measured[WEIGHT_S] == 0:
        return np.nan
    fast: float = measured[FAST_KBPS] / (1.0 - np.exp2(-measured[WEIGHT_S] / HALF_LIFE_FAST_S))
    slow: float = measured[SLOW_KBPS] / (1.0 - np.exp2(-measured[WEIGHT_S] / HALF_LIFE_SLOW_S))
    return min(fast, slow)


@jit
def _ttfb_s(measured: Floats, segment_s: float) -> float:
    count = measured[TTFB_COUNT]
    if count == 0:
        return 0.0
    fast: float = measured[FAST_TTFB_S] / (1.0 - (0.5 ** (segment_s / HALF_LIFE_FAST_S)) ** count)
    slow: float = measured[SLOW_TTFB_S] / (1.0 - (0.5 ** (segment_s / HALF_LIFE_SLOW_S)) ** count)
    return max(fast, slow)


def _kept() -> Callable[[Links, Rule, Play, Found], None]:
    version = fingerprint()

    @jit_kept
    def play_sessions(links: Links, rule: Rule, play: Play, found: Found) -> None:
        """Fill in what happens, whatever the `version`."""
        for row in range(len(found.rungs) if version else 0):
            _play_session(links, rule, play, found, row)

    return play_sessions


play_sessions = _kept()
