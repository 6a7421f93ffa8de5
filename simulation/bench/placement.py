"""`nearcast bench placement`: how fast plans are made, and how near the best there is.

Fleets are made up: files of lognormal size, two thirds of them with a head, demand by Zipf's law
that each edge has its own taste for and that moved on since what is held was chosen. The store is
5 % of the catalogue, windows and rate let an edge fetch some of it, and all edges together may
fetch a fiftieth of what is served. `gap` is what the placement falls short of the optimum of the
linear programme (HiGHS) where that is computed, else of the dual bound; `naive gap` is that of
edges that each take the best files for their store, and fetch down that list until an even share
of the budget is spent.
"""

from __future__ import annotations

import re
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec
import numpy as np

from nearcast.errors import ConfigError
from nearcast.fleet import EdgeProfile
from nearcast.seeds import Seeds
from nearcast.units import kbps
from origin.placement.bound import dual_bound, linear_bound
from origin.placement.files import FileEntry, Files, files_of
from origin.placement.inputs import EdgeInput, PlanInputs
from origin.placement.planner import make_plan, problem_of
from origin.placement.problem import Limits, Site, fill_cap_bytes
from origin.placement.settings import PlanSettings
from origin.placement.solver import solve

WALL_S: Final = 1_700_006_400.0
RENDITIONS: Final = 5
LINEAR_PAIRS_MAX: Final = 100_000
LINEAR_PAIRS_MAX_IN_CLUSTERS: Final = 10_000
"""Edges times files for which HiGHS finds the optimum within a minute."""


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    edges: int
    files: int
    cluster: int = 1
    """Edges of each."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    edges: int
    files: int
    cluster: int
    plan_cpu_s: float
    """Of the whole plan, from what is known to what edges are told."""
    solve_cpu_s: float
    planned_files: int
    fill_bytes: int
    fill_bytes_max: int
    objective_bytes: float
    bound: str
    """Which: linear or dual."""
    bound_bytes: float
    bound_cpu_s: float
    gap: float
    naive_gap: float | None
    """None: edges of a cluster hold files for each other, which the naive ones do not."""
    memory_bytes_max: int
    """Of the process so far."""


def run_bench(
    fleets: Sequence[Fleet], *, seed: int = 1, note: Callable[[str], None] = lambda text: None
) -> list[Row]:
    rows = []
    for fleet in fleets:
        note(f"{fleet.edges} edges, {fleet.files} files, clusters of {fleet.cluster}")
        rows.append(_measure(fleet, seed))
    return rows


def inputs_of(fleet: Fleet, seed: int) -> PlanInputs:
    """A made-up fleet; the same for the same seed."""
    draw = Seeds(seed).stream(f"bench/placement/{fleet.edges}/{fleet.files}")
    files = _files(draw, fleet.files)
    size = files.size_bytes.astype(np.float64)
    popular = 1.0 / (1.0 + draw.permutation(fleet.files)) ** 0.9
    # A day's viewers take a third of what the catalogue has.
    per_file = popular / popular.sum() * size.sum() / 3.0
    moved_on = draw.lognormal(0.0, 1.0, fleet.files)
    edges = []
    for index in range(fleet.edges):
        taste = draw.lognormal(0.0, 0.8, fleet.files)
        scale = float(draw.uniform(0.3, 2.0))
        was, value = per_file * taste * scale, per_file * taste * moved_on * scale
        capacity = size.sum() * 0.05 / 0.6 * float(draw.choice([0.5, 1.0, 2.0]))
        order = np.argsort(-was / size)
        kept = order[np.cumsum(size[order]) <= capacity * 0.6]
        held = np.zeros(fleet.files, dtype=np.int64)
        held[kept] = files.size_bytes[kept]
        edges.append(
            EdgeInput(
                edge=f"edge-{index:03d}",
                profile=EdgeProfile(
                    url=f"http://edge-{index:03d}.example",
                    cluster=f"c{index // fleet.cluster:03d}" if fleet.cluster > 1 else "",
                    region=f"r{index // 20}",
                    capacity_bytes=int(capacity),
                    link_kbps=1e7,
                    utc_offset_h=float(index % 12),
                ),
                value_bytes=value.astype(np.float32),
                head_value_bytes=(value * draw.uniform(0.05, 0.4, fleet.files)).astype(np.float32),
                held_bytes=held,
                served_bytes=float(value.sum()),
            )
        )
    # Two windows of six hours, in which an edge fetches from a tenth to all of its pinned bytes.
    rate_kbps = kbps(float(size.sum()) * 0.05, 12 * 3600.0)
    return PlanInputs(
        files=files,
        edges=tuple(edges),
        wall_s=WALL_S,
        settings=PlanSettings(fill_kbps=rate_kbps * 0.4, fill_share=0.02, churn_share=0.5),
    )


def _files(draw: np.random.Generator, count: int) -> Files:
    sizes = draw.lognormal(20.0, 1.0, count).astype(np.int64) + 1_000_000
    has_head = draw.random(count) < 2 / 3
    return files_of(
        FileEntry(
            title=f"title-{index // RENDITIONS:06d}",
            rendition=f"v{index % RENDITIONS}",
            manifest=f"/media/title-{index // RENDITIONS:06d}/manifest.mpd",
            size_bytes=size,
            head_bytes=size // 40 if head else 0,
            head_s=60.0 if head else 0.0,
        )
        for index, (size, head) in enumerate(zip(sizes.tolist(), has_head.tolist(), strict=True))
    )


def _measure(fleet: Fleet, seed: int) -> Row:
    inputs = inputs_of(fleet, seed)
    started_s = time.process_time()
    plan = make_plan(inputs)
    plan_cpu_s = time.process_time() - started_s
    planned_files = sum(len(one.files) for one in plan.edges)
    del plan
    sites, limits = problem_of(inputs)
    started_s = time.process_time()
    placement = solve(sites, limits)
    solve_cpu_s = time.process_time() - started_s
    objective = placement.objective(limits)
    started_s = time.process_time()
    is_linear = fleet.edges * fleet.files <= (
        LINEAR_PAIRS_MAX if fleet.cluster == 1 else LINEAR_PAIRS_MAX_IN_CLUSTERS
    )
    bound = linear_bound(sites, limits) if is_linear else dual_bound(sites, limits, placement)
    bound_cpu_s = time.process_time() - started_s
    return Row(
        edges=fleet.edges,
        files=fleet.files,
        cluster=fleet.cluster,
        plan_cpu_s=plan_cpu_s,
        solve_cpu_s=solve_cpu_s,
        planned_files=planned_files,
        fill_bytes=placement.fill_bytes,
        fill_bytes_max=limits.fill_bytes or 0,
        objective_bytes=objective,
        bound="linear" if is_linear else "dual",
        bound_bytes=bound,
        bound_cpu_s=bound_cpu_s,
        gap=1.0 - objective / bound,
        naive_gap=1.0 - naive_objective(sites, limits) / bound if fleet.cluster == 1 else None,
        memory_bytes_max=_memory_bytes_max(),
    )


def naive_objective(sites: Sequence[Site], limits: Limits) -> float:
    """What edges save that each fill their store by density and then fetch what they can."""
    assert limits.fill_bytes is not None
    total = 0.0
    for site in sites:
        (member,) = site.members
        items, held = site.items, site.items.held_bytes[:, 0]
        order = np.argsort(-items.value_bytes / items.size_bytes, kind="stable")
        order = order[np.cumsum(items.size_bytes[order]) <= member.storage_bytes]
        needed = np.maximum(0, items.size_bytes[order] - held[order])
        cap_bytes = min(fill_cap_bytes(member, int(held.sum())), limits.fill_bytes // len(sites))
        comes = np.cumsum(needed) <= cap_bytes
        value = items.value_bytes[order]
        total += float((value * comes)[needed > 0].sum() + value[needed == 0].sum())
        total -= limits.fill_price * float((needed * comes).sum())
    return total


def _memory_bytes_max() -> int:
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Lines of at most 80 columns."""
    heads = ("plan s", "solve s", "planned", "fill", "bound", "gap", "naive gap", "MB")
    widths = (8, 8, 9, 7, 8, 9, 11, 7)
    yield "CPU seconds on one core; fill: of the budget of all edges; MB: memory at most"
    yield f"{'fleet':>13}" + "".join(
        f"{head:>{width}}" for head, width in zip(heads, widths, strict=True)
    )
    for row in rows:
        cells = (
            f"{row.plan_cpu_s:.2f}",
            f"{row.solve_cpu_s:.2f}",
            str(row.planned_files),
            f"{row.fill_bytes / row.fill_bytes_max:.3f}" if row.fill_bytes_max else "-",
            row.bound,
            f"{row.gap:.3%}",
            f"{row.naive_gap:.1%}" if row.naive_gap is not None else "-",
            f"{row.memory_bytes_max / 1e6:.0f}",
        )
        name = f"{row.edges}x{row.files}" + (f"/{row.cluster}" if row.cluster > 1 else "")
        yield f"{name:>13}" + "".join(
            f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)
        )


def read_fleets(texts: Sequence[str]) -> tuple[Fleet, ...]:
    """From EDGESxFILES or EDGESxFILES/CLUSTER. Raises ConfigError."""
    found = []
    for text in texts:
        match = re.fullmatch(r"(\d{1,4})x(\d{1,6})(?:/(\d{1,3}))?", text.strip())
        if match is None or "0" in (match[1].lstrip("0") or "0", match[2].lstrip("0") or "0"):
            raise ConfigError(
                f"--fleets {text}: write EDGESxFILES, or EDGESxFILES/CLUSTER, as 100x100000/10"
            )
        cluster = max(1, int(match[3] or 1))
        found.append(Fleet(edges=int(match[1]), files=int(match[2]), cluster=cluster))
    return tuple(found)
