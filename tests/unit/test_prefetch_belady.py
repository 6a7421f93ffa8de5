"""The bound without prefetching, against trying everything."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation.prefetch.belady import belady
from simulation.replay.kernels.lru import replay_lru


def _best(requests: tuple[int, ...], capacity: int) -> int:
    """Most hits of any policy that may pass objects by: all subsets that could stay, tried."""

    @cache
    def most(at: int, held: frozenset[int]) -> int:
        if at == len(requests):
            return 0
        wanted = requests[at]
        if wanted in held:
            return 1 + most(at + 1, held)
        options = [held]
        if len(held) < capacity:
            options.append(held | {wanted})
        else:
            options += [held - {gone} | {wanted} for gone in held]
        return max(most(at + 1, option) for option in options)

    return most(0, frozenset())


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(min_value=0, max_value=4), min_size=1, max_size=8),
    st.integers(min_value=1, max_value=3),
)
def test_equal_objects_are_kept_as_well_as_any_policy_could(
    requests: list[int], capacity: int
) -> None:
    hits, _ = belady(np.array(requests), np.ones(5, dtype=np.int64), capacity, 0)

    assert hits == _best(tuple(requests), capacity)


@pytest.mark.parametrize("warmup_count", [0, 100])
def test_of_different_sizes_more_bytes_hit_than_with_lru(warmup_count: int) -> None:
    rng = np.random.default_rng(4)
    titles = np.minimum(rng.zipf(1.3, 600), 80) - 1
    sizes_bytes = rng.integers(1, 20, 80)

    _, hit_bytes = belady(titles, sizes_bytes, 120, warmup_count)

    _, missed_bytes = replay_lru(titles.astype(np.int32), sizes_bytes, 120, warmup_count)
    assert hit_bytes >= int(sizes_bytes[titles[warmup_count:]].sum()) - missed_bytes


def test_an_object_that_does_not_fit_is_passed_by() -> None:
    hits, hit_bytes = belady(np.array([0, 1, 0, 1]), np.array([10, 3]), 5, 0)

    assert (hits, hit_bytes) == (1, 3)
