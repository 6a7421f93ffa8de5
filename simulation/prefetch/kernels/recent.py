"""Least recently used, alone or with the rule: half watched, so fetch the next episode."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulation.prefetch.kernels import counts
from simulation.replay.kernels.jit import jit


@jit
def replay_recent(
    kind: NDArray[np.int8],  # (moment,) as of simulation.prefetch.moments
    play: NDArray[np.int64],  # (moment,)
    fetches: NDArray[np.bool_],  # (moment,) whether the successor is fetched now
    title: NDArray[np.int64],  # (play,)
    successor: NDArray[np.int64],  # (play,)
    sizes_bytes: NDArray[np.int64],  # (title,)
    capacity_bytes: int,
    warmup_count: int,
) -> NDArray[np.float64]:
    """Figures by `counts`. What is fetched ahead enters the order as if it had been asked for."""
    figures = np.zeros(counts.LENGTH)
    head = len(sizes_bytes)
    newer = np.full(head + 1, head)  # a ring: newer[head] is the oldest, older[head] the newest
    older = np.full(head + 1, head)
    is_held = np.zeros(head, dtype=np.bool_)
    unused = np.zeros(head, dtype=np.int8)  # 1: prefetched; 2: so after the warm-up
    held_bytes = 0
    for moment in range(len(kind)):
        of_play = play[moment]
        is_counted = of_play >= warmup_count
        if kind[moment] == 0:
            wanted = title[of_play]
            if is_counted:
                figures[counts.REQUESTS] += 1
                figures[counts.REQUEST_BYTES] += sizes_bytes[wanted]
                if is_held[wanted]:
                    figures[counts.HITS] += 1
                    figures[counts.HIT_BYTES] += sizes_bytes[wanted]
            if unused[wanted] == 2:
                figures[counts.USED] += 1
                figures[counts.USED_BYTES] += sizes_bytes[wanted]
            unused[wanted] = 0
        elif fetches[moment]:
            wanted = successor[of_play]
            if not is_held[wanted] and sizes_bytes[wanted] <= capacity_bytes:
                unused[wanted] = 1
                if is_counted:
                    unused[wanted] = 2
                    figures[counts.PREFETCHES] += 1
                    figures[counts.PREFETCH_BYTES] += sizes_bytes[wanted]
        else:
            continue
        if sizes_bytes[wanted] > capacity_bytes:
            continue
        if is_held[wanted]:
            newer[older[wanted]] = newer[wanted]
            older[newer[wanted]] = older[wanted]
        else:
            is_held[wanted] = True
            held_bytes += sizes_bytes[wanted]
        last = older[head]
        newer[last] = wanted
        older[wanted] = last
        newer[wanted] = head
        older[head] = wanted
        while held_bytes > capacity_bytes:
            oldest = newer[head]
            newer[head] = newer[oldest]
            older[newer[oldest]] = head
            is_held[oldest] = False
            held_bytes -= sizes_bytes[oldest]
            if unused[oldest] == 2:
                figures[counts.WASTED] += 1
                figures[counts.WASTED_BYTES] += sizes_bytes[oldest]
            unused[oldest] = 0
    for number in range(head):
        if unused[number] == 2:
            figures[counts.UNUSED] += 1
            figures[counts.UNUSED_BYTES] += sizes_bytes[number]
    return figures
