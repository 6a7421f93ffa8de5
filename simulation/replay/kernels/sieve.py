"""SIEVE; see cache/eviction/sieve.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulation.replay.kernels.jit import jit
from simulation.replay.kernels.rings import NEWER, push, rings, unlink

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
    links = rings(queue, 1)
    state = np.zeros(queue, dtype=np.int8)
    hand = queue  # on the anchor: it starts at the oldest
    size_bytes = miss_count = miss_bytes = 0
    for request in range(len(objects)):
        number = objects[request]
        if state[number] != _ABSENT:
            state[number] = _MARKED
            continue
        object_bytes = sizes_bytes[number]
        if request >= warmup_count:
            miss_count += 1
            miss_bytes += object_bytes
        if object_bytes > capacity_bytes:
            continue
        while size_bytes + object_bytes > capacity_bytes:
            if hand == queue:
                hand = links[queue, NEWER]
            while state[hand] == _MARKED:
                state[hand] = _PLAIN
                hand = links[hand, NEWER]
                if hand == queue:
                    hand = links[queue, NEWER]
            victim = hand
            hand = links[victim, NEWER]
            unlink(links, victim)
            state[victim] = _ABSENT
            size_bytes -= sizes_bytes[victim]
        push(links, queue, number)
        state[number] = _PLAIN
        size_bytes += object_bytes
    return miss_count, miss_bytes
