"""Keep the chunks that will be asked for, and fetch those ahead that pay: titles cut into pieces.

A title at a rendition (a *copy*) is a row of chunks that sessions read from its first on. The worth
of holding a chunk is the probability that it is asked for within `window_s`:

* by somebody who is reading the copy now and has not got there yet;
* by a viewer who is expected to come back: for the successor of what they watched, as the model
  says; for what they left in the middle, as often as that was resumed so far;
* by anyone else: starts of the title, fading with `memory_s`, times the share of its sessions at
  this rendition, times the share of sessions that read so far.

To make room a few residents are drawn and the one worth least goes; a newcomer worth less than all
of them is passed on without being kept. Probabilities of the model count times what they were
worth so far, by viewers (foretold against come) and, before anything is fetched, by the bytes that
were fetched ahead and used (as edge.prefetch.trust has it): a model that is wrong loses its say.
Without any expectation of viewers the same rules run on popularity and readers alone.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulation.prefetch.kernels.foreseen import within
from simulation.prefetch.kernels.positions import (
    FIGURES,
    MISS_BYTES,
    PREFETCH_BYTES,
    REQUEST_BYTES,
    TRUST,
    USED_BYTES,
)
from simulation.replay.kernels.jit import jit

REQUEST: Final = 0
LEFT: Final = 1

_RENDITIONS: Final = 5
_READERS: Final = 6  # of one copy that are remembered, the latest
_EXPECTED: Final = 6  # viewers of one copy that are remembered
_READER_S: Final = 90.0  # a reader who asks for nothing that long has left
_STAGES: Final = 20  # classes of how far into a title sessions read
_STAYING: Final = 0.97  # of readers per stage; 62 % of the sessions read all of a title
_MEMORY_OUTCOMES: Final = 500.0  # predictions after which the older half counts no more
_PRIOR_OUTCOMES: Final = 20.0
_RENDITION_PRIOR: Final = 8.0  # sessions: a title's renditions are first expected to be everyone's
_FINISHED: Final = 0.9
TRUST_HALF_LIFE_S: Final = 6 * 3600.0  # as in edge.prefetch.trust; a test holds them together
_TRUST_PRIOR: Final = 0.002  # of the capacity: what a source may waste before it is doubted
_LCG_MULTIPLIER: Final = 1_103_515_245
_LCG_STEP: Final = 12_345
_LCG_MASK: Final = 0x7FFFFFFF

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@jit
def replay_chunks(
    at_s: Floats,  # (event,)
    kind: NDArray[np.int8],  # (event,) REQUEST or LEFT
    session: NDArray[np.int32],  # (event,)
    chunk: NDArray[np.int32],  # (event,) position in the copy
    viewer: Ints,  # (session,) numbered from 0
    item: Ints,  # (session,)
    rendition: Ints,  # (session,)
    completion: Floats,  # (session,) known only once it is left
    half: NDArray[np.float32],  # (session, 3) what the model says half-way
    left: NDArray[np.float32],  # (session, 3) and at the end
    successor: Ints,  # (item,) -1: none
    chunk_count: Ints,  # (item,) of one copy
    first_chunk: Ints,  # (item,) number of the first chunk of the first rendition
    sizes_bytes: Ints,  # (chunk,) of all copies
    copy_of: NDArray[np.int32],  # (chunk,) item * renditions + rendition
    capacity_bytes: int,
    counted_from_s: float,
    window_s: float,
    memory_s: float,
    head_gate: float,
    rest_gate: float,
    has_expectations: bool,
    drawn_count: int,
    seed: int,
) -> Floats:
    """Figures by kernels.positions."""
    figures = np.zeros(FIGURES)
    items = len(chunk_count)
    copies = items * _RENDITIONS
    starts, starts_s = np.zeros(items), np.zeros(items)
    copy_starts, copy_starts_s = np.zeros(copies), np.zeros(copies)
    renditions = np.ones(_RENDITIONS)
    reached = np.ones(_STAGES + 1)
    reader_at = np.full((copies, _READERS), -1, dtype=np.int32)
    reader_s = np.full((copies, _READERS), -1e18)
    expected = np.zeros((copies, _EXPECTED, 3))
    expected_s = np.full((copies, _EXPECTED), -1e18)
    expected_viewer = np.full((copies, _EXPECTED), -1, dtype=np.int64)
    viewers = int(viewer.max()) + 1
    waits_for = np.full(viewers, -1, dtype=np.int64)  # the copy this viewer is expected at
    said = np.zeros(viewers)
    is_resuming = np.zeros(viewers, dtype=np.bool_)
    foretold = came = 0.0
    resumed, paused = 1.0, 4.0
    place = np.full(len(sizes_bytes), -1, dtype=np.int32)
    held = np.empty(len(sizes_bytes), dtype=np.int32)
    held_count = 0
    held_bytes = 0
    unused = np.zeros(len(sizes_bytes), dtype=np.bool_)
    said_ahead = np.zeros(len(sizes_bytes))
    trust_bytes = capacity_bytes * _TRUST_PRIOR
    should_bytes = used_bytes = trust_s = 0.0
    state = seed
    said_now = 0.0
    none = np.zeros(3)
    for event in range(len(at_s)):
        now_s = at_s[event]
        play = session[event]
        own_item = item[play]
        own_copy = own_item * _RENDITIONS + rendition[play]
        who = viewer[play]
        missed = -1
        ahead = ahead_end = 0  # chunks to be fetched ahead
        is_counted = now_s >= counted_from_s
        asks = none
        about = -1
        if kind[event] == LEFT:
            if has_expectations:
                if completion[play] >= _FINISHED and successor[own_item] >= 0:
                    about = successor[own_item] * _RENDITIONS + rendition[play]
                    asks = left[play].astype(np.float64)
                elif completion[play] < _FINISHED:
                    about = own_copy
                    share = resumed / paused
                    asks = np.array([share * 0.2, share * 0.75, share])
        else:
            position = chunk[event]
            wanted = first_chunk[own_item] + rendition[play] * chunk_count[own_item] + position
            stage = int(position / chunk_count[own_item] * _STAGES)
            if position == 0:
                starts[own_item] = 1.0 + starts[own_item] * math.exp(
                    (starts_s[own_item] - now_s) / memory_s
                )
                starts_s[own_item] = now_s
                copy_starts[own_copy] = 1.0 + copy_starts[own_copy] * math.exp(
                    (copy_starts_s[own_copy] - now_s) / memory_s
                )
                copy_starts_s[own_copy] = now_s
                renditions[rendition[play]] += 1.0
                # What was said of this viewer is settled by what they do next.
                copy = waits_for[who]
                if copy >= 0:
                    is_right = copy == own_copy
                    if is_resuming[who]:
                        resumed += is_right
                    else:
                        foretold = foretold * (1.0 - 1.0 / _MEMORY_OUTCOMES) + said[who]
                        came = came * (1.0 - 1.0 / _MEMORY_OUTCOMES) + is_right
                    for slot in range(_EXPECTED):
                        if expected_viewer[copy, slot] == who:
                            expected_viewer[copy, slot] = -1
                            expected_s[copy, slot] = -1e18
                    waits_for[who] = -1
            if position == 0 or int((position - 1) / chunk_count[own_item] * _STAGES) < stage:
                reached[stage] += 1.0
            slot = 0
            for each in range(_READERS):
                if (
                    reader_at[own_copy, each] == position - 1
                    and now_s - reader_s[own_copy, each] < _READER_S
                ):
                    slot = each
                    break
                if reader_s[own_copy, each] < reader_s[own_copy, slot]:
                    slot = each
            reader_at[own_copy, slot] = position
            reader_s[own_copy, slot] = now_s
            if is_counted:
                figures[REQUEST_BYTES] += sizes_bytes[wanted]
                if place[wanted] < 0:
                    figures[MISS_BYTES] += sizes_bytes[wanted]
                elif unused[wanted]:
                    figures[USED_BYTES] += sizes_bytes[wanted]
            if unused[wanted]:
                should_bytes += said_ahead[wanted] * sizes_bytes[wanted]
                used_bytes += sizes_bytes[wanted]
                unused[wanted] = False
            if place[wanted] < 0:
                missed = wanted
            if (
                has_expectations
                and position == chunk_count[own_item] // 2
                and successor[own_item] >= 0
            ):
                about = successor[own_item] * _RENDITIONS + rendition[play]
                asks = half[play].astype(np.float64)
        if about >= 0:
            # One expectation a viewer: the latest.
            if waits_for[who] >= 0:
                for slot in range(_EXPECTED):
                    if expected_viewer[waits_for[who], slot] == who:
                        expected_viewer[waits_for[who], slot] = -1
                        expected_s[waits_for[who], slot] = -1e18
            slot = 0
            for each in range(_EXPECTED):
                if expected_s[about, each] < expected_s[about, slot]:
                    slot = each
            expected[about, slot] = asks
            expected_s[about, slot] = now_s
            expected_viewer[about, slot] = who
            waits_for[who] = about
            said[who] = within(asks[0], asks[1], asks[2], 604_800.0)
            is_resuming[who] = about == own_copy
            if is_resuming[who]:
                paused += 1.0
            else:
                aged = 0.5 ** ((now_s - trust_s) / TRUST_HALF_LIFE_S)
                should_bytes, used_bytes, trust_s = should_bytes * aged, used_bytes * aged, now_s
                trust = min(
                    1.0,
                    (_PRIOR_OUTCOMES + came) / (_PRIOR_OUTCOMES + foretold),
                    (trust_bytes + used_bytes) / (trust_bytes + should_bytes),
                )
                said_now = within(asks[0], asks[1], asks[2], window_s)
                chance = trust * said_now
                of_item = about // _RENDITIONS
                ahead = first_chunk[of_item] + (about % _RENDITIONS) * chunk_count[of_item]
                ahead_end = ahead
                if chance >= rest_gate:
                    ahead_end = ahead + chunk_count[of_item]
                elif chance >= head_gate:
                    ahead_end = ahead + 1
        trust = min(1.0, (_PRIOR_OUTCOMES + came) / (_PRIOR_OUTCOMES + foretold))
        first = ahead if missed < 0 else ahead - 1  # the chunk asked for comes before
        for each_number in range(first, max(ahead_end, ahead)):
            is_ahead = each_number >= ahead
            number = each_number if is_ahead else missed
            if place[number] >= 0:
                continue
            size_bytes = sizes_bytes[number]
            if size_bytes > capacity_bytes:
                continue
            is_kept = True
            while held_bytes + size_bytes > capacity_bytes:
                least, victim = 2.0, -1
                for draw in range(drawn_count + 1):
                    if draw == drawn_count:
                        candidate = number
                    else:
                        state = (state * _LCG_MULTIPLIER + _LCG_STEP) & _LCG_MASK
                        candidate = held[(state >> 8) % held_count]
                    # The worth of holding the candidate.
                    copy = copy_of[candidate]
                    of_item = copy // _RENDITIONS
                    of_rendition = copy % _RENDITIONS
                    count = chunk_count[of_item]
                    at = candidate - first_chunk[of_item] - of_rendition * count
                    popular = starts[of_item] * math.exp((starts_s[of_item] - now_s) / memory_s)
                    at_rendition = copy_starts[copy] * math.exp(
                        (copy_starts_s[copy] - now_s) / memory_s
                    )
                    usual = renditions[of_rendition] / renditions.sum()
                    share = (at_rendition + _RENDITION_PRIOR * usual) / (
                        max(popular, at_rendition) + _RENDITION_PRIOR
                    )
                    stays = min(1.0, reached[int(at / count * _STAGES)] / reached[0])
                    rate = popular / memory_s * share * stays * window_s
                    not_asked = 1.0 / (1.0 + rate)
                    for each in range(_READERS):
                        gap = at - reader_at[copy, each]
                        if now_s - reader_s[copy, each] < _READER_S and gap > 0:
                            comes = _STAYING ** (gap * _STAGES / count)
                            not_asked *= 1.0 - comes * math.exp(-60.0 * gap / window_s)
                    if has_expectations:
                        for each in range(_EXPECTED):
                            age_s = now_s - expected_s[copy, each]
                            if age_s < 604_800.0:
                                soon, day, week = expected[copy, each]
                                by_now = within(soon, day, week, age_s)
                                if by_now < 0.999:
                                    later = within(soon, day, week, age_s + window_s) - by_now
                                    chance = later / (1.0 - by_now)
                                    not_asked *= 1.0 - min(1.0, trust * chance * stays)
                    worth = 1.0 - not_asked
                    if worth < least:
                        least, victim = worth, candidate
                if victim == number:
                    is_kept = False
                    break
                last = held[held_count - 1]
                held[place[victim]] = last
                place[last] = place[victim]
                place[victim] = -1
                if unused[victim]:
                    should_bytes += said_ahead[victim] * sizes_bytes[victim]
                    unused[victim] = False
                held_count -= 1
                held_bytes -= sizes_bytes[victim]
            if is_kept:
                held[held_count] = number
                place[number] = held_count
                held_count += 1
                held_bytes += size_bytes
                if is_ahead:
                    unused[number] = True
                    said_ahead[number] = said_now
                    if is_counted:
                        figures[PREFETCH_BYTES] += size_bytes
    figures[TRUST] = min(1.0, (_PRIOR_OUTCOMES + came) / (_PRIOR_OUTCOMES + foretold))
    return figures
