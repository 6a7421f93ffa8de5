"""One row for each family and controller, and one for each controller over all families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from abr.view import Floats
from nearcast.seeds import Seeds
from simulation.sessions.bootstrap import mean_interval
from simulation.sessions.figures import SessionFigures

BOUND = "clairvoyant"
ALL = "all"
BITS_PER_MBYTE = 8e6


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """One controller on one family."""

    family: str
    controller: str
    trace_ids: tuple[str, ...]
    figures: SessionFigures
    stall_penalty: float
    """Mbit/s that a second of stall cost."""
    wall_s: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Means over the sessions of a family; in the rows of `all` means over its families."""

    family: str
    controller: str
    sessions: int
    qoe_linear: float
    qoe_from_second: float
    bitrate_kbps: float
    rebuffer_ratio: float
    """Stalled / (played + stalled), all sessions together."""
    stalls: float
    """A session, as all below."""
    stalled_s: float
    startup_p50_s: float
    switches: float
    abandoned: float
    wasted_mbytes: float
    """Of attempts given up; 10^6 bytes."""
    against: str | None = None
    """The controller of the highest mean QoE but for this one and the bound."""
    difference: float | None = None
    """Of qoe_linear to that controller, in pairs on the same traces."""
    difference_low: float | None = None
    difference_high: float | None = None
    """It lies between these with 95 % (bootstrap); None where a family has too few sessions."""
    of_bound: float | None = None
    """qoe_linear / that of the plan which knows the future; None where that is not above 0, and
    such a family is left out of the mean of all."""
    of_bound_avoidable: float | None = None
    """The same where the stalls of that plan, which nobody can avoid, cost nothing in either."""
    stalled_excess_s: float | None = None
    """stalled_s beyond that plan's."""
    sessions_per_s: float
    wall_s: float


Families = Mapping[str, Mapping[str, Played]]
"""By family, then by controller."""


def by_family(played: Sequence[Played]) -> dict[str, dict[str, Played]]:
    found: dict[str, dict[str, Played]] = {}
    for each in played:
        found.setdefault(each.family, {})[each.controller] = each
    return found


def make_rows(played: Sequence[Played], seed: int) -> tuple[Row, ...]:
    """In the order in which they were played, then those of all families if there are several."""
    families = by_family(played)
    seeds = Seeds(seed)
    rows = {
        (name, controller): _row(one, families[name], seeds)
        for name, group in families.items()
        for controller, one in group.items()
    }
    made = list(rows.values())
    if len(families) > 1:
        controllers = list(next(iter(families.values())))
        made += [
            _mean_row([rows[name, controller] for name in families], families, seeds)
            for controller in controllers
        ]
    return tuple(made)


def _row(one: Played, group: Mapping[str, Played], seeds: Seeds) -> Row:
    figures = one.figures
    count = figures.session_count
    stalled_s = float(figures.stalled_s.sum())
    qoe = float(figures.qoe_linear.mean())
    bound = group.get(BOUND)
    of_bound = avoidable = excess_s = None
    if bound is not None:
        best = float(bound.figures.qoe_linear.mean())
        bound_s = float(bound.figures.stalled_s.sum())
        forgiven = one.stall_penalty * bound_s / count / figures.segment_count
        of_bound = _share(qoe, best)
        avoidable = _share(qoe + forgiven, best + forgiven)
        excess_s = (stalled_s - bound_s) / count
    row = Row(
        family=one.family,
        controller=one.controller,
        sessions=count,
        qoe_linear=qoe,
        qoe_from_second=float(figures.qoe_from_second.mean()),
        bitrate_kbps=float(figures.bitrate_kbps.mean()),
        rebuffer_ratio=stalled_s / (stalled_s + figures.played_s * count),
        stalls=float(figures.stalls.mean()),
        stalled_s=stalled_s / count,
        startup_p50_s=float(np.median(figures.startup_s)),
        switches=float(figures.switches.mean()),
        abandoned=float(figures.abandoned.mean()),
        wasted_mbytes=float(figures.wasted_bits.mean()) / BITS_PER_MBYTE,
        of_bound=of_bound,
        of_bound_avoidable=avoidable,
        stalled_excess_s=excess_s,
        sessions_per_s=_rate(count, one.wall_s),
        wall_s=one.wall_s,
    )
    means = {name: float(each.figures.qoe_linear.mean()) for name, each in group.items()}
    return _compared(row, means, {one.family: group}, seeds)


def _mean_row(rows: Sequence[Row], families: Families, seeds: Seeds) -> Row:
    count = sum(row.sessions for row in rows)
    wall_s = sum(row.wall_s for row in rows)

    def mean(name: str) -> float:
        return float(np.mean([getattr(row, name) for row in rows]))

    def mean_of_known(name: str) -> float | None:
        known = [getattr(row, name) for row in rows if getattr(row, name) is not None]
        return float(np.mean(known)) if known else None

    row = Row(
        family=ALL,
        controller=rows[0].controller,
        sessions=count,
        qoe_linear=mean("qoe_linear"),
        qoe_from_second=mean("qoe_from_second"),
        bitrate_kbps=mean("bitrate_kbps"),
        rebuffer_ratio=mean("rebuffer_ratio"),
        stalls=mean("stalls"),
        stalled_s=mean("stalled_s"),
        startup_p50_s=mean("startup_p50_s"),
        switches=mean("switches"),
        abandoned=mean("abandoned"),
        wasted_mbytes=mean("wasted_mbytes"),
        of_bound=mean_of_known("of_bound"),
        of_bound_avoidable=mean_of_known("of_bound_avoidable"),
        stalled_excess_s=mean_of_known("stalled_excess_s"),
        sessions_per_s=_rate(count, wall_s),
        wall_s=wall_s,
    )
    means = {
        name: float(np.mean([group[name].figures.qoe_linear.mean() for group in families.values()]))
        for name in next(iter(families.values()))
    }
    return _compared(row, means, families, seeds)


def _compared(row: Row, means: Mapping[str, float], families: Families, seeds: Seeds) -> Row:
    others = [name for name in means if name not in (row.controller, BOUND)]
    if not others:
        return row
    best = max(others, key=lambda name: means[name])  # the first of equals
    differences = [
        _difference(group[row.controller], group[best]) for _, group in sorted(families.items())
    ]
    # The same whichever files and controllers are given in which order, and mirrored for the other.
    pair = "/".join(sorted((row.controller, best)))
    draw = seeds.stream(f"simulate/abr/bootstrap/{row.family}/{pair}")
    found = mean_interval(differences, draw)
    return msgspec.structs.replace(
        row,
        against=best,
        difference=found.mean,
        difference_low=found.low,
        difference_high=found.high,
    )


def _difference(one: Played, other: Played) -> Floats:
    """By the names of the traces."""
    by_name = np.argsort(np.array(one.trace_ids))
    difference: Floats = one.figures.qoe_linear - other.figures.qoe_linear
    return difference[by_name]


def _share(value: float, best: float) -> float | None:
    return value / best if best > 0 else None


def _rate(count: int, wall_s: float) -> float:
    return count / wall_s if wall_s > 0 else 0.0
