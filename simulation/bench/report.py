"""Rows of the result: what was wanted, what was measured, in 80 columns."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from simulation.bench.load import percentile
from simulation.bench.rounds import Sample, Spread, cpu_ratio, ratios

Unit = Literal["x", "ms", "KB", "MB", ""]
_DIGITS = {"x": 2, "ms": 2, "KB": 1, "MB": 2, "": 0}
_LARGE = 1000.0
"""From here on nobody reads what is behind the point, and it does not fit."""


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the goals: `value` must not be above `goal`; without a goal it only informs."""

    cell: str
    work: str
    measure: str
    unit: Unit
    goal: float | None
    value: Spread | None

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "?"
        if self.goal is None:
            return ""
        return "ok" if self.value.median <= self.goal else "short"


class ServerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One server at one kind of work. Ratios are to `baseline` in the same round."""

    cell: str
    work: str
    server: str
    baseline: str
    requests_per_s: float
    cpu_us_per_request: float | None
    cpu: Spread | None
    throughput: Spread | None
    p99_ms: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell found; `notes` say what was left out and why."""

    goals: tuple[Goal, ...] = ()
    servers: tuple[ServerRow, ...] = ()
    notes: tuple[str, ...] = ()


def server_rows(
    cell: str, work: str, seen: dict[str, list[Sample]], baseline: str
) -> tuple[ServerRow, ...]:
    """One row per server, the baseline's own among them."""
    return tuple(
        _server_row(cell, work, name, samples, baseline, seen[baseline])
        for name, samples in seen.items()
    )


def _server_row(
    cell: str,
    work: str,
    name: str,
    samples: Sequence[Sample],
    baseline: str,
    base: Sequence[Sample],
) -> ServerRow:
    cpu = [one.cpu_s_per_request for one in samples if one.cpu_s_per_request is not None]
    return ServerRow(
        cell=cell,
        work=work,
        server=name,
        baseline=baseline,
        requests_per_s=statistics.median(one.load.requests_per_s for one in samples),
        cpu_us_per_request=statistics.median(cpu) * 1e6 if cpu else None,
        cpu=cpu_ratio(samples, base),
        throughput=ratios(
            [one.load.requests_per_s for one in samples],
            [one.load.requests_per_s for one in base],
        ),
        p99_ms=statistics.median(percentile(one.load.latency_s, 0.99) for one in samples) * 1e3,
    )


def goal_table(goals: Sequence[Goal]) -> Iterator[str]:
    """Lines of at most 80 columns."""
    yield f"{'work':<26} {'measure':<19} {'goal':>6} {'found':>7} {'quartiles':>11} met"
    for row in goals:
        digits = _DIGITS[row.unit]
        wanted = "" if row.goal is None else f"{row.goal:.{digits}f}"
        found = quartiles = "-"
        if row.value is not None:
            if row.value.high >= _LARGE:
                digits = 0
            found = f"{row.value.median:.{digits}f}"
            quartiles = f"{row.value.low:.{digits}f}-{row.value.high:.{digits}f}"
        yield (
            f"{row.work:<26.26} {row.measure:<19.19} {wanted:>6.6} {found:>7.7} "
            f"{quartiles:>11.11} {row.verdict}"
        ).rstrip()


def server_table(rows: Sequence[ServerRow]) -> Iterator[str]:
    """Lines of at most 80 columns."""
    heads = ("req/s", "us CPU", "CPU x", "thr x", "p99 ms")
    yield f"{'work':<26} {'server':<13}" + "".join(f"{head:>8}" for head in heads)
    for row in rows:
        yield (
            f"{row.work:<26.26} {row.server:<13.13}{row.requests_per_s:>8.0f}"
            f"{_or_dash(row.cpu_us_per_request, '.1f'):>8}"
            f"{_or_dash(_median(row.cpu), '.2f'):>8}"
            f"{_or_dash(_median(row.throughput), '.2f'):>8}"
            f"{row.p99_ms:>8.1f}"
        )


def _or_dash(value: float | None, style: str) -> str:
    return "-" if value is None else format(value, style)


def _median(found: Spread | None) -> float | None:
    return None if found is None else found.median
