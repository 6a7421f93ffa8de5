"""What a hit costs, against nginx's own files (the goal) and the caches."""

from __future__ import annotations

from contextlib import ExitStack

from simulation.bench.peers import Server, nginx, varnish
from simulation.bench.report import Goal, Outcome, ServerRow, server_rows
from simulation.bench.rounds import cpu_ratio, measure, take_turns
from simulation.bench.stage import SIZES_BYTES, Stage, edge, origin, plain_asks, size_text

CELL = "hits"
GOALS = dict(zip(SIZES_BYTES, (0.80, 0.95, 1.05, 1.00), strict=True))
"""CPU per request against nginx serving the same files."""


def run(stage: Stage) -> Outcome:
    folder = stage.folder / CELL
    goals: list[Goal] = []
    rows: list[ServerRow] = []
    with ExitStack() as up:
        source = up.enter_context(origin(stage, folder / "origin"))
        servers: list[Server] = [up.enter_context(edge(folder / "store", source.port))]
        if "nginx" in stage.peers:
            kinds = up.enter_context(nginx(folder / "nginx", stage.root, origin_port=source.port))
            servers += [kinds["static"], kinds["cache"]]
        if "varnish" in stage.peers:
            servers.append(up.enter_context(varnish(folder / "varnish", source.port)))
        baseline = "nginx" if "nginx" in stage.peers else "edge"
        for size_bytes, goal in GOALS.items():
            work = f"hit {size_text(size_bytes)}"
            for server in servers:
                stage.warm(server, size_bytes)
            seen = take_turns(
                {
                    server.name: lambda server=server, size_bytes=size_bytes: measure(  # type: ignore[misc]
                        stage.hit_generator,
                        stage.job(server, plain_asks(size_bytes)),
                        server.process,
                    )
                    for server in servers
                },
                stage.round_count,
            )
            rows += server_rows(CELL, work, seen, baseline)
            if baseline == "nginx":
                goals.append(
                    Goal(
                        cell=CELL,
                        work=work,
                        measure="CPU x nginx",
                        unit="x",
                        goal=goal,
                        value=cpu_ratio(seen["edge"], seen["nginx"]),
                    )
                )
    return Outcome(goals=tuple(goals), servers=tuple(rows))
