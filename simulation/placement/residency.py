"""One edge's store under a plan, compiled: planned chunks stay, the rest is kept by recency.

Bytes are counted by the segment, kept by the chunk. Every viewing of these logs begins with the
first segment, so what is held of a chunk is always its first `held` segments, and a request for
`segments` of it hits as many of them as are held. A chunk that is *wanted* by the plan stays once
it is here, whether a viewer pulled it or it was filled; the others are evicted oldest first. The
store is one: what the plan has not used up is the pull part's.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulation.replay.kernels.jit import jit
from simulation.replay.kernels.rings import NEWER, push, rings, unlink

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

HOUR_S: Final = 3600.0
DEMAND, HIT, FILL = 0, 1, 2
"""Columns of the hourly figures: bytes in the hour in which they flow."""
COLUMNS: Final = 3
WANTED_BYTES, PULLED_BYTES = 0, 1
"""What `Store.used` counts: bytes held of the plan's chunks, and of the others."""


class Store:
    """The arrays of one edge's store; `serve` and `want` work on them."""

    def __init__(self, chunk_segments: Ints, segment_bytes: Floats, hours: int) -> None:
        count = len(chunk_segments)
        self.segments = chunk_segments  # (chunk,) of the whole chunk
        self.segment_bytes = segment_bytes  # (chunk,)
        self.held = np.zeros(count, dtype=np.int64)  # (chunk,) first segments held
        self.is_wanted = np.zeros(count, dtype=np.bool_)
        self.links = rings(count, 1)
        self.used = np.zeros(2)
        self.hourly = np.zeros((hours, COLUMNS))


@jit
def want(
    is_wanted_now: NDArray[np.bool_],
    is_wanted: NDArray[np.bool_],
    held: Ints,
    segment_bytes: Floats,
    links: NDArray[np.int32],
    used: Floats,
) -> None:
    """Another plan: what it drops joins the pull part as its newest, what it names leaves that."""
    anchor = len(held)
    for chunk in range(len(held)):
        if is_wanted_now[chunk] == is_wanted[chunk]:
            continue
        is_wanted[chunk] = is_wanted_now[chunk]
        if held[chunk] == 0:
            continue
        size_bytes = held[chunk] * segment_bytes[chunk]
        if is_wanted_now[chunk]:
            unlink(links, chunk)
            used[WANTED_BYTES] += size_bytes
            used[PULLED_BYTES] -= size_bytes
        else:
            push(links, anchor, chunk)
            used[WANTED_BYTES] -= size_bytes
            used[PULLED_BYTES] += size_bytes


@jit
def _make_room(
    capacity_bytes: float,
    held: Ints,
    segment_bytes: Floats,
    links: NDArray[np.int32],
    used: Floats,
) -> None:
    anchor = len(held)
    while used[WANTED_BYTES] + used[PULLED_BYTES] > capacity_bytes:
        victim = links[anchor, NEWER]
        if victim == anchor:
            break
        unlink(links, victim)
        used[PULLED_BYTES] -= held[victim] * segment_bytes[victim]
        held[victim] = 0


@jit
def serve(
    at_s: Floats,  # (request,)
    chunks: NDArray[np.int32],  # (request,)
    asked: NDArray[np.int16],  # (request,) segments of the chunk, from its first
    fills: NDArray[np.int32],  # (fill,) chunks to fetch, in this order
    windows_s: Floats,  # (window, 2) from and until, in order
    fill_bytes_per_s: float,
    fill_bytes_max: float,
    capacity_bytes: float,
    wanted_bytes_max: float,
    segments: Ints,
    held: Ints,
    is_wanted: NDArray[np.bool_],
    segment_bytes: Floats,
    links: NDArray[np.int32],
    used: Floats,
    hourly: Floats,
) -> float:
    """Requests and fills in order of time; the bytes filled.

    A fill ends within its window and within the bytes that are left, or it is not begun.
    """
    anchor = len(held)
    filled_bytes = 0.0
    next_fill = window = 0
    clock_s = windows_s[0, 0] if len(windows_s) else np.inf
    last_hour = len(hourly) - 1
    for request in range(len(at_s) + 1):
        now_s = at_s[request] if request < len(at_s) else np.inf
        while next_fill < len(fills) and window < len(windows_s):
            chunk = fills[next_fill]
            missing = segments[chunk] - held[chunk]
            size_bytes = missing * segment_bytes[chunk]
            if missing == 0 or not is_wanted[chunk] or filled_bytes + size_bytes > fill_bytes_max:
                next_fill += 1
                continue
            done_s = clock_s + size_bytes / fill_bytes_per_s
            if done_s > windows_s[window, 1]:
                window += 1
                if window < len(windows_s):
                    clock_s = windows_s[window, 0]
                continue
            if done_s > now_s:
                break
            held[chunk] = segments[chunk]
            used[WANTED_BYTES] += size_bytes
            _make_room(capacity_bytes, held, segment_bytes, links, used)
            filled_bytes += size_bytes
            # One may be complete just as the last hour ends.
            hourly[min(int(done_s // HOUR_S), last_hour), FILL] += size_bytes
            clock_s = done_s
            next_fill += 1
        if request == len(at_s):
            break
        chunk = chunks[request]
        count = asked[request]
        per_segment = segment_bytes[chunk]
        hour = int(now_s // HOUR_S)
        had = held[chunk]
        hourly[hour, DEMAND] += count * per_segment
        hourly[hour, HIT] += min(count, had) * per_segment
        grown = max(count - had, 0)
        held[chunk] = had + grown
        if is_wanted[chunk] and used[WANTED_BYTES] + grown * per_segment > wanted_bytes_max:
            # The plan's share is full: what is here of it stays as long as anything else does.
            is_wanted[chunk] = False
            if had > 0:
                push(links, anchor, chunk)
                used[WANTED_BYTES] -= had * per_segment
                used[PULLED_BYTES] += had * per_segment
        if is_wanted[chunk]:
            used[WANTED_BYTES] += grown * per_segment
        else:
            if had > 0:
                unlink(links, chunk)
            push(links, anchor, chunk)
            used[PULLED_BYTES] += grown * per_segment
        if grown:
            _make_room(capacity_bytes, held, segment_bytes, links, used)
    return filled_bytes
