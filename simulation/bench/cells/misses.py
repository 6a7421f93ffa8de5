"""What a miss costs: each request is for a new URL, fetched, stored and sent on.

At light load it is the time added to the origin's own first byte that counts; under load the CPU
per request, against nginx filling its cache from the same origin.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import msgspec

from simulation.bench.load import Ask
from simulation.bench.peers import Server, nginx
from simulation.bench.report import Goal, Outcome, ServerRow, server_rows
from simulation.bench.rounds import Sample, cpu_ratio, differences, measure, take_turns
from simulation.bench.stage import KB, Stage, edge, origin, size_text

CELL = "misses"
BUSY_COUNT = 16
"""Connections of the CPU figure."""
GOALS = ((64 * KB, 0.7, 1.0), (2048 * KB, 1.5, 1.0))
"""Size; added ms to the first byte; CPU against nginx."""


def run(stage: Stage) -> Outcome:
    folder = stage.folder / CELL
    goals: list[Goal] = []
    rows: list[ServerRow] = []
    with ExitStack() as up:
        source = up.enter_context(origin(stage, folder / "origin"))
        # Nothing is evicted in this cell, by anybody: neither's eviction would come evenly.
        servers = [up.enter_context(edge(folder / "store", source.port, capacity="20GB"))]
        if "nginx" in stage.peers:
            kinds = up.enter_context(
                nginx(folder / "nginx", stage.root, origin_port=source.port, capacity_mb=20_000)
            )
            servers.append(kinds["cache"])
        for size_bytes, ttfb_ms, cpu in GOALS:
            work = f"miss {size_text(size_bytes)}"
            light = _turns(stage, [source, *servers], size_bytes, 1)
            seen = take_turns(light, stage.round_count)
            direct = [one.ttfb_s * 1e3 for one in seen[source.name]]
            for server in servers:
                own = [one.ttfb_s * 1e3 for one in seen[server.name]]
                goals.append(
                    Goal(
                        cell=CELL,
                        work=work if server.name == "edge" else f"{work}, {server.name}",
                        measure="added first byte ms",
                        unit="ms",
                        goal=ttfb_ms if server.name == "edge" else None,
                        value=differences(own, direct),
                    )
                )
            seen = take_turns(_turns(stage, servers, size_bytes, BUSY_COUNT), stage.round_count)
            baseline = servers[-1].name
            rows += server_rows(CELL, work, seen, baseline)
            if baseline != "edge":
                goals.append(
                    Goal(
                        cell=CELL,
                        work=work,
                        measure="CPU x nginx fill",
                        unit="x",
                        goal=cpu,
                        value=cpu_ratio(seen["edge"], seen[baseline]),
                    )
                )
    return Outcome(goals=tuple(goals), servers=tuple(rows))


def _turns(
    stage: Stage, servers: list[Server], size_bytes: int, connection_count: int
) -> dict[str, Callable[[], Sample]]:
    asks = (Ask(f"/new/{size_bytes}/%d", size_bytes),)

    def turn(server: Server) -> Callable[[], Sample]:
        job = msgspec.structs.replace(stage.job(server, asks), connection_count=connection_count)
        return lambda: measure(stage.generator, job, server.process)

    return {server.name: turn(server) for server in servers}
