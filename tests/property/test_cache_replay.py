"""The replay against the index of an edge, its compiled policies against the plain ones, and the
offline bound against the best schedule there is."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from cache.admission import ADMISSION_POLICIES, build_admission
from cache.config import CacheConfig
from cache.eviction import EVICTION_POLICIES, EvictionParams, build_eviction
from cache.index import Index
from nearcast.config import load
from simulation.replay.bound import pfoo_lower, unlimited
from simulation.replay.plain import Misses, replay_plain
from simulation.replay.requests import Requests

SEEDS = st.integers(0, 2**32 - 1)

PARAMS = (
    "s3fifo.small_share=0.1",
    "s3fifo.small_share=0.4",
    "s3fifo.ghost_share=0",
    "s3fifo.promotion_hit_count=1",
    "s3fifo.hit_count_max=1",
    "arc.step=size",
    "s3fifo.object_share_max=1",
    "gdsf.cost_per_byte=0.3",
    "gdsf.newcomers_compete=false",
    "expected.drawn_count=3",
)


def make_requests(seed: int, request_count: int = 600, size_bytes_max: int = 9) -> Requests:
    """Skewed popularity that drifts, so that ghosts are asked for again."""
    random = np.random.default_rng(seed)
    drawn = random.zipf(1.3, request_count) % 60 + np.arange(request_count) // 100
    _, first, objects = np.unique(drawn, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))  # numbered in the order of their first request
    count = len(first)
    return Requests(
        keys=tuple(str(number) for number in range(count)),
        sizes_bytes=random.integers(1, size_bytes_max + 1, count),
        objects=rank[objects].astype(np.int32),
    )


@pytest.mark.parametrize("admission", list(ADMISSION_POLICIES))
@pytest.mark.parametrize("eviction", list(EVICTION_POLICIES))
@given(seed=SEEDS, capacity_bytes=st.integers(3, 150))
@settings(max_examples=6, deadline=None)
def test_a_replay_misses_what_the_index_of_an_edge_misses(
    eviction: str, admission: str, seed: int, capacity_bytes: int
) -> None:
    requests = make_requests(seed, 300)
    config = CacheConfig(capacity_bytes=capacity_bytes, eviction=eviction, admission=admission)
    index = Index(config)
    miss_count = miss_bytes = 0
    for position, number in enumerate(requests.objects):
        object_id, size_bytes = requests.keys[number], int(requests.sizes_bytes[number])
        if object_id in index:
            index.touch(object_id)
        else:
            miss_count += position >= 50
            miss_bytes += size_bytes * (position >= 50)
            index.add(object_id, size_bytes, 0)
    replayed = replay_plain(
        requests,
        capacity_bytes,
        50,
        build_eviction(eviction, capacity_bytes),
        build_admission(admission, capacity_bytes),
    )
    assert replayed == Misses(miss_count, miss_bytes)


@pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed (extra sim)")
@pytest.mark.parametrize("eviction", list(EVICTION_POLICIES))
@given(
    seed=SEEDS,
    capacity_bytes=st.integers(3, 150),
    warmup_count=st.sampled_from([0, 1, 120]),
    setting=st.sampled_from(PARAMS),
)
# GDSF's level must not fall: a use would then lower a priority.
@example(seed=132, capacity_bytes=16, warmup_count=0, setting=PARAMS[0])
@settings(max_examples=60, deadline=None)
def test_a_compiled_policy_misses_what_the_plain_one_misses(
    eviction: str, seed: int, capacity_bytes: int, warmup_count: int, setting: str
) -> None:
    from simulation.replay.compiled import replay_compiled

    requests = make_requests(seed)
    params = load(EvictionParams, role="cache", assignments=[setting]).value
    plain = replay_plain(
        requests,
        capacity_bytes,
        warmup_count,
        build_eviction(eviction, capacity_bytes, params),
        build_admission("always", capacity_bytes),
    )
    own = getattr(params, eviction)
    assert replay_compiled(eviction, own, requests, capacity_bytes, warmup_count) == plain


def best_hits(requests: Requests, capacity_bytes: int, warmup_count: int, in_bytes: bool) -> int:
    """The most that any schedule can hit, by trying them all."""
    objects = requests.objects.tolist()
    sizes = requests.sizes_bytes.tolist()

    @cache
    def best(position: int, held: frozenset[int]) -> int:
        if position == len(objects):
            return 0
        number = objects[position]
        gain = 0
        if number in held and position >= warmup_count:
            gain = sizes[number] if in_bytes else 1
        with_it = held | {number}
        # Whatever is kept may be dropped later, so only leaving one out each time is enough when
        # it fits; where it does not, every smaller set is reached through these.
        return gain + max(best(position + 1, keep) for keep in kept(with_it))

    @cache
    def kept(held: frozenset[int]) -> tuple[frozenset[int], ...]:
        if sum(sizes[number] for number in held) <= capacity_bytes:
            return (held,)
        return tuple({each for number in held for each in kept(held - {number})})

    return best(0, frozenset())


@given(seed=SEEDS, capacity_bytes=st.integers(1, 12), warmup_count=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_no_schedule_is_below_the_bound(seed: int, capacity_bytes: int, warmup_count: int) -> None:
    random = np.random.default_rng(seed)
    objects = random.integers(0, 5, 14).astype(np.int32)
    requests = Requests(keys=tuple("abcde"), sizes_bytes=random.integers(1, 7, 5), objects=objects)
    counted = objects[warmup_count:]
    total_bytes = int(requests.sizes_bytes[counted].sum())
    bound = pfoo_lower(requests, capacity_bytes, warmup_count)
    hits = best_hits(requests, capacity_bytes, warmup_count, in_bytes=False)
    hit_bytes = best_hits(requests, capacity_bytes, warmup_count, in_bytes=True)
    assert bound.object_miss_ratio <= 1 - hits / len(counted) + 1e-9
    assert bound.byte_miss_ratio <= 1 - hit_bytes / total_bytes + 1e-9
    floor = unlimited(requests, warmup_count)
    assert floor.object_miss_ratio <= bound.object_miss_ratio + 1e-9
    assert floor.byte_miss_ratio <= bound.byte_miss_ratio + 1e-9


@given(seed=SEEDS, capacity_bytes=st.integers(9, 200))
@settings(max_examples=30, deadline=None)
def test_no_policy_is_below_the_bound(seed: int, capacity_bytes: int) -> None:
    requests = make_requests(seed)
    assume(len(requests.objects) > 100)
    bound = pfoo_lower(requests, capacity_bytes, 100)
    counted_bytes = int(requests.sizes_bytes[requests.objects[100:]].sum())
    for eviction in EVICTION_POLICIES:
        misses = replay_plain(
            requests,
            capacity_bytes,
            100,
            build_eviction(eviction, capacity_bytes),
            build_admission("always", capacity_bytes),
        )
        assert misses.request_count / 500 >= bound.object_miss_ratio - 1e-9
        assert misses.size_bytes / counted_bytes >= bound.byte_miss_ratio - 1e-9


def test_with_room_for_everything_the_bound_is_the_first_requests() -> None:
    requests = make_requests(1)
    bound = pfoo_lower(requests, requests.footprint_bytes, 0)
    floor = unlimited(requests, 0)
    assert bound.object_miss_ratio == pytest.approx(len(requests.keys) / 600)
    assert bound.object_miss_ratio == pytest.approx(floor.object_miss_ratio)
    assert bound.byte_miss_ratio == pytest.approx(floor.byte_miss_ratio)
