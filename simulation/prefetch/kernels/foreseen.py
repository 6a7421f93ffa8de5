"""Keep what will be asked for soonest: cache/eviction/expected.py again, for numba to compile.

Each title knows up to four viewers who may ask for it, with the time from which their
probabilities count: for the successor of what they watched, by the model; for what they left in the
middle, by how often that is resumed. Beside them stands its popularity, requests that fade over
months. The worth of holding a title is the probability that it is asked for within `window_s`.
To make room, a few residents are drawn and the one worth least goes, as in sampled LRU; an
unused prefetch counts `spare` times, for its loss costs its fetch as well as the miss.

A source whose prefetches are used less often than it said is believed less, as
edge.prefetch.trust has it: then fewer of them pass the gate.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cache.eviction.expected import LCG_MASK, LCG_MULTIPLIER, LCG_STEP
from cache.eviction.hopes import RESUME_DAY, RESUME_SOON, WEEK_S
from cache.eviction.hopes import VIEWERS_PER_GROUP as VIEWERS_PER_TITLE
from nearcast.horizons import EARLY_POWER, HORIZONS_S
from simulation.prefetch.kernels import counts
from simulation.replay.kernels.jit import jit

SOON_S: Final = HORIZONS_S[0]
DAY_S: Final = HORIZONS_S[1]
RESUME_FINISHED: Final = 0.9


@jit
def within(soon: float, day: float, week: float, time_s: float) -> float:
    """P(asked for within `time_s`): nearcast.horizons.within, compiled."""
    if time_s <= SOON_S:
        if time_s <= 0.0:
            return 0.0
        return float(soon * (time_s / SOON_S) ** EARLY_POWER)
    day = max(day, soon)
    if time_s <= DAY_S:
        return float(soon + (day - soon) * math.log(time_s / SOON_S) / math.log(DAY_S / SOON_S))
    week = max(week, day)
    if time_s <= WEEK_S:
        return float(day + (week - day) * math.log(time_s / DAY_S) / math.log(WEEK_S / DAY_S))
    return week


@jit
def ever(soon: float, day: float, week: float, time_s: float, later: float) -> float:
    """As `within`; of those who have not come in a week, the share `later` comes within four."""
    if time_s <= WEEK_S:
        return within(soon, day, week, time_s)
    week = max(week, day, soon)
    weeks = min(math.log(time_s / WEEK_S) / math.log(4.0), 1.0)
    return week + (1.0 - week) * later * weeks


@jit
def still(
    soon: float, day: float, week: float, waited_s: float, window_s: float, later: float
) -> float:
    """P(asked for within `window_s` from now), having waited in vain for `waited_s`."""
    before = ever(soon, day, week, waited_s, later)
    by_then = ever(soon, day, week, waited_s + window_s, later)
    return (by_then - before) / max(1.0 - before, 1e-6)


@jit
def replay_foreseen(
    at_s: NDArray[np.float64],
    ends_s: NDArray[np.float64],  # (moment,) when the play will be over, if it goes on
    kind: NDArray[np.int8],
    play: NDArray[np.int64],
    probabilities: NDArray[np.float32],  # (moment, 3)
    chance: NDArray[np.float64],  # (moment,) of a use that a fetch now is for
    threshold: NDArray[np.float64],  # (moment,) the least chance at which it pays
    title: NDArray[np.int64],  # (play,)
    successor: NDArray[np.int64],
    viewer: NDArray[np.int64],
    completion: NDArray[np.float64],
    sizes_bytes: NDArray[np.int64],  # (title,)
    capacity_bytes: int,
    warmup_count: int,
    window_s: float,
    popularity_s: float,
    popularity_first: float,
    popularity_again: float,
    popularity_none: float,
    broken_off: float,
    resumed: float,
    later: float,
    spare: float,
    drawn_count: int,
    trust_prior: float,
    trust_half_life_s: float,
) -> NDArray[np.float64]:
    """Figures by `counts`."""
    figures = np.zeros(counts.LENGTH)
    count = len(sizes_bytes)
    place = np.full(count, -1)
    held = np.empty(count, dtype=np.int64)
    held_count = held_bytes = 0
    unused = np.zeros(count, dtype=np.int8)
    said = np.zeros(count)  # the chance at which it was fetched
    who = np.full((count, VIEWERS_PER_TITLE), -1)
    since_s = np.zeros((count, VIEWERS_PER_TITLE))
    hopes = np.zeros((count, VIEWERS_PER_TITLE, 3))
    popularity = np.zeros(count)
    popular_s = np.zeros(count)
    expected = came = trusted_s = 0.0
    state = 1
    for moment in range(len(kind)):
        now_s = at_s[moment]
        of_play = play[moment]
        by = viewer[of_play]
        is_counted = of_play >= warmup_count
        entering = -1
        if kind[moment] == 0:
            wanted = title[of_play]
            size_bytes = sizes_bytes[wanted]
            if is_counted:
                figures[counts.REQUESTS] += 1
                figures[counts.REQUEST_BYTES] += size_bytes
            if place[wanted] < 0:
                entering = wanted
            elif is_counted:
                figures[counts.HITS] += 1
                figures[counts.HIT_BYTES] += size_bytes
            if unused[wanted] > 0:
                if unused[wanted] == 2:
                    figures[counts.USED] += 1
                    figures[counts.USED_BYTES] += size_bytes
                unused[wanted] = 0
                kept = 0.5 ** ((now_s - trusted_s) / trust_half_life_s)
                expected = expected * kept + said[wanted]
                came = came * kept + 1.0
                trusted_s = now_s
            slot = _slot(who, since_s, wanted, by)
            who[wanted, slot] = by
            since_s[wanted, slot] = ends_s[moment]
            hopes[wanted, slot, 0] = broken_off * resumed * RESUME_SOON
            hopes[wanted, slot, 1] = broken_off * resumed * RESUME_DAY
            hopes[wanted, slot, 2] = broken_off * resumed
            fade = math.exp((popular_s[wanted] - now_s) / popularity_s)
            popularity[wanted] = popularity[wanted] * fade + 1.0
            popular_s[wanted] = now_s
        else:
            left = title[of_play]
            if kind[moment] >= 2 and completion[of_play] >= RESUME_FINISHED:
                for slot in range(VIEWERS_PER_TITLE):
                    if who[left, slot] == by:
                        who[left, slot] = -1
            elif kind[moment] >= 2:
                slot = _slot(who, since_s, left, by)
                who[left, slot] = by
                since_s[left, slot] = now_s
                hopes[left, slot, 0] = resumed * RESUME_SOON
                hopes[left, slot, 1] = resumed * RESUME_DAY
                hopes[left, slot, 2] = resumed
            wanted = successor[of_play]
            if wanted < 0:
                continue
            slot = _slot(who, since_s, wanted, by)
            who[wanted, slot] = by
            since_s[wanted, slot] = ends_s[moment]
            for horizon in range(3):
                hopes[wanted, slot, horizon] = probabilities[moment, horizon]
            trust = min((trust_prior + came) / (trust_prior + expected), 1.0)
            if (
                place[wanted] < 0
                and sizes_bytes[wanted] <= capacity_bytes
                and chance[moment] * trust >= threshold[moment]
            ):
                entering = wanted
                said[wanted] = chance[moment]
                unused[wanted] = 1
                if is_counted:
                    unused[wanted] = 2
                    figures[counts.PREFETCHES] += 1
                    figures[counts.PREFETCH_BYTES] += sizes_bytes[wanted]
        if entering < 0 or sizes_bytes[entering] > capacity_bytes:
            continue
        while held_bytes + sizes_bytes[entering] > capacity_bytes:
            least, victim = math.inf, -1
            for _ in range(drawn_count):
                state = (state * LCG_MULTIPLIER + LCG_STEP) & LCG_MASK
                number = held[(state >> 8) % held_count]
                idle = 1.0
                for slot in range(VIEWERS_PER_TITLE):
                    if who[number, slot] >= 0:
                        idle *= 1.0 - still(
                            hopes[number, slot, 0],
                            hopes[number, slot, 1],
                            hopes[number, slot, 2],
                            now_s - since_s[number, slot],
                            window_s,
                            later,
                        )
                known = popularity[number] * math.exp((popular_s[number] - now_s) / popularity_s)
                rate = (
                    popularity_none
                    + popularity_first * known
                    + popularity_again * max(known - 1.0, 0.0)
                )
                worth = 1.0 - idle * math.exp(-rate * window_s / popularity_s)
                if unused[number] > 0:
                    worth *= spare
                if worth < least:
                    least, victim = worth, number
            held_bytes -= sizes_bytes[victim]
            held_count -= 1
            moved = held[held_count]
            held[place[victim]] = moved
            place[moved] = place[victim]
            place[victim] = -1
            if unused[victim] > 0:
                if unused[victim] == 2:
                    figures[counts.WASTED] += 1
                    figures[counts.WASTED_BYTES] += sizes_bytes[victim]
                unused[victim] = 0
                kept = 0.5 ** ((now_s - trusted_s) / trust_half_life_s)
                expected = expected * kept + said[victim]
                came *= kept
                trusted_s = now_s
        held[held_count] = entering
        place[entering] = held_count
        held_count += 1
        held_bytes += sizes_bytes[entering]
    for number in range(count):
        if unused[number] == 2:
            figures[counts.UNUSED] += 1
            figures[counts.UNUSED_BYTES] += sizes_bytes[number]
    return figures


@jit
def _slot(who: NDArray[np.int64], since_s: NDArray[np.float64], number: int, by: int) -> int:
    """Where a viewer is noted at a title: where it is already, a free place, or the oldest."""
    oldest = 0
    free = -1
    for slot in range(VIEWERS_PER_TITLE):
        if who[number, slot] == by:
            return slot
        if who[number, slot] < 0:
            free = slot
        if since_s[number, slot] < since_s[number, oldest]:
            oldest = slot
    return oldest if free < 0 else free
