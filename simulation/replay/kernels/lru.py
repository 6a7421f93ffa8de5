"""LRU; see cache/eviction/lru.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulation.replay.kernels.jit import jit
from simulation.replay.kernels.rings import NEWER, SIZE, STATE, push, rings, unlink


@jit
def replay_lru(
    objects: NDArray[np.int32],  # (request,)
    sizes_bytes: NDArray[np.int64],  # (object,)
    capacity_bytes: int,
    warmup_count: int,
) -> tuple[int, int]:
    """Requests and bytes missed after the warm-up."""
    queue = len(sizes_bytes)
    rows = rings(sizes_bytes, 1)
    size_bytes = miss_count = miss_bytes = 0
    for request in range(len(objects)):
        number = objects[request]
        if rows[number, STATE]:
            unlink(rows, number)
            push(rows, queue, number)
            continue
        object_bytes = rows[number, SIZE]
        if request >= warmup_count:
            miss_count += 1
            miss_bytes += object_bytes
        if object_bytes > capacity_bytes:
            continue
        while size_bytes + object_bytes > capacity_bytes:
            victim = rows[queue, NEWER]
            unlink(rows, victim)
            rows[victim, STATE] = 0
            size_bytes -= rows[victim, SIZE]
        push(rows, queue, number)
        rows[number, STATE] = 1
        size_bytes += object_bytes
    return miss_count, miss_bytes
