"""`nearcast bench fleet`: what a fleet costs its origin, and how soon players are answered.

A real origin on one core, with SQLite; on another core a process that is all edges (each with a
certificate of its own over mutual TLS on a connection that is kept), and one that asks for steering
at a steady rate, one question after the other. The baseline is the same question before there is
a fleet.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from nearcast.errors import NearcastError
from simulation.bench.fleet_load import Orders, Seen
from simulation.bench.processes import (
    LOAD_CORE,
    SERVER_CORE,
    Process,
    process,
    raise_descriptor_limit,
)

STEERING_PER_S: Final = 50.0
QUIET_S: Final = 5.0
WARM_S: Final = 15.0
"""Of load before it counts: every edge has reported thrice."""
GOAL_S: Final = 0.020


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Times are seconds."""

    edges: int
    duration_s: float
    heartbeats_per_s: float
    events_per_s: float
    refused_count: int
    steering_count: int
    steering_p50_s: float
    steering_p99_s: float
    steering_max_s: float
    quiet_p50_s: float
    """The baseline: the same question before there is a fleet."""
    quiet_p99_s: float
    heartbeat_p50_s: float
    heartbeat_p99_s: float
    telemetry_p50_s: float
    telemetry_p99_s: float
    origin_cpu_share: float | None
    """Of one core."""
    rss_begin_bytes: int | None
    """When every edge had reported."""
    rss_middle_bytes: int | None
    rss_end_bytes: int | None
    alive_count: int
    """Edges that the origin held to be alive at the end."""
    load_average: float
    """Of the machine at the end: above its cores, times are those of a busy machine."""


def run_bench(
    edges: int, duration_s: float, events_per_s: float, note: Callable[[str], None]
) -> Row:
    raise_descriptor_limit()
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "library"
        _make_library(library)
        with process("origin", _origin_arguments(library, edges), core=SERVER_CORE) as origin:
            url = origin.first_line().split()[3]
            admin_url = _line(origin).split()[1]
            _line(origin)
            admin = _Admin(admin_url, (library / "admin.token").read_text().strip())
            note(f"steering without a fleet for {QUIET_S:.0f} s")
            quiet = _steer(url, QUIET_S, edges)
            note(f"enrolling {edges} edges")
            tokens = tuple(
                str(admin.ask("POST", "/enrolments", {"edge": f"edge-{index}"})["token"])
                for index in range(edges)
            )
            orders = Orders(
                tokens=tokens,
                warm_s=WARM_S,
                duration_s=duration_s,
                events_per_s=events_per_s,
            )
            arguments = (sys.executable, "-m", "simulation.bench.fleet_load")
            with process("fleet", arguments, core=LOAD_CORE) as fleet:
                assert fleet.popen.stdin is not None
                fleet.popen.stdin.write(msgspec.json.encode(orders).decode() + "\n")
                fleet.popen.stdin.flush()
                fleet.first_line()
                note(f"all connected; the load for {WARM_S:.0f} s and then {duration_s:.0f} s")
                return _measure(origin, fleet, url, admin, quiet, orders)


def _measure(
    origin: Process, fleet: Process, url: str, admin: _Admin, quiet: list[float], orders: Orders
) -> Row:
    assert fleet.popen.stdin is not None
    fleet.popen.stdin.write("begin\n")
    fleet.popen.stdin.flush()
    edges = len(orders.tokens)
    _steer(url, WARM_S, edges)
    rss_begin, cpu_begin = _rss(origin), origin.cpu_s()
    began_s = time.perf_counter()
    times = _steer(url, orders.duration_s / 2, edges)
    rss_middle = _rss(origin)
    times += _steer(url, orders.duration_s / 2, edges)
    cpu_end, elapsed_s = origin.cpu_s(), time.perf_counter() - began_s
    rss_end = _rss(origin)
    seen = msgspec.json.decode(fleet.first_line(), type=Seen)
    totals = admin.ask("GET", "/fleet", None)
    fleet.popen.stdin.write("end\n")
    fleet.popen.stdin.flush()
    cpu = None if cpu_begin is None or cpu_end is None else (cpu_end - cpu_begin) / elapsed_s
    times.sort()
    quiet.sort()
    return Row(
        edges=edges,
        duration_s=orders.duration_s,
        heartbeats_per_s=seen.heartbeat_count / orders.duration_s,
        events_per_s=seen.event_count / orders.duration_s,
        refused_count=seen.refused_count,
        steering_count=len(times),
        steering_p50_s=_quantile(times, 0.5),
        steering_p99_s=_quantile(times, 0.99),
        steering_max_s=times[-1],
        quiet_p50_s=_quantile(quiet, 0.5),
        quiet_p99_s=_quantile(quiet, 0.99),
        heartbeat_p50_s=_quantile(seen.heartbeat_s, 0.5),
        heartbeat_p99_s=_quantile(seen.heartbeat_s, 0.99),
        telemetry_p50_s=_quantile(seen.telemetry_s, 0.5),
        telemetry_p99_s=_quantile(seen.telemetry_s, 0.99),
        origin_cpu_share=cpu,
        rss_begin_bytes=rss_begin,
        rss_middle_bytes=rss_middle,
        rss_end_bytes=rss_end,
        alive_count=int(totals["by_state"].get("alive", 0)),
        load_average=os.getloadavg()[0],
    )


