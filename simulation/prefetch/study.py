"""The table: every policy on the same requests, and how much less is wasted at the same hits.

Of our policy there is a row at the default gate, and a curve over gates from generous to strict:
where it crosses the rule's hit ratio its waste is read off, between two runs, and never at a hit
ratio below the rule's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, Literal

import msgspec
import numpy as np

from nearcast.errors import InputError
from simulation.prefetch import caches
from simulation.prefetch.answers import DEFAULT, WRONG, scores_by
from simulation.prefetch.caches import Figures, Trial
from simulation.prefetch.gate import Gate
from simulation.prefetch.moments import Moments, moments_of
from simulation.prefetch.requests import Requests, requests_of
from simulation.prefetch.timing import Way
from simulation.prefetch.warmth import Warmth, warmth
from simulation.prefetch.years import Year

Unit = Literal["objects", "bytes"]

CAPACITIES: Final = (0.01, 0.05, 0.10)
WARMUP_SHARE: Final = 0.2
PLAYS_MIN: Final = 500
"""Of fewer plays nothing can be said."""

GATES: Final = (
    Gate(early=0.0, late=0.0, left=0.0),
    Gate(early=0.68, late=0.26, left=0.0),
    Gate(early=1.2, late=0.26, left=0.0),
    Gate(early=1.2, late=0.6, left=0.05),
)
"""From generous to strict."""
GATE: Final = GATES[1]

TIMED: Final[tuple[tuple[float, Way, bool], ...]] = (
    (0.05, "at the end", True),
    (0.05, "half-way", True),
    (0.05, "ours", True),
    (0.10, "half-way", True),
    (0.10, "ours", True),
    (0.05, "half-way", False),
    (0.05, "ours", False),
    (0.10, "half-way", False),
    (0.10, "ours", False),
)
"""What is run with transfers that take their time, with players that adapt and that do not."""

EDGE_CAPACITY: Final = 0.05
EDGES: Final[dict[str, Callable[[Trial], Figures]]] = {
    "rule": caches.rule,
    "edge": caches.edge,
    "edge, expected": caches.edge_expected,
}
"""What an edge does now, beside what it could: with its own cache, prices and trust, which are not
compiled, so of the first seed and at one capacity. The last with `eviction = "expected"`."""

BASELINES: Final[dict[str, Callable[[Trial], Figures]]] = {
    "lru": caches.lru,
    "s3fifo": caches.s3fifo,
    "belady": caches.bound,
    "rule": caches.rule,
    "oracle": caches.oracle,
}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One policy at one capacity, mean over the seeds."""

    policy: str
    unit: Unit
    capacity: float  # share of all that is asked for
    hit_ratio: float
    hit_ratio_sd: float  # between seeds
    precision: float | None
    moved_ratio: float
    waste_ratio: float
    evicted_ratio: float


