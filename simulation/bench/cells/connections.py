"""What connections cost that do nothing: a thousand that idle, two hundred that stop reading.

Idle: growth of the process's memory (PSS) per connection, each with one hit behind it. Stopped:
bytes of its answer that the kernel holds for each client (/proc/net/tcp), which is
memory nobody gets back until the client reads on or is let go.
"""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path

from nearcast.errors import NearcastError
from simulation.bench.peers import Server, nginx, varnish
from simulation.bench.report import Goal, Outcome
from simulation.bench.rounds import spread
from simulation.bench.stage import KB, Stage, edge, origin
from simulation.bench.waiters import connected

CELL = "connections"
IDLE_COUNT = 1000
IDLE_KB = 8.0
STOPPED_COUNT = 200
STOPPED_MB = 0.5
SMALL_BYTES = 4 * KB
LARGE_BYTES = 2048 * KB
SETTLE_S = 0.25
SETTLED_MAX = 40
"""Looks at a queue that still grows, SETTLE_S apart."""


def run(stage: Stage) -> Outcome:
    folder = stage.folder / CELL
    goals: list[Goal] = []
    with ExitStack() as up:
        source = up.enter_context(origin(stage, folder / "origin"))
        servers = [up.enter_context(edge(folder / "store", source.port))]
        if "nginx" in stage.peers:
            servers.append(up.enter_context(nginx(folder / "nginx", stage.root))["static"])
        if "varnish" in stage.peers:
            servers.append(up.enter_context(varnish(folder / "varnish", source.port)))
        for server in servers:
            is_ours = server.name == "edge"
            who = "" if is_ours else f", {server.name}"
            stage.warm(server, SMALL_BYTES)
            stage.warm(server, LARGE_BYTES)
            idle = idle_bytes(server)
            kernel_bytes, process_bytes = stopped_bytes(server)
            goals += [
                Goal(
                    cell=CELL,
                    work=f"{IDLE_COUNT} idle{who}",
                    measure="KB each, process",
                    unit="KB",
                    goal=IDLE_KB if is_ours else None,
                    value=spread([idle / KB] if idle is not None else []),
                ),
                Goal(
                    cell=CELL,
                    work=f"{STOPPED_COUNT} stopped{who}",
                    measure="MB each, kernel",
                    unit="MB",
                    goal=STOPPED_MB if is_ours else None,
                    value=spread([kernel_bytes / KB / KB]),
                ),
                Goal(
                    cell=CELL,
                    work=f"{STOPPED_COUNT} stopped{who}",
                    measure="MB each, process",
                    unit="MB",
                    goal=None,
                    value=spread([process_bytes / KB / KB] if process_bytes is not None else []),
                ),
            ]
    return Outcome(goals=tuple(goals))


def idle_bytes(server: Server) -> float | None:
    """growth of the process per connection that had one hit and is kept alive."""
    before_bytes = server.process.pss_bytes()
    with connected(server.port, IDLE_COUNT) as socks:
        for number, sock in enumerate(socks):
            sock.sendall(_request(server, SMALL_BYTES, number))
            _drain(sock, SMALL_BYTES)
        after_bytes = server.process.pss_bytes()
    if before_bytes is None or after_bytes is None:
        return None
    return max(0, after_bytes - before_bytes) / IDLE_COUNT


def stopped_bytes(server: Server) -> tuple[float, float | None]:
    """Per client that asks for LARGE_BYTES and reads nothing: kernel send queue, process."""
    before_bytes = server.process.pss_bytes()
    with connected(server.port, STOPPED_COUNT) as socks:
        for number, sock in enumerate(socks):
            sock.sendall(_request(server, LARGE_BYTES, number))
        queued = -1
        for _ in range(SETTLED_MAX):
            time.sleep(SETTLE_S)
            before, queued = queued, send_queue_bytes(server.port)
            if queued == before > 0:
                break
        after_bytes = server.process.pss_bytes()
    grown = None
    if before_bytes is not None and after_bytes is not None:
        grown = max(0, after_bytes - before_bytes) / STOPPED_COUNT
    return queued / STOPPED_COUNT, grown


def send_queue_bytes(port: int, table: Path = Path("/proc/net/tcp")) -> int:
    """What the kernel holds for the clients of this port."""
    total = 0
    for line in table.read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].partition(":")[2], 16) == port and fields[3] != _LISTEN:
            total += int(fields[4].partition(":")[0], 16)
    return total


_LISTEN = "0A"


def _request(server: Server, size_bytes: int, number: int) -> bytes:
    target = f"/{size_bytes}/{number % 32}"
    return f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()


def _drain(sock: socket.socket, size_bytes: int) -> None:
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0 or len(data) < end + 4 + size_bytes:
        more = sock.recv(65_536)
        if not more:
            raise NearcastError("a connection that should idle was closed")
        data += more
