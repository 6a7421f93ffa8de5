"""LRU; see cache/eviction/lru.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulation.replay.kernels.jit import jit
from simulation.replay.kernels.rings import NEWER, push, rings, unlink


@jit
def replay_lru(
    objects: NDArray[np.int32],  # (request,)
    sizes_bytes: NDArray[np.int64],  # (object,)
    capacity_bytes: int,
    warmup_count: int,
) -> tuple[int, int]:
    """Requests and bytes missed after the warm-up."""
    queue = len(sizes_bytes)
    links = rings(queue, 1)
    is_resident = np.zeros(queue, dtype=np.bool_)
    size_bytes = miss_count = miss_bytes = 0
    for request in range(len(objects)):
        number = objects[request]
        if is_resident[number]:
            unlink(links, number)
            push(links, queue, number)
            continue
        object_bytes = sizes_bytes[number]
        if request >= warmup_count:
            miss_count += 1
            miss_bytes += object_bytes
        if object_bytes > capacity_bytes:
            continue
        while size_bytes + object_bytes > capacity_bytes:
            victim = links[queue, NEWER]
            unlink(links, victim)
            is_resident[victim] = False
            size_bytes -= sizes_bytes[victim]
        push(links, queue, number)
        is_resident[number] = True
        size_bytes += object_bytes
    return miss_count, miss_bytes
