"""The best there is without prefetching: the object asked for again furthest away goes first.

With one size for all and leave to pass an object by, no policy without prefetching has more hits
(Belady 1966; Mattson et al. 1970). Sizes make it a rule of thumb: what is furthest away goes until
the newcomer fits, or the newcomer is passed by when one of these is asked for sooner than it.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def belady(
    title: Ints, sizes_bytes: Ints, capacity_bytes: int, warmup_count: int
) -> tuple[int, int]:
    """Hits and hit bytes after the warm-up; `title` is (request,), `sizes_bytes` (title,)."""
    wanted: list[int] = title.tolist()
    sizes: list[int] = sizes_bytes.tolist()
    next_at = _next_at(wanted)
    held: dict[int, int] = {}  # title -> when it is asked for next
    furthest: list[tuple[int, int]] = []  # a heap of (-when, title), some of them outdated
    held_bytes = hits = hit_bytes = 0
    for at, number in enumerate(wanted):
        then = next_at[at]
        if number in held:
            if at >= warmup_count:
                hits += 1
                hit_bytes += sizes[number]
            held[number] = then
            heapq.heappush(furthest, (-then, number))
            continue
        if then >= len(wanted) or sizes[number] > capacity_bytes:
            continue
        going: list[tuple[int, int]] = []
        free_bytes = capacity_bytes - held_bytes
        while free_bytes < sizes[number]:
            when, other = furthest[0]
            if held.get(other) != -when:
                heapq.heappop(furthest)
                continue
            if -when <= then:
                break
            going.append(heapq.heappop(furthest))
            free_bytes += sizes[other]
            del held[other]
        if free_bytes < sizes[number]:
            for item in going:  # passed by: they stay
                held[item[1]] = -item[0]
                heapq.heappush(furthest, item)
            continue
        held_bytes = capacity_bytes - free_bytes + sizes[number]
        held[number] = then
        heapq.heappush(furthest, (-then, number))
    return hits, hit_bytes


def _next_at(wanted: list[int]) -> list[int]:
    """When each request's object is asked for again; past the end if never."""
    next_at = [0] * len(wanted)
    seen: dict[int, int] = {}
    for at in range(len(wanted) - 1, -1, -1):
        next_at[at] = seen.get(wanted[at], len(wanted) + at)
        seen[wanted[at]] = at
    return next_at
