"""How fast the whole network is simulated, against the bare scheduler under it, and how fast are
sessions alone (simulation.bench.sessions), and how long a single player waits for its controller
(simulation.bench.decisions).

The baseline is the same number of events through the same scheduler with nothing to decide: what
is left above it is the work of the real edge, player and origin cores.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from nearcast.clock import SystemClock
from simulation.bench.decisions import DecisionTime, decision_times
from simulation.bench.decisions import table as decision_table
from simulation.bench.sessions import SessionRate, session_rates
from simulation.bench.sessions import table as session_table
from simulation.scenario import read_scenario, scenario_path
from simulation.scheduler import Scheduler
from simulation.world import World


class SimulateFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `cost_ratio` is its wall time over that of as many empty events."""

    scenario: str
    event_count: int
    simulated_s: float
    wall_s: float
    empty_wall_s: float
    cost_ratio: float
    speed_ratio: float
    """Simulated seconds per second."""
    sessions: tuple[SessionRate, ...] = ()
    decisions: tuple[DecisionTime, ...] = ()


def run_bench(scenario_name: str) -> SimulateFigures:
    """Raises InputError for a scenario that is not there or not right."""
    clock = SystemClock()
    scenario = read_scenario(scenario_name)
    world = World(scenario, folder=scenario_path(scenario_name).parent)
    begun_s = clock.now_s()
    outcome = world.run()
    wall_s = clock.now_s() - begun_s
    begun_s = clock.now_s()
    _empty_events(outcome.event_count)
    empty_wall_s = clock.now_s() - begun_s
    return SimulateFigures(
        scenario=scenario_name,
        event_count=outcome.event_count,
        simulated_s=outcome.simulated_s,
        wall_s=wall_s,
        empty_wall_s=empty_wall_s,
        cost_ratio=wall_s / empty_wall_s,
        speed_ratio=outcome.simulated_s / wall_s,
        sessions=session_rates(),
        decisions=decision_times(),
    )


def _empty_events(count: int) -> None:
    scheduler = Scheduler()
    left = count

    def tick() -> None:
        nonlocal left
        left -= 1
        if left > 0:
            scheduler.after(0.001, tick)

    scheduler.after(0.0, tick)
    scheduler.run()


def table(figures: SimulateFigures) -> Iterator[str]:
    """Lines of at most 80 columns."""
    yield f"scenario {figures.scenario}: {figures.event_count} events"
    yield f"  {figures.simulated_s:.0f} s simulated in {figures.wall_s:.2f} s"
    yield f"  {figures.speed_ratio:.0f} simulated seconds per second"
    yield f"  {figures.event_count / figures.wall_s:.0f} events per second"
    yield f"  {figures.cost_ratio:.1f} times the cost of as many empty events"
    if figures.sessions:
        yield from session_table(figures.sessions)
    if figures.decisions:
        yield from decision_table(figures.decisions)
