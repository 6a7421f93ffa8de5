"""S3-FIFO; see cache/eviction/s3fifo.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cache.eviction.policy import GHOST_COUNT_MAX
from simulation.replay.kernels.jit import jit
from simulation.replay.kernels.rings import NEWER, push, rings, unlink

_GHOST = -1  # in `state`; 0: unknown; above: resident, and hits + 1


@jit
def replay_s3fifo(
    objects: NDArray[np.int32],  # (request,)
    sizes_bytes: NDArray[np.int64],  # (object,)
    capacity_bytes: int,
    warmup_count: int,
    small_share: float,
    ghost_share: float,
    hit_count_max: int,
    promotion_hit_count: int,
    object_share_max: float,
) -> tuple[int, int]:
    """Requests and bytes missed after the warm-up."""
    small, main, ghost = len(sizes_bytes), len(sizes_bytes) + 1, len(sizes_bytes) + 2
    links = rings(small, 3)
    state = np.zeros(small, dtype=np.int32)
    small_bytes_max = capacity_bytes * small_share
    object_bytes_max = capacity_bytes * object_share_max
    main_bytes_max = capacity_bytes - small_bytes_max
    ghost_bytes_max = capacity_bytes * ghost_share
    small_bytes = main_bytes = ghost_bytes = ghost_count = 0
    has_evicted = False
    miss_count = miss_bytes = 0
    for request in range(len(objects)):
        number = objects[request]
        if state[number] > 0:
            if state[number] <= hit_count_max:
                state[number] += 1
            continue
        object_bytes = sizes_bytes[number]
        if request >= warmup_count:
            miss_count += 1
            miss_bytes += object_bytes
        room_bytes = capacity_bytes - small_bytes - main_bytes
        if object_bytes > capacity_bytes or object_bytes > max(room_bytes, object_bytes_max):
            continue
        while small_bytes + main_bytes + object_bytes > capacity_bytes:
            has_evicted = True
            is_main_due = True
            if small_bytes >= small_bytes_max or main_bytes == 0:
                while small_bytes:
                    victim = links[small, NEWER]
                    victim_bytes = sizes_bytes[victim]
                    unlink(links, victim)
                    small_bytes -= victim_bytes
                    if state[victim] - 1 < promotion_hit_count:
                        state[victim] = _GHOST
                        push(links, ghost, victim)
                        ghost_bytes += victim_bytes
                        ghost_count += 1
                        while ghost_bytes > ghost_bytes_max or ghost_count > GHOST_COUNT_MAX:
                            forgotten = links[ghost, NEWER]
                            unlink(links, forgotten)
                            state[forgotten] = 0
                            ghost_bytes -= sizes_bytes[forgotten]
                            ghost_count -= 1
                        is_main_due = False
                        break
                    state[victim] = 1
                    push(links, main, victim)
                    main_bytes += victim_bytes
                    if main_bytes > main_bytes_max:
                        break
            while is_main_due:
                victim = links[main, NEWER]
                unlink(links, victim)
                if state[victim] == 1:
                    state[victim] = 0
                    main_bytes -= sizes_bytes[victim]
                    is_main_due = False
                else:
                    state[victim] -= 1
                    push(links, main, victim)
        if state[number] == _GHOST:
            unlink(links, number)
            ghost_bytes -= object_bytes
            ghost_count -= 1
            push(links, main, number)
            main_bytes += object_bytes
        elif not has_evicted and small_bytes >= small_bytes_max:
            push(links, main, number)
            main_bytes += object_bytes
        else:
            push(links, small, number)
            small_bytes += object_bytes
        state[number] = 1
    return miss_count, miss_bytes
