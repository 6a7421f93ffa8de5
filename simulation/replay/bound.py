"""What no policy can beat, knowing the future.

Belady's rule is no bound where sizes differ: letting the furthest next use go is optimal for equal
objects only. PFOO-L is one. To hit, an object must stay from one use to the next, and takes its
size for that long; all stays together can take no more than the capacity for the whole time.
Taking the cheapest stays first, whatever the room at any one moment, gives more hits than any
schedule can have. Stays are clipped to what is counted after the warm-up, and the last one is
taken in part, which keeps it a bound.
Source: Berger, Beckmann and Harchol-Balter, "Practical Bounds on Optimal Caching with Variable
Object Sizes", SIGMETRICS 2018.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulation.replay.requests import Requests


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """Two separate bounds: no one policy need reach both."""

    object_miss_ratio: float
    byte_miss_ratio: float


def pfoo_lower(requests: Requests, capacity_bytes: int, warmup_count: int) -> Bound:
    """The least miss ratios after the warm-up that any policy could reach."""
    last, now = _stays(requests.objects)
    counted = now >= warmup_count
    last, now = last[counted], now[counted]
    size_bytes = requests.sizes_bytes[requests.objects[now]].astype(np.float64)
    cost = size_bytes * (now - np.maximum(last, warmup_count))
    fits = size_bytes <= capacity_bytes
    cost, size_bytes = cost[fits], size_bytes[fits]
    count = len(requests.objects) - warmup_count
    budget = float(capacity_bytes) * count
    total_bytes = float(requests.sizes_bytes[requests.objects[warmup_count:]].sum())
    hits = _most(np.ones_like(cost), cost, budget)
    hit_bytes = _most(size_bytes, cost, budget)
    return Bound(
        object_miss_ratio=1 - hits / count,
        byte_miss_ratio=1 - hit_bytes / total_bytes,
    )


def unlimited(requests: Requests, warmup_count: int) -> Bound:
    """The miss ratios of a cache that never evicts: each object's first request."""
    _, first = np.unique(requests.objects, return_index=True)
    first = first[first >= warmup_count]
    counted = requests.objects[warmup_count:]
    return Bound(
        object_miss_ratio=len(first) / len(counted),
        byte_miss_ratio=float(
            requests.sizes_bytes[requests.objects[first]].sum()
            / requests.sizes_bytes[counted].sum()
        ),
    )


def _stays(objects: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each request for an object seen before: the position of the last one, and its own."""
    order = np.argsort(objects, kind="stable")
    is_again = objects[order][1:] == objects[order][:-1]
    return order[:-1][is_again], order[1:][is_again]


def _most(gain: NDArray[np.float64], cost: NDArray[np.float64], budget: float) -> float:
    """The fractional knapsack: best gain per cost first."""
    with np.errstate(divide="ignore"):
        order = np.argsort(-(gain / cost), kind="stable")
    spent = np.cumsum(cost[order])
    count = int(np.searchsorted(spent, budget, side="right"))
    most = float(gain[order[:count]].sum())
    if count < len(order):
        left = budget - (float(spent[count - 1]) if count else 0.0)
        most += float(gain[order[count]]) * left / float(cost[order[count]])
    return most
