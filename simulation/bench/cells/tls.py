"""Hits over TLS 1.3, against nginx with its own TLS settings and the same certificate."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path

from nearcast.errors import NearcastError
from simulation.bench.peers import Certificate, Server, nginx
from simulation.bench.report import Goal, Outcome, ServerRow, server_rows
from simulation.bench.rounds import cpu_ratio, measure, take_turns
from simulation.bench.stage import (
    KB,
    Stage,
    edge,
    origin,
    plain_asks,
    size_text,
)

CELL = "tls"
GOALS = {4 * KB: 1.0, 64 * KB: 0.8, 2048 * KB: 1.0}


def run(stage: Stage) -> Outcome:
    if "nginx" not in stage.peers:
        return Outcome(notes=("tls: nothing to compare with without nginx; left out",))
    folder = stage.folder / CELL
    goals: list[Goal] = []
    rows: list[ServerRow] = []
    with ExitStack() as up:
        folder.mkdir()
        pair = make_certificate(folder)
        source = up.enter_context(origin(stage, folder / "origin"))
        settings = (f"tls.certificate={pair.certificate}", f"tls.key={pair.key}")
        servers: list[Server] = [
            up.enter_context(edge(folder / "store", source.port, settings)),
            up.enter_context(nginx(folder / "nginx", stage.root, tls=pair))["tls"],
        ]
        for size_bytes, goal in GOALS.items():
            for server in servers:
                stage.warm(server, size_bytes, is_tls=True)
            jobs = {
                server: stage.job(server, plain_asks(size_bytes), is_tls=True) for server in servers
            }
            seen = take_turns(
                {
                    server.name: lambda server=server, job=job: measure(  # type: ignore[misc]
                        stage.hit_generator, job, server.process
                    )
                    for server, job in jobs.items()
                },
                stage.round_count,
            )
            work = f"TLS hit {size_text(size_bytes)}"
            rows += server_rows(CELL, work, seen, "nginx")
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


def make_certificate(folder: Path) -> Certificate:
    """A self-signed P-256 pair for this run. Raises NearcastError without the openssl program."""
    pair = Certificate(folder / "certificate.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-days", "2"]
    command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"]
    command += ["-keyout", str(pair.key), "-out", str(pair.certificate)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        raise NearcastError(f"openssl made no certificate: {error}") from error
    return pair
