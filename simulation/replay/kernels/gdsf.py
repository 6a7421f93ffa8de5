"""GDSF; see cache/eviction/gdsf.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulation.replay.kernels.jit import jit

_ABSENT = -1


@jit
def replay_gdsf(
    objects: NDArray[np.int32],  # (request,)
    sizes_bytes: NDArray[np.int64],  # (object,)
    capacity_bytes: int,
    warmup_count: int,
    cost_per_byte: float,
    newcomers_compete: bool,
) -> tuple[int, int]:
    """Requests and bytes missed after the warm-up."""
    object_count = len(sizes_bytes)
    heap = np.empty(object_count, dtype=np.int32)  # resident objects, least worth at the top
    victims = np.empty(object_count, dtype=np.int32)  # of one newcomer
    places = np.full(object_count, _ABSENT, dtype=np.int32)  # in the heap
    priorities = np.zeros(object_count, dtype=np.float64)
    used_at = np.zeros(object_count, dtype=np.int64)
    use_counts = np.zeros(object_count, dtype=np.int64)
    resident_count = 0
    level = newcomer_level = 0.0
    size_bytes = miss_count = miss_bytes = 0
    for request in range(len(objects)):
        number = objects[request]
        object_bytes = sizes_bytes[number]
        if places[number] == _ABSENT:
            if request >= warmup_count:
                miss_count += 1
                miss_bytes += object_bytes
            if object_bytes > capacity_bytes:
                continue
            priority = level + (1 / object_bytes + cost_per_byte)
            freed_bytes = victim_count = 0
            is_taken = True
            while size_bytes - freed_bytes + object_bytes > capacity_bytes:
                victim = heap[0]
                if newcomers_compete and priorities[victim] > priority:
                    is_taken = False
                    break
                victims[victim_count] = victim
                victim_count += 1
                places[victim] = _ABSENT
                freed_bytes += sizes_bytes[victim]
                resident_count -= 1
                if resident_count:
                    _sink(heap, places, priorities, used_at, heap[resident_count], resident_count)
            if not is_taken:
                level = priority
                for position in range(victim_count):
                    victim = victims[position]
                    places[victim] = resident_count
                    resident_count += 1
                    _rise(heap, places, priorities, used_at, victim)
                continue
            newcomer_level = level
            if victim_count:
                level = max(level, priorities[victims[victim_count - 1]])
            if not newcomers_compete:
                newcomer_level = level
            size_bytes -= freed_bytes
            use_counts[number] = 0
            places[number] = resident_count
            resident_count += 1
            size_bytes += object_bytes
            is_new = True
        else:
            is_new = False
        use_counts[number] += 1
        used_at[number] = request
        worth = use_counts[number] * (1 / object_bytes + cost_per_byte)
        if is_new:
            priorities[number] = newcomer_level + worth
            _rise(heap, places, priorities, used_at, number)
        else:
            priorities[number] = level + worth
            _settle(heap, places, priorities, used_at, number, resident_count)
    return miss_count, miss_bytes


@jit
def _is_below(
    priorities: NDArray[np.float64], used_at: NDArray[np.int64], one: int, other: int
) -> bool:
    """Whether `one` goes first."""
    if priorities[one] != priorities[other]:
        return bool(priorities[one] < priorities[other])
    return bool(used_at[one] < used_at[other])


@jit
def _rise(
    heap: NDArray[np.int32],
    places: NDArray[np.int32],
    priorities: NDArray[np.float64],
    used_at: NDArray[np.int64],
    number: int,
) -> None:
    """Put `number` where it belongs, from its place upwards."""
    place = places[number]
    while place:
        parent = heap[(place - 1) // 2]
        if not _is_below(priorities, used_at, number, parent):
            break
        heap[place] = parent
        places[parent] = place
        place = (place - 1) // 2
    heap[place] = number
    places[number] = place


@jit
def _settle(
    heap: NDArray[np.int32],
    places: NDArray[np.int32],
    priorities: NDArray[np.float64],
    used_at: NDArray[np.int64],
    number: int,
    count: int,
) -> None:
    """Put `number` where it belongs, from its place downwards; a use only ever lowers it."""
    place = places[number]
    while True:
        child_place = 2 * place + 1
        if child_place >= count:
            break
        child = heap[child_place]
        if child_place + 1 < count and _is_below(priorities, used_at, heap[child_place + 1], child):
            child_place += 1
            child = heap[child_place]
        if not _is_below(priorities, used_at, child, number):
            break
        heap[place] = child
        places[child] = place
        place = child_place
    heap[place] = number
    places[number] = place


@jit
def _sink(
    heap: NDArray[np.int32],
    places: NDArray[np.int32],
    priorities: NDArray[np.float64],
    used_at: NDArray[np.int64],
    number: int,
    count: int,
) -> None:
    """Put `number`, the last one, at the top and down to where it belongs."""
    places[number] = 0
    _settle(heap, places, priorities, used_at, number, count)
