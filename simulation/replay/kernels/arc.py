"""ARC; see cache/eviction/arc.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cache.eviction.policy import GHOST_COUNT_MAX
from simulation.replay.kernels.jit import jit
from simulation.replay.kernels.rings import NEWER, push, rings, unlink

_NONE = -1
_UNKNOWN, _ONCE, _MORE, _ONCE_GHOST, _MORE_GHOST = 0, 1, 2, 3, 4


@jit
def replay_arc(
    objects: NDArray[np.int32],  # (request,)
    sizes_bytes: NDArray[np.int64],  # (object,)
    capacity_bytes: int,
    warmup_count: int,
    is_step_sized: bool,
) -> tuple[int, int]:
    """Requests and bytes missed after the warm-up."""
    once = len(sizes_bytes)
    more, once_ghost, more_ghost = once + 1, once + 2, once + 3
    links = rings(once, 4)
    state = np.zeros(once, dtype=np.int8)
    once_bytes = more_bytes = once_ghost_bytes = more_ghost_bytes = 0
    once_ghost_count = more_ghost_count = 0
    once_bytes_target = 0.0
    miss_count = miss_bytes = 0
    for request in range(len(objects)):
        number = objects[request]
        object_bytes = sizes_bytes[number]
        if state[number] == _ONCE or state[number] == _MORE:
            if state[number] == _ONCE:
                once_bytes -= object_bytes
                more_bytes += object_bytes
                state[number] = _MORE
            unlink(links, number)
            push(links, more, number)
            continue
        if request >= warmup_count:
            miss_count += 1
            miss_bytes += object_bytes
        if object_bytes > capacity_bytes:
            continue
        while once_bytes + more_bytes + object_bytes > capacity_bytes:
            forgotten = _NONE
            once_all = once_bytes + once_ghost_bytes
            is_full = once_all + more_bytes + more_ghost_bytes >= 2 * capacity_bytes
            is_crowded = once_ghost_count + more_ghost_count >= GHOST_COUNT_MAX
            if once_all >= capacity_bytes and once_ghost_count:
                forgotten = links[once_ghost, NEWER]
            elif more_ghost_count and (is_full or is_crowded):
                forgotten = links[more_ghost, NEWER]
            elif is_crowded:
                forgotten = links[once_ghost, NEWER]
            if forgotten != _NONE:
                unlink(links, forgotten)
                if state[forgotten] == _ONCE_GHOST:
                    once_ghost_bytes -= sizes_bytes[forgotten]
                    once_ghost_count -= 1
                else:
                    more_ghost_bytes -= sizes_bytes[forgotten]
                    more_ghost_count -= 1
                state[forgotten] = _UNKNOWN
            if once_bytes and (once_bytes > once_bytes_target or not more_bytes):
                victim = links[once, NEWER]
                unlink(links, victim)
                push(links, once_ghost, victim)
                state[victim] = _ONCE_GHOST
                once_bytes -= sizes_bytes[victim]
                once_ghost_bytes += sizes_bytes[victim]
                once_ghost_count += 1
            else:
                victim = links[more, NEWER]
                unlink(links, victim)
                push(links, more_ghost, victim)
                state[victim] = _MORE_GHOST
                more_bytes -= sizes_bytes[victim]
                more_ghost_bytes += sizes_bytes[victim]
                more_ghost_count += 1
        step_bytes = object_bytes if is_step_sized else 1
        if state[number] == _UNKNOWN:
            push(links, once, number)
            once_bytes += object_bytes
            state[number] = _ONCE
        else:
            unlink(links, number)
            if state[number] == _ONCE_GHOST:
                ratio = max(more_ghost_bytes / max(once_ghost_bytes, 1), 1.0)
                once_bytes_target = min(
                    once_bytes_target + ratio * step_bytes, float(capacity_bytes)
                )
                once_ghost_bytes -= object_bytes
                once_ghost_count -= 1
            else:
                ratio = max(once_ghost_bytes / max(more_ghost_bytes, 1), 1.0)
                once_bytes_target = max(once_bytes_target - ratio * step_bytes, 0.0)
                more_ghost_bytes -= object_bytes
                more_ghost_count -= 1
            push(links, more, number)
            more_bytes += object_bytes
            state[number] = _MORE
    return miss_count, miss_bytes