class SameHits(msgspec.Struct, frozen=True, kw_only=True):
    """Our waste where our hit ratio is the rule's, as a share of the rule's waste."""

    unit: Unit
    capacity: float
    waste_of_rule: float | None  # None: at no gate do we reach the rule's hit ratio
    curve: tuple[tuple[float, float], ...]  # of the first seed: hit ratio and waste at each gate
    rule: tuple[float, float]


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `nearcast simulate prefetch` found out."""

    model: str
    seeds: tuple[int, ...]
    request_count: int  # of the first seed, as what follows
    viewer_count: int
    object_count: int
    rows: tuple[Row, ...]
    same_hits: tuple[SameHits, ...]
    warmth: tuple[Warmth, ...] = ()
    edges: tuple[Row, ...] = ()  # of the first seed


class _Run(msgspec.Struct, frozen=True):
    figures: dict[str, Figures]
    curve: tuple[tuple[float, float], ...]


def study(
    years: Sequence[Year],
    *,
    model: str = DEFAULT,
    capacities: Sequence[float] = CAPACITIES,
    units: Sequence[Unit] = ("objects", "bytes"),
    has_wrong_models: bool = True,
    timed: Sequence[tuple[float, Way, bool]] = TIMED,
    on_run: Callable[[], None] = lambda: None,
) -> Study:
    """Raises InputError for a log that is too short, and ModelError."""
    runs: dict[tuple[Unit, float], list[_Run]] = {}
    works: list[tuple[Requests, Moments]] = []
    sizes: list[tuple[int, int, int]] = []
    for year in years:
        seed, requests = year.seed, _checked(year)
        sizes.append((len(requests), len(np.unique(year.log.viewer)), requests.asked_count))
        moments = {
            name: moments_of(requests, scores_by(name, requests, seed=seed))
            for name in (model, *(WRONG if has_wrong_models else ()))
        }
        works.append((requests, moments[model]))
        for unit in units:
            # Whether a wrong model does harm has one answer, in objects or in bytes.
            asked = moments if unit == units[0] else {model: moments[model]}
            for capacity in capacities:
                found = _run(requests, asked, model, unit, capacity)
                runs.setdefault((unit, capacity), []).append(found)
                on_run()
    warm = []
    for capacity, way, is_adaptive in timed:
        warm.append(warmth(works, way, gate=GATE, capacity=capacity, is_adaptive=is_adaptive))
        on_run()
    edges = []
    for unit in units:
        edges += _edges(*works[0], unit)
        on_run()
    return Study(
        model=model,
        seeds=tuple(year.seed for year in years),
        request_count=sizes[0][0],
        viewer_count=sizes[0][1],
        object_count=sizes[0][2],
        rows=tuple(row for key, found in runs.items() for row in _rows(key, found)),
        same_hits=tuple(_same_hits(key, found) for key, found in runs.items()),
        warmth=tuple(warm),
        edges=tuple(edges),
    )


def run_count(seeds: int, units: int = 2, capacities: int = len(CAPACITIES)) -> int:
    """How often `on_run` will be called."""
    return seeds * units * capacities + len(TIMED) + units


def _checked(year: Year) -> Requests:
    if len(year.log) < PLAYS_MIN:
        raise InputError(
            f"{len(year.log)} plays are too few to replay; at least {PLAYS_MIN} are needed"
        )
    return requests_of(year.log, seed=year.seed, goes_further=year.goes_further)


def _run(
    requests: Requests, moments: dict[str, Moments], model: str, unit: Unit, capacity: float
) -> _Run:
    trials = {name: _trial(requests, each, unit, capacity) for name, each in moments.items()}
    ours = trials[model]
    figures = {name: policy(ours) for name, policy in BASELINES.items()}
    by_gate = [caches.foreseen(ours, gate) for gate in GATES]
    figures["ours"] = by_gate[GATES.index(GATE)]
    for name, trial in trials.items():
        if name != model:
            figures[name] = caches.foreseen(trial, GATE)
    return _Run(figures, tuple((each.hit_ratio, each.waste_ratio) for each in by_gate))


def _trial(requests: Requests, moments: Moments, unit: Unit, capacity: float) -> Trial:
    sizes = requests.sizes_bytes if unit == "bytes" else np.ones_like(requests.sizes_bytes)
    all_of_it = requests.asked_bytes if unit == "bytes" else requests.asked_count
    return Trial(
        requests=requests,
        moments=moments,
        sizes_bytes=sizes,
        capacity_bytes=max(int(all_of_it * capacity), 1),
        warmup_count=int(len(requests) * WARMUP_SHARE),
    )


def _edges(requests: Requests, moments: Moments, unit: Unit) -> list[Row]:
    """What edges do on one log, beside the rule and ours on the same."""
    trial = _trial(requests, moments, unit, EDGE_CAPACITY)
    figures = {name: policy(trial) for name, policy in EDGES.items()}
    figures["ours"] = caches.foreseen(trial, GATE)
    return _rows((unit, EDGE_CAPACITY), [_Run(figures, ())])


def _rows(key: tuple[Unit, float], runs: Sequence[_Run]) -> list[Row]:
    unit, capacity = key
    rows = []
    for policy in runs[0].figures:
        found = [run.figures[policy] for run in runs]
        hits = np.array([each.hit_ratio for each in found])
        precisions = [each.precision for each in found if each.precision is not None]
        rows.append(
            Row(
                policy=policy,
                unit=unit,
                capacity=capacity,
                hit_ratio=float(hits.mean()),
                hit_ratio_sd=float(hits.std(ddof=1)) if len(hits) > 1 else 0.0,
                precision=float(np.mean(precisions)) if precisions else None,
                moved_ratio=float(np.mean([each.moved_ratio for each in found])),
                waste_ratio=float(np.mean([each.waste_ratio for each in found])),
                evicted_ratio=float(np.mean([each.evicted_ratio for each in found])),
            )
        )
    return rows


def _same_hits(key: tuple[Unit, float], runs: Sequence[_Run]) -> SameHits:
    ratios = []
    for run in runs:
        waste = waste_at(run.curve, run.figures["rule"].hit_ratio)
        ratios.append(None if waste is None else waste / run.figures["rule"].waste_ratio)
    known = [ratio for ratio in ratios if ratio is not None]
    rule = runs[0].figures["rule"]
    return SameHits(
        unit=key[0],
        capacity=key[1],
        waste_of_rule=float(np.mean(known)) if len(known) == len(ratios) else None,
        curve=runs[0].curve,
        rule=(rule.hit_ratio, rule.waste_ratio),
    )


def waste_at(curve: Sequence[tuple[float, float]], hit_ratio: float) -> float | None:
    """The least waste at which the curve has this hit ratio or more; None if it never has.

    Straight lines between neighbouring gates: a gate between two gives what lies between them.
    """
    options = [waste for hits, waste in curve if hits >= hit_ratio]
    for (hits, waste), (hits_after, waste_after) in pairwise(curve):
        if min(hits, hits_after) <= hit_ratio <= max(hits, hits_after) and hits != hits_after:
            part = (hit_ratio - hits) / (hits_after - hits)
            options.append(waste + part * (waste_after - waste))
    return min(options, default=None)
