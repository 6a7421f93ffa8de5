"""Runs a scenario for a person: progress while it runs, figures side by side after it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from nearcast.clock import SystemClock
from simulation.checks import Checker
from simulation.figure_text import GIVEN_NOTE, LABEL_WIDTH, TEXTS, row, simulated_cell
from simulation.scenario import read_scenario, scenario_path
from simulation.world import EdgeOutcome, Outcome, World

WIDTH = 80
CELL_WIDTH = 16
KEYS = tuple(key for key in TEXTS if key != "inference_p50_s")
"""The simulator is given one time for all inferences."""


def outcome_lines(outcome: Outcome, wall_s: float) -> Iterator[str]:
    """The figures, a column per edge, within 80 characters; then how the run went."""
    names = list(outcome.edges)
    per_table = (WIDTH - LABEL_WIDTH) // CELL_WIDTH
    for first in range(0, len(names), per_table):
        yield from _table(
            [(name, outcome.edges[name]) for name in names[first : first + per_table]]
        )
        yield GIVEN_NOTE
        yield ""
    for name, edge in outcome.edges.items():
        if edge.status.prefetch_enabled and edge.status.model_id is None:
            yield f"{name}: the rule serves, no model ({edge.status.model_detail})"
    speed = outcome.simulated_s / wall_s if wall_s > 0 else 0.0
    yield f"seed {outcome.seed}, digest {outcome.digest[:32]} ({outcome.record_count} records)"
    yield (
        f"{outcome.simulated_s:.1f} s simulated in {wall_s:.1f} s ({speed:.0f} to 1), "
        f"{outcome.event_count} events"
    )


def _table(columns: Sequence[tuple[str, EdgeOutcome]]) -> Iterator[str]:
    heads = "".join(f"{name[: CELL_WIDTH - 1]:>{CELL_WIDTH}}" for name, _ in columns)
    yield f"{'edge':<{LABEL_WIDTH}}{heads}"
    for key in KEYS:
        cells = [simulated_cell(key, getattr(edge.figures, key)) for _, edge in columns]
        yield row(key, cells, CELL_WIDTH)


def timed_run(
    scenario: str, seed: int | None, *, is_checked: bool = False
) -> tuple[Outcome, float]:
    """A run with a progress bar, if standard error is a terminal, and the seconds it took.

    `is_checked`: with the invariants of simulation.checks looked at; raises InvariantBroken.
    """
    read = read_scenario(scenario)
    if seed is not None:
        read = msgspec.structs.replace(read, seed=seed)
    clock = SystemClock()
    start_s = clock.now_s()
    checker = Checker() if is_checked else None
    world = World(read, folder=scenario_path(scenario).parent, recorder=checker)
    with _progress_bar(f"simulating {scenario}") as on_progress:
        outcome = world.run(
            on_progress=on_progress, on_event=checker.look if checker is not None else None
        )
        if checker is not None:
            checker.end(world)
    return outcome, clock.now_s() - start_s


@contextmanager
def _progress_bar(text: str) -> Iterator[Callable[[float], None] | None]:
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(text, total=1.0)
        yield lambda share: progress.update(task, completed=share)
