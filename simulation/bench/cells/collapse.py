"""Equal misses on a slow object: one fetch, and first bytes as soon as they are there.

The origin holds its first byte back and then sends slowly. Clients come evenly over the time in
which the object is under way: some wait for its first byte, the others find a fill half done. A
client's wait is counted from the moment the bytes are there: when it asked, or when the origin's
first byte left, whichever is later.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import msgspec

from nearcast.errors import NearcastError
from simulation.bench.checks import fetch
from simulation.bench.load import percentile
from simulation.bench.origin import HOLD_S, Count
from simulation.bench.peers import Server, nginx, varnish
from simulation.bench.report import Goal, Outcome
from simulation.bench.rounds import Spread, spread
from simulation.bench.stage import KB, Stage, edge, own_origin
from simulation.bench.waiters import Waited, ask_over_time

CELL = "collapse"
SIZES_BYTES = {100: 2048 * KB, 1000: 256 * KB}
"""By client count. A thousand times 2 MB in a second would be 16 Gbit/s, and measure throughput."""
GOAL_MS = 5.0
SPREAD_S = 2 * HOLD_S
"""Half come before the first byte, half after it."""
ROUNDS_MAX = 3
"""Each takes more than a second."""


class Collapsed(msgspec.Struct, frozen=True, kw_only=True):
    """One round: how long clients waited for bytes that were there, and fetches of the object."""

    median_s: float
    p95_s: float
    fetch_count: int


def run(stage: Stage) -> Outcome:
    folder = stage.folder / CELL
    goals: list[Goal] = []
    with ExitStack() as up:
        source = up.enter_context(own_origin(stage.root))
        servers = [up.enter_context(edge(folder / "store", source.port))]
        if "nginx" in stage.peers:
            kinds = up.enter_context(nginx(folder / "nginx", stage.root, origin_port=source.port))
            servers.append(kinds["cache"])
        if "varnish" in stage.peers:
            servers.append(up.enter_context(varnish(folder / "varnish", source.port)))
        for count in SIZES_BYTES:
            for server in servers:
                rounds = min(stage.round_count, ROUNDS_MAX) if server.name == "edge" else 1
                found = [_round(server, source, count, number) for number in range(rounds)]
                goals += _goals(server.name, count, found)
    return Outcome(goals=tuple(goals))


def _round(server: Server, source: Server, count: int, number: int) -> Collapsed:
    before = _count(source)
    waited = ask_over_time(
        server.port,
        f"/slow/{SIZES_BYTES[count]}/{server.name}-{number}",
        count,
        spread_s=SPREAD_S,
        size_bytes=SIZES_BYTES[count],
    )
    after = _count(source)
    if any(one.status != "HTTP/1.1 200" for one in waited):
        raise NearcastError(f"{server.name} answered an equal miss with an error")
    return collapsed(
        waited, after.first_byte_at_s, fetch_count=after.slow_count - before.slow_count
    )


def collapsed(waited: list[Waited], there_at_s: float, *, fetch_count: int) -> Collapsed:
    """A client that came late found the bytes there when it asked."""
    waits_s = tuple(sorted(one.first_byte_at_s - max(one.asked_at_s, there_at_s) for one in waited))
    return Collapsed(
        median_s=percentile(waits_s, 0.5), p95_s=percentile(waits_s, 0.95), fetch_count=fetch_count
    )


def _count(source: Server) -> Count:
    return msgspec.json.decode(fetch(source.port, "/count").body, type=Count)


def _goals(server: str, count: int, found: list[Collapsed]) -> Iterator[Goal]:
    is_ours = server == "edge"
    work = f"{count} equal" + (" misses" if is_ours else f", {server}")
    figures: tuple[tuple[str, str, float | None, Spread | None], ...] = (
        ("upstream fetches", "", 1.0, spread([float(one.fetch_count) for one in found])),
        ("first byte p50 ms", "ms", GOAL_MS, spread([one.median_s * 1e3 for one in found])),
        ("first byte p95 ms", "ms", None, spread([one.p95_s * 1e3 for one in found])),
    )
    for measure, unit, goal, value in figures:
        yield Goal(
            cell=CELL,
            work=work,
            measure=measure,
            unit="ms" if unit == "ms" else "",
            goal=goal if is_ours else None,
            value=value,
        )
