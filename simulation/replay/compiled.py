"""The replay by compiled policies. Needs numba: import this module only where that is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from simulation.replay.kernels.arc import replay_arc
from simulation.replay.kernels.expected import replay_expected
from simulation.replay.kernels.gdsf import replay_gdsf
from simulation.replay.kernels.lru import replay_lru
from simulation.replay.kernels.s3fifo import replay_s3fifo
from simulation.replay.kernels.sieve import replay_sieve
from simulation.replay.plain import Misses
from simulation.replay.requests import Requests


class Kernel(msgspec.Struct, frozen=True):
    """A compiled policy, and its arguments taken from the policy's parameters."""

    replay: Callable[..., tuple[int, int]]
    arguments: Callable[[Any], tuple[Any, ...]] = lambda _: ()


KERNELS: Mapping[str, Kernel] = {
    "s3fifo": Kernel(
        replay_s3fifo,
        lambda params: (
            params.small_share,
            params.ghost_share,
            params.hit_count_max,
            params.promotion_hit_count,
            params.object_share_max,
        ),
    ),
    "sieve": Kernel(replay_sieve),
    "lru": Kernel(replay_lru),
    "arc": Kernel(replay_arc, lambda params: (params.step == "size",)),
    "gdsf": Kernel(replay_gdsf, lambda params: (params.cost_per_byte, params.newcomers_compete)),
    "expected": Kernel(
        replay_expected,
        lambda params: (
            params.window_s,
            params.popularity_s,
            params.popularity_first,
            params.popularity_again,
            params.popularity_none,
            params.drawn_count,
        ),
    ),
}
"""By the names of `cache.eviction.EVICTION_POLICIES`."""


def replay_compiled(
    policy: str, params: Any, requests: Requests, capacity_bytes: int, warmup_count: int
) -> Misses:
    """The misses after the first `warmup_count` requests, everything admitted."""
    kernel = KERNELS[policy]
    return Misses(
        *kernel.replay(
            requests.objects,
            requests.sizes_bytes,
            capacity_bytes,
            warmup_count,
            *kernel.arguments(params),
        )
    )


def warm(policy: str, params: Any) -> None:
    """Compile now, so that the next replay is only a replay."""
    one = Requests(
        keys=("a",), sizes_bytes=np.ones(1, dtype=np.int64), objects=np.zeros(1, dtype=np.int32)
    )
    replay_compiled(policy, params, one, 1, 0)
