"""The replay through the very policy objects an edge uses, one call per request.

It drives the policies themselves and not `cache.index.Index`, which does more for a request than
they do (a RAM tier, expiry, pins, what a driver must load and drop) and would be what is measured.
That both keep the same objects is tested.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from cache.admission import AdmissionPolicy
from cache.eviction import EvictionPolicy
from simulation.replay.requests import Requests


class Misses(msgspec.Struct, frozen=True):
    """What the requests after the warm-up did not find."""

    request_count: int
    size_bytes: int


class Tier:
    """Objects up to a number of bytes, as the policies have it."""

    def __init__(
        self, capacity_bytes: int, eviction: EvictionPolicy, admission: AdmissionPolicy
    ) -> None:
        self._capacity_bytes = capacity_bytes
        self._eviction = eviction
        self._admission = admission
        self._sizes: dict[str, int] = {}
        self._size_bytes = 0

    def replay(self, requests: Iterable[tuple[str, int]]) -> Misses:
        """`requests`: object id and size."""
        sizes, capacity_bytes = self._sizes, self._capacity_bytes
        eviction, admission = self._eviction, self._admission
        hit, was_hit = eviction.hit, admission.hit
        victim_of, was_evicted = eviction.victim, admission.evicted
        size_bytes = self._size_bytes
        miss_count = miss_bytes = 0
        for object_id, object_bytes in requests:
            if object_id in sizes:
                hit(object_id)
                was_hit(object_id)
                continue
            miss_count += 1
            miss_bytes += object_bytes
            if object_bytes > capacity_bytes or not admission.admits(object_id, object_bytes):
                continue
            if not eviction.takes(object_bytes, capacity_bytes - size_bytes):
                continue
            while size_bytes + object_bytes > capacity_bytes:
                victim = victim_of()
                victim_bytes = sizes.pop(victim)
                size_bytes -= victim_bytes
                was_evicted(victim, victim_bytes)
            eviction.insert(object_id, object_bytes)
            sizes[object_id] = object_bytes
            size_bytes += object_bytes
        self._size_bytes = size_bytes
        return Misses(miss_count, miss_bytes)


def replay_plain(
    requests: Requests,
    capacity_bytes: int,
    warmup_count: int,
    eviction: EvictionPolicy,
    admission: AdmissionPolicy,
) -> Misses:
    """The misses after the first `warmup_count` requests."""
    tier = Tier(capacity_bytes, eviction, admission)
    by_object = list(zip(requests.keys, requests.sizes_bytes.tolist(), strict=True))
    pairs = [by_object[number] for number in requests.objects.tolist()]
    tier.replay(pairs[:warmup_count])
    return tier.replay(pairs[warmup_count:])
