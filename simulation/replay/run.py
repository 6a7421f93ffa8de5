"""Policies side by side on one request file: ours, their namesakes, and the offline bound."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Literal

import msgspec

from cache.admission import build_admission
from cache.config import CacheConfig
from cache.eviction import EVICTION_POLICIES, build_eviction
from nearcast.errors import ConfigError
from nearcast.units import format_size
from simulation.replay.bound import Bound, pfoo_lower, unlimited
from simulation.replay.peers import INSTALL, PeerRun, Peers
from simulation.replay.plain import Misses, replay_plain
from simulation.replay.requests import Requests

Engine = Literal["auto", "compiled", "plain"]
PEERS = ("libcachesim",)
REQUESTS_PER_M = 1_000_000


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One policy. `requests_per_s` is for the whole file by CPU time, reading it apart."""

    policy: str
    engine: str
    is_peer: bool = False
    object_miss_ratio: float
    byte_miss_ratio: float
    requests_per_s: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found; ratios are of the requests after the warm-up."""

    request_count: int
    warmup_count: int
    object_count: int
    footprint_bytes: int
    capacity_bytes: int
    admission: str
    rows: tuple[Row, ...]
    pfoo_lower: Bound
    unlimited: Bound
    notes: tuple[str, ...] = ()


def compare(
    requests: Requests,
    config: CacheConfig,
    *,
    policies: Sequence[str],
    warmup_count: int,
    engine: Engine = "auto",
    peers: str | None = None,
) -> Comparison:
    """`config` gives capacity, admission and parameters, as it does on an edge; its `eviction` is
    replaced by each of `policies`. Raises ConfigError for a name that is unknown."""
    for policy in policies:
        EVICTION_POLICIES.get(policy)
    if peers is not None and peers not in PEERS:
        raise ConfigError(f"no peers are called {peers!r}; choose from: {', '.join(PEERS)}")
    notes: list[str] = []
    rows = {policy: _ours(requests, config, policy, warmup_count, engine) for policy in policies}
    found = _peers(requests, config, policies, warmup_count, notes) if peers is not None else {}
    beside = [row for policy in policies for row in (rows[policy], found.get(policy)) if row]
    return Comparison(
        request_count=len(requests.objects),
        warmup_count=warmup_count,
        object_count=len(requests.keys),
        footprint_bytes=requests.footprint_bytes,
        capacity_bytes=config.capacity_bytes,
        admission=config.admission,
        rows=tuple(beside),
        pfoo_lower=pfoo_lower(requests, config.capacity_bytes, warmup_count),
        unlimited=unlimited(requests, warmup_count),
        notes=tuple(notes),
    )


def _ours(
    requests: Requests, config: CacheConfig, policy: str, warmup_count: int, engine: Engine
) -> Row:
    eviction = build_eviction(policy, config.capacity_bytes, config.eviction_params)
    admission = build_admission(config.admission, config.capacity_bytes, config.admission_params)
    is_compiled = _is_compiled(policy, config.admission, engine)
    if is_compiled:
        from simulation.replay.compiled import replay_compiled, warm

        params = getattr(config.eviction_params, policy)
        warm(policy, params)  # the compiler's time is not the policy's
        begun_s = time.process_time()
        misses = replay_compiled(policy, params, requests, config.capacity_bytes, warmup_count)
        cpu_s = time.process_time() - begun_s
    else:
        gc.disable()  # nothing here is cyclic, and millions of keys are searched for it in vain
        try:
            begun_s = time.process_time()
            misses = replay_plain(
                requests, config.capacity_bytes, warmup_count, eviction, admission
            )
            cpu_s = time.process_time() - begun_s
        finally:
            gc.enable()
    object_miss_ratio, byte_miss_ratio = _ratios(misses, requests, warmup_count)
    return Row(
        policy=policy,
        engine="compiled" if is_compiled else "plain",
        object_miss_ratio=object_miss_ratio,
        byte_miss_ratio=byte_miss_ratio,
        requests_per_s=_rate(requests, cpu_s),
    )


def _is_compiled(policy: str, admission: str, engine: Engine) -> bool:
    if engine == "plain":
        return False
    if find_spec("numba") is None:
        if engine == "compiled":
            raise ConfigError("numba is not installed: pip install 'nearcast[sim]'")
        return False
    from simulation.replay.compiled import KERNELS

    if policy in KERNELS and admission == "always":
        return True
    if engine == "compiled":
        raise ConfigError(
            f"{policy} with admission {admission} is not compiled: leave --engine out. "
            f"Compiled, with admission always: {', '.join(KERNELS)}"
        )
    return False


def _peers(
    requests: Requests,
    config: CacheConfig,
    policies: Sequence[str],
    warmup_count: int,
    notes: list[str],
) -> dict[str, Row]:
    try:
        peers = Peers(requests)
    except ImportError:
        notes.append(INSTALL)
        return {}
    rows = {}
    with peers:
        for policy in policies:
            found = peers.run(policy, config.capacity_bytes, warmup_count)
            if found is None:
                notes.append(f"libcachesim has no namesake of {policy}")
            else:
                rows[policy] = _peer_row(policy, found, requests)
    if config.admission != "always":
        notes.append(f"the peers admit always; {config.admission} is ours")
    return rows


def _peer_row(policy: str, found: PeerRun, requests: Requests) -> Row:
    return Row(
        policy=policy,
        engine="libcachesim",
        is_peer=True,
        object_miss_ratio=found.object_miss_ratio,
        byte_miss_ratio=found.byte_miss_ratio,
        requests_per_s=_rate(requests, found.cpu_s),
    )


def _ratios(misses: Misses, requests: Requests, warmup_count: int) -> tuple[float, float]:
    counted = requests.objects[warmup_count:]
    return (
        misses.request_count / len(counted),
        misses.size_bytes / float(requests.sizes_bytes[counted].sum()),
    )


def _rate(requests: Requests, cpu_s: float) -> float:
    return len(requests.objects) / max(cpu_s, 1e-9)


def lines(found: Comparison, name: str) -> Iterator[str]:
    """The table, within 80 columns."""
    share = found.capacity_bytes / found.footprint_bytes
    yield (
        f"{name}: {found.request_count} requests, {found.object_count} objects, "
        f"{format_size(found.footprint_bytes)}"
    )
    yield (
        f"capacity {format_size(found.capacity_bytes)} ({share:.1%} of that), "
        f"admission {found.admission}, first {found.warmup_count} not counted"
    )
    yield ""
    yield f"{'policy':<24}{'by':<14}{'object miss':>12}{'byte miss':>12}{'M requests/s':>15}"
    for row in found.rows:
        policy = f"  {row.policy} (peer)" if row.is_peer else row.policy
        rate = row.requests_per_s / REQUESTS_PER_M
        yield f"{policy:<24}{row.engine:<14}{_cells(row)}{rate:>15.2f}"
    yield f"{'unlimited cache':<38}{_cells(found.unlimited)}"
    yield f"{'no policy is below':<24}{'PFOO-L':<14}{_cells(found.pfoo_lower)}"
    yield from found.notes


def _cells(ratios: Row | Bound) -> str:
    return f"{ratios.object_miss_ratio:>12.4f}{ratios.byte_miss_ratio:>12.4f}"
