"""`nearcast bench edge`: every line of the edge's speed goals, measured in one run.

Each cell starts the servers it compares on core 0, loads them from core 1 in paired rounds and
ends them. Ratios are evidence; absolute rates of one shared machine are not.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from nearcast.errors import NearcastError
from nearcast.table import Table
from simulation.bench.cells import (
    cold,
    collapse,
    connections,
    hits,
    misses,
    mixed,
    tls,
    variants,
)
from simulation.bench.load import generator
from simulation.bench.peers import INSTALL, binary
from simulation.bench.processes import raise_descriptor_limit
from simulation.bench.report import Outcome, goal_table, server_table
from simulation.bench.stage import Stage, write_files
from simulation.bench.wrk import Wrk

CELLS: Table[Callable[[Stage], Outcome]] = Table(
    "cell",
    {
        "hits": hits.run,
        "variants": variants.run,
        "tls": tls.run,
        "misses": misses.run,
        "collapse": collapse.run,
        "connections": connections.run,
        "mixed": mixed.run,
        "cold": cold.run,
    },
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure, and for how long."""

    cells: tuple[str, ...]
    peers: tuple[str, ...]
    round_count: int
    round_s: float
    is_wrk: bool = False
    """Hits are loaded by wrk instead of our own generator."""


def run_bench(plan: Plan, tell: Callable[[str], None]) -> Outcome:
    """All cells of the plan. Raises NearcastError when a server does not start or answers wrong."""
    if sys.platform != "linux":
        raise NearcastError("nearcast bench edge needs Linux: cores, /proc and epoll")
    notes = [
        f"{peer} is not installed and left out ({INSTALL[peer]})"
        for peer in plan.peers
        if binary(peer) is None
    ]
    for note in notes:
        tell(note)
    raise_descriptor_limit()
    found: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="nearcast-bench-") as name, generator() as load:
        folder = Path(name)
        write_files(folder / "root")
        stage = Stage(
            folder=folder,
            root=folder / "root",
            generator=load,
            hit_generator=Wrk() if plan.is_wrk else load,
            peers=tuple(peer for peer in plan.peers if binary(peer) is not None),
            round_count=plan.round_count,
            round_s=plan.round_s,
        )
        for cell in plan.cells:
            outcome = CELLS.get(cell)(stage)
            for note in outcome.notes:
                tell(note)
            found.append(outcome)
    return Outcome(
        goals=tuple(goal for outcome in found for goal in outcome.goals),
        servers=tuple(row for outcome in found for row in outcome.servers),
        notes=(*notes, *(note for outcome in found for note in outcome.notes)),
    )


def table(outcome: Outcome) -> Iterator[str]:
    """Lines of at most 80 columns."""
    if outcome.servers:
        yield "Ratios are to the first server of another name in the same round."
        yield from server_table(outcome.servers)
        yield ""
    yield from goal_table(outcome.goals)
