"""SIEVE; see cache/eviction/sieve.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulation.replay.kernels.jit import jit
from simulation.replay.kernels.rings import NEWER, SIZE, STATE, push, rings, unlink

_ABSENT, _PLAIN, _MARKED = 0, 1, 2


@jit
def replay_sieve(
    objects: NDArray[np.int32],  # (request,)
    sizes_bytes: NDArray[np.int64],  # (object,)
    capacity_bytes: int,
    warmup_count: int,
) -> tuple[int, int]:
    """Requests and bytes missed after the warm-up."""
    queue = len(sizes_bytes)
    rows = rings(sizes_bytes, 1)
    hand = queue  # on the anchor: it starts at the oldest
    size_bytes = miss_count = miss_bytes = 0
    for request in range(len(objects)):
        number = objects[request]
        if rows[number, STATE] != _ABSENT:
            rows[number, STATE] = _MARKED
            continue
        object_bytes = rows[number, SIZE]
        if request >= warmup_count:
            miss_count += 1
            miss_bytes += object_bytes
        if object_bytes > capacity_bytes:
            continue
        while size_bytes + object_bytes > capacity_bytes:
            if hand == queue:
                hand = rows[queue, NEWER]
            while rows[hand, STATE] == _MARKED:
                rows[hand, STATE] = _PLAIN
                hand = rows[hand, NEWER]
                if hand == queue:
                    hand = rows[queue, NEWER]
            victim = hand
            hand = rows[victim, NEWER]
            unlink(rows, victim)
            rows[victim, STATE] = _ABSENT
            size_bytes -= rows[victim, SIZE]
        push(rows, queue, number)
        rows[number, STATE] = _PLAIN
        size_bytes += object_bytes
    return miss_count, miss_bytes
