"""The table on 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

from simulation.prefetch.study import Row, SameHits, Study
from simulation.prefetch.warmth import LINK_SHARE, Warmth

KBPS_PER_MBPS = 1000.0

_HEADS = f"{'hit':>7}{'sd':>6}{'precision':>11}{'moved':>8}{'wasted':>9}"
_UNITS = {"objects": "objects of one size", "bytes": "bytes: run time x rate of each title"}


def lines(study: Study, source: str) -> Iterator[str]:
    yield (
        f"{source}: {study.request_count} plays, {study.viewer_count} viewers, "
        f"{study.object_count} titles"
    )
    seeds = ", ".join(str(seed) for seed in study.seeds)
    yield f"seeds {seeds}; first 20 % not counted; model {study.model}"
    for unit, text in _UNITS.items():
        rows = [row for row in study.rows if row.unit == unit]
        if not rows:
            continue
        yield ""
        yield f"{text:<38}{_HEADS}"
        for capacity in sorted({row.capacity for row in rows}):
            yield f"capacity {capacity:.0%}"
            for row in rows:
                if row.capacity == capacity:
                    yield _line(row)
            for same in study.same_hits:
                if (same.unit, same.capacity) == (unit, capacity):
                    yield _same_line(same)
    if study.edges:
        yield ""
        yield f"{'what an edge does, seed ' + str(study.seeds[0]):<38}{_HEADS}"
    for unit in _UNITS:
        edges = [row for row in study.edges if row.unit == unit]
        if edges:
            yield f"capacity {edges[0].capacity:.0%}, {unit}"
        for row in edges:
            yield _line(row)
    if study.warmth:
        yield ""
        yield (
            f"real transfer times, link {LINK_SHARE:g} x the mean of what is watched, "
            f"{study.warmth[0].link_kbps / KBPS_PER_MBPS:.0f} Mbit/s"
        )
        title = "started within a minute of the end"
        yield f"{title:<38}{'warm':>7}{'head':>8}{'stalls':>9}{'rate':>7}{'moved':>8}"
    for warmth in study.warmth:
        yield _warmth_line(warmth)


def _warmth_line(warmth: Warmth) -> str:
    name = f"{warmth.way}, {warmth.capacity:.0%}, "
    name += "adaptive players" if warmth.is_adaptive else "players keep rate"
    return (
        f"  {name:<36}{warmth.warm_ratio:7.3f}{warmth.head_ratio:8.3f}"
        f"{warmth.stalled_ratio:9.3f}{warmth.rate_ratio:7.3f}{warmth.moved_ratio:8.3f}"
    )


def _line(row: Row) -> str:
    precision = "-" if row.precision is None else f"{row.precision:.3f}"
    return (
        f"  {row.policy:<36}{row.hit_ratio:7.4f}{row.hit_ratio_sd:6.3f}{precision:>11}"
        f"{row.moved_ratio:8.3f}{row.waste_ratio:9.4f}"
    )


def _same_line(same: SameHits) -> str:
    if same.waste_of_rule is None:
        return "  ours, waste at the rule's hit ratio: it is not reached"
    return (
        f"  {'ours, waste at the hit ratio of the rule, of its own':<62}{same.waste_of_rule:15.3f}"
    )
