"""What a hit costs, against servers that do the same work in the same rounds.

Each server holds the same 32 files. Rounds go through the servers forwards and then backwards, so
that a slow minute of the machine hits all of them; a figure is the median over rounds of the
ratio within one round. CPU is the processes' own user and system time (Linux), so a busy
neighbour costs a server nothing. Ratios are evidence; absolute rates of one machine are not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from nearcast.errors import NearcastError
from simulation.bench.load import Load, LoadFailed, generate

FILE_COUNT = 32
CONNECTION_COUNT = 32
ROUND_S = 0.6
READY_S = 20.0

NGINX_CONFIG = """\
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush off; tcp_nodelay on; keepalive_requests 10000000;
  open_file_cache max=1000 inactive=60s;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


class BenchRow(msgspec.Struct, frozen=True, kw_only=True):
    """One server on one object size. Ratios are to the baseline in the same round; lower is better
    for CPU, higher for throughput."""

    server: str
    size_bytes: int
    requests_per_s: float
    cpu_us_per_request: float | None
    cpu_ratio: float | None
    throughput_ratio: float
    p99_ms: float


class _Server:
    def __init__(self, name: str, process: subprocess.Popen[str], port: int) -> None:
        self.name = name
        self.process = process
        self.port = port

    def cpu_s(self) -> float | None:
        """User and system time of the process and its children; None where /proc has none."""
        ticks = os.sysconf("SC_CLK_TCK")
        total = 0.0
        for pid in (self.process.pid, *_children(self.process.pid)):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                return None
            total += (int(fields[11]) + int(fields[12])) / ticks
        return total


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def run_bench(
    sizes_bytes: tuple[int, ...], round_count: int, peers: tuple[str, ...]
) -> tuple[BenchRow, ...]:
    """Rows by size and server. Raises NearcastError when a server does not start."""
    rows: list[BenchRow] = []
    with (
        tempfile.TemporaryDirectory(prefix="nearcast-bench-") as name,
        contextlib.ExitStack() as up,
    ):
        folder = Path(name)
        root = folder / "root"
        for size_bytes in sizes_bytes:
            (root / str(size_bytes)).mkdir(parents=True)
            for number in range(FILE_COUNT):
                (root / str(size_bytes) / str(number)).write_bytes(os.urandom(size_bytes))
        static = up.enter_context(_static(root))
        servers = [static, up.enter_context(_edge(static.port, folder / "store"))]
        if "nginx" in peers:
            nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
            if nginx is None:
                print("nginx is not installed and left out (Debian: apt-get install nginx-light)")
            else:
                servers.insert(0, up.enter_context(_nginx(nginx, root, folder)))
        for size_bytes in sizes_bytes:
            targets = tuple(f"/{size_bytes}/{number}" for number in range(FILE_COUNT))
            rows += asyncio.run(_measure(servers, size_bytes, targets, round_count))
    return tuple(rows)


async def _measure(
    servers: list[_Server], size_bytes: int, targets: tuple[str, ...], round_count: int
) -> list[BenchRow]:
    seen: dict[str, list[tuple[Load, float | None]]] = {server.name: [] for server in servers}
    for server in servers:  # fills the edge's cache and everybody's page cache
        await _run(server, targets)
    for number in range(round_count):
        for server in servers if number % 2 == 0 else reversed(servers):
            seen[server.name].append(await _run(server, targets))
    baseline = seen[servers[0].name]
    return [as_row(name, size_bytes, runs, baseline) for name, runs in seen.items()]


async def _run(server: _Server, targets: tuple[str, ...]) -> tuple[Load, float | None]:
    before_s = server.cpu_s()
    try:
        load = await generate(
            server.port, targets, connection_count=CONNECTION_COUNT, duration_s=ROUND_S
        )
    except LoadFailed as error:
        raise NearcastError(f"{server.name} answered {error}; nothing was measured") from error
    after_s = server.cpu_s()
    if before_s is None or after_s is None or load.request_count == 0:
        return load, None
    return load, (after_s - before_s) / load.request_count


def as_row(
    name: str,
    size_bytes: int,
    runs: list[tuple[Load, float | None]],
    baseline: list[tuple[Load, float | None]],
) -> BenchRow:
    """Rounds of one server beside those of the baseline: what was seen, and CPU per request."""
    pairs = list(zip(runs, baseline, strict=True))
    cpu = [own for _, own in runs if own is not None]
    cpu_ratios = [one[1] / two[1] for one, two in pairs if one[1] and two[1]]
    latencies_s = sorted(latency for load, _ in runs for latency in load.latencies_s)
    return BenchRow(
        server=name,
        size_bytes=size_bytes,
        requests_per_s=statistics.median(run.request_count / run.duration_s for run, _ in runs),
        cpu_us_per_request=statistics.median(cpu) * 1e6 if cpu else None,
        cpu_ratio=statistics.median(cpu_ratios) if cpu_ratios else None,
        throughput_ratio=statistics.median(
            (one.request_count / one.duration_s) / (two.request_count / two.duration_s)
            for (one, _), (two, _) in pairs
        ),
        p99_ms=latencies_s[int(0.99 * (len(latencies_s) - 1))] * 1e3,
    )


@contextlib.contextmanager
def _process(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=READY_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _ready_line(name: str, process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    if not line:
        raise NearcastError(f"{name} did not start: {process.stderr.read().strip()[-400:]}")
    return line


@contextlib.contextmanager
def _static(root: Path) -> Iterator[_Server]:
    arguments = [sys.executable, "-m", "simulation.bench.static_server", str(root)]
    with _process(arguments) as process:
        yield _Server("aiohttp-file", process, int(_ready_line("aiohttp-file", process)))


@contextlib.contextmanager
def _edge(upstream_port: int, store: Path) -> Iterator[_Server]:
    arguments = [sys.executable, "-m", "nearcast", "edge"]
    arguments += ["--upstream", f"http://127.0.0.1:{upstream_port}", "--listen", "127.0.0.1:0"]
    arguments += ["--store", str(store), "--set", "http.default_freshness_s=3600"]
    arguments += ["--set", "prefetch.enabled=false"]
    with _process(arguments) as process:
        line = _ready_line("edge", process)
        port = int(line.split("http://127.0.0.1:")[1].split()[0].rstrip("/"))
        yield _Server("edge", process, port)


@contextlib.contextmanager
def _nginx(binary: str, root: Path, folder: Path) -> Iterator[_Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "nginx.conf"
    config.write_text(NGINX_CONFIG.format(folder=folder, root=root, port=port))
    with _process([binary, "-c", str(config), "-p", str(folder)]) as process:
        asyncio.run(_accepting(port))
        yield _Server("nginx", process, port)


async def _accepting(port: int) -> None:
    async with asyncio.timeout(READY_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


def table(rows: tuple[BenchRow, ...], baseline: str) -> Iterator[str]:
    """Lines of at most 80 columns."""
    yield f"hit, {CONNECTION_COUNT} connections; ratios to {baseline} in the same round"
    heads = ("req/s", "us CPU", "CPU x", "thr x", "p99 ms")
    yield f"{'object':>9} {'server':<14}" + "".join(f"{head:>9}" for head in heads)
    for row in rows:
        yield (
            f"{row.size_bytes:>9} {row.server:<14}{row.requests_per_s:>9.0f}"
            f"{_or_dash(row.cpu_us_per_request, '.0f'):>9}{_or_dash(row.cpu_ratio, '.2f'):>9}"
            f"{row.throughput_ratio:>9.2f}{row.p99_ms:>9.1f}"
        )


def _or_dash(value: float | None, style: str) -> str:
    return "-" if value is None else format(value, style)
