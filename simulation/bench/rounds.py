"""Paired rounds: every server in turn, then in reverse, so that a slow minute hits all of them.

A figure is the median over rounds of the ratio within one round, with the quartiles beside it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from simulation.bench.load import Job, Load, percentile
from simulation.bench.processes import Process


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One server in one round. `cpu_s` is of the whole run."""

    load: Load
    cpu_s: float | None

    @property
    def cpu_s_per_request(self) -> float | None:
        return None if self.cpu_s is None else self.cpu_s / self.load.request_count

    @property
    def p99_s(self) -> float:
        return percentile(self.load.latency_s, 0.99)

    @property
    def ttfb_s(self) -> float:
        return percentile(self.load.ttfb_s, 0.5)


class Spread(msgspec.Struct, frozen=True):
    """A median and the quartiles around it."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """None of no values."""
    if not values:
        return None
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def ratios(own: Sequence[float | None], base: Sequence[float | None]) -> Spread | None:
    """Of pairs from the same round; those without a figure are left out."""
    pairs = zip(own, base, strict=True)
    return spread([one / two for one, two in pairs if one is not None and two])


def differences(own: Sequence[float], base: Sequence[float]) -> Spread | None:
    return spread([one - two for one, two in zip(own, base, strict=True)])


class LoadSource(Protocol):
    """What can run a job: our generator, or wrk."""

    def connect(self, job: Job) -> None: ...

    def begin(self) -> None: ...

    def result(self) -> Load: ...


def measure(generator: LoadSource, job: Job, server: Process) -> Sample:
    """One run, with what the server's processes cost from the first request to the last answer."""
    generator.connect(job)
    before_s = server.cpu_s()
    generator.begin()
    load = generator.result()
    after_s = server.cpu_s()
    cpu_s = None if before_s is None or after_s is None else after_s - before_s
    return Sample(load=load, cpu_s=cpu_s)


def take_turns(
    turns: Mapping[str, Callable[[], Sample]], round_count: int
) -> dict[str, list[Sample]]:
    """A B C, C B A, A B C, ...: samples by name, one per round."""
    seen: dict[str, list[Sample]] = {name: [] for name in turns}
    for number in range(round_count):
        names = list(turns)
        for name in names if number % 2 == 0 else reversed(names):
            seen[name].append(turns[name]())
    return seen


def cpu_ratio(own: Sequence[Sample], base: Sequence[Sample]) -> Spread | None:
    """CPU per request against the same round's."""
    return ratios([one.cpu_s_per_request for one in own], [one.cpu_s_per_request for one in base])