def table(row: Row) -> Iterator[str]:
    yield f"{row.edges} edges for {row.duration_s:.0f} s, load average {row.load_average:.1f}"
    yield (
        f"  taken            {row.heartbeats_per_s:.0f} heartbeats/s, {row.events_per_s:.0f} "
        f"events/s, {row.refused_count} refused, {row.alive_count} alive at the end"
    )
    yield f"{'  ms':<18} {'p50':>8} {'p99':>8} {'max':>8}"
    for name, values in (
        ("steering", (row.steering_p50_s, row.steering_p99_s, row.steering_max_s)),
        ("without a fleet", (row.quiet_p50_s, row.quiet_p99_s)),
        ("heartbeat", (row.heartbeat_p50_s, row.heartbeat_p99_s)),
        ("telemetry", (row.telemetry_p50_s, row.telemetry_p99_s)),
    ):
        yield f"  {name:<16} " + " ".join(f"{value * 1e3:>8.1f}" for value in values)
    verdict = "met" if row.steering_p99_s < GOAL_S else "not met"
    yield f"  goal: p99 of steering below {GOAL_S * 1e3:.0f} ms: {verdict}"
    if row.origin_cpu_share is not None:
        yield f"  origin's CPU     {row.origin_cpu_share:.0%} of a core"
    if row.rss_begin_bytes and row.rss_middle_bytes and row.rss_end_bytes:
        sizes = (row.rss_begin_bytes, row.rss_middle_bytes, row.rss_end_bytes)
        text = ", ".join(f"{size / 1e6:.0f}" for size in sizes)
        yield f"  origin's memory  {text} MB at the begin, in the middle, at the end"


class _Admin:
    """Of the origin under test; simulations do not know the origin's own client."""

    def __init__(self, url: str, token: str) -> None:
        self._place = urlsplit(url)
        self._headers = {"authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, body: Any) -> Any:
        content = None if body is None else json.dumps(body)
        host, port = self._place.hostname or "", self._place.port
        connection = http.client.HTTPConnection(host, port, timeout=30)
        try:
            connection.request(method, f"/v1/admin{path}", content, self._headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status >= 400:
            raise NearcastError(f"the origin refused {path}: {answer}")
        return answer


def _steer(url: str, duration_s: float, edges: int) -> list[float]:
    """Ask at a steady rate; how long each answer took."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    times: list[float] = []
    begin_s = time.perf_counter()
    try:
        for number in range(int(duration_s * STEERING_PER_S)):
            due_s = begin_s + number / STEERING_PER_S
            time.sleep(max(0.0, due_s - time.perf_counter()))
            # A client in the network of some edge, which the trusted loopback speaks for.
            edge = number * 7 % edges
            client = f"10.{edge // 256}.{edge % 256}.{number % 250 + 1}"
            asked_s = time.perf_counter()
            connection.request(
                "GET", f"/v1/steering/title-{number % 100}", headers={"x-forwarded-for": client}
            )
            response = connection.getresponse()
            body = response.read()
            times.append(time.perf_counter() - asked_s)
            if response.status != 200 or b"PATHWAY-PRIORITY" not in body:
                raise NearcastError(f"steering was answered {response.status}: {body[:200]!r}")
    finally:
        connection.close()
    return times


def _make_library(folder: Path) -> None:
    """An empty one: the origin's own command makes it and finds nothing in it."""
    folder.mkdir()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "nearcast",
            "origin",
            "ingest",
            os.devnull,
            "--library",
            str(folder),
        ],
        capture_output=True,
        text=True,
    )
    if not (folder / "catalog.db").exists():
        raise NearcastError(f"no library could be made: {done.stderr.strip()[-300:]}")


def _origin_arguments(library: Path, edges: int) -> list[str]:
    settings = (
        f"control.connections_max={2 * edges + 64}",
        "control.trusted_proxies=127.0.0.0/8",
        "control.plan.enabled=false",
    )
    return [
        *(sys.executable, "-m", "nearcast", "origin", "serve"),
        *("--library", str(library), "--listen", "127.0.0.1:0"),
        *(part for setting in settings for part in ("--set", setting)),
    ]


def _line(origin: Process) -> str:
    assert origin.popen.stdout is not None
    return origin.popen.stdout.readline()


def _rss(origin: Process) -> int | None:
    try:
        text = Path(f"/proc/{origin.popen.pid}/status").read_text()
    except OSError:
        return None
    return next(int(line.split()[1]) << 10 for line in text.splitlines() if line[:6] == "VmRSS:")


def _quantile(ordered: list[float] | tuple[float, ...], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
