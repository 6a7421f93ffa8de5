"""EXPECTED where nobody foresees anything and no time passes; see cache/eviction/expected.py."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cache.eviction.expected import LCG_MASK, LCG_MULTIPLIER, LCG_STEP
from simulation.replay.kernels.jit import jit


@jit
def replay_expected(
    objects: NDArray[np.int32],  # (request,)
    sizes_bytes: NDArray[np.int64],  # (object,)
    capacity_bytes: int,
    warmup_count: int,
    window_s: float,
    popularity_s: float,
    popularity_first: float,
    popularity_again: float,
    popularity_none: float,
    drawn_count: int,
) -> tuple[int, int]:
    """Requests and bytes missed after the warm-up. Unlike the plain policy it forgets no object's
    requests; that one does where there are more than cache.eviction.hopes.GROUPS_MAX."""
    count = len(sizes_bytes)
    uses = np.zeros(count)
    place = np.full(count, -1)
    held = np.empty(count, dtype=np.int64)
    held_count = size_bytes = miss_count = miss_bytes = 0
    state = 1
    for request in range(len(objects)):
        number = objects[request]
        if place[number] >= 0:
            uses[number] += 1.0
            continue
        object_bytes = sizes_bytes[number]
        if request >= warmup_count:
            miss_count += 1
            miss_bytes += object_bytes
        if object_bytes > capacity_bytes:
            continue
        while size_bytes + object_bytes > capacity_bytes:
            least, victim = math.inf, -1
            for _ in range(drawn_count):
                state = (state * LCG_MULTIPLIER + LCG_STEP) & LCG_MASK
                drawn = held[(state >> 8) % held_count]
                rate = (
                    popularity_none
                    + popularity_first * uses[drawn]
                    + popularity_again * max(uses[drawn] - 1.0, 0.0)
                )
                worth = 1.0 - math.exp(-rate * window_s / popularity_s)
                if worth < least:
                    least, victim = worth, drawn
            size_bytes -= sizes_bytes[victim]
            held_count -= 1
            moved = held[held_count]
            held[place[victim]] = moved
            place[moved] = place[victim]
            place[victim] = -1
        held[held_count] = number
        place[number] = held_count
        held_count += 1
        size_bytes += object_bytes
        uses[number] += 1.0
    return miss_count, miss_bytes
