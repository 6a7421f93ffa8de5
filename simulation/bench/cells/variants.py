"""What players do to a hit: ranges, conditions, CMCD that differs in every request.

All are measured on our own edge, beside its plain hit in the same rounds: whatever falls off the
cheap way shows here.
"""

from __future__ import annotations

from collections.abc import Callable

from simulation.bench.checks import fetch
from simulation.bench.load import Ask
from simulation.bench.peers import Server
from simulation.bench.report import Goal, Outcome, ServerRow, server_rows
from simulation.bench.rounds import Sample, cpu_ratio, measure, take_turns
from simulation.bench.stage import (
    CONNECTION_COUNT,
    FILE_COUNT,
    SIZES_BYTES,
    Stage,
    edge,
    origin,
    plain_asks,
    size_text,
)

CELL = "variants"
GOAL = 1.2
"""CPU per request against our own plain hit."""

_CMCD = (
    "bl={bl},br=3200,cid={quote}title-7{quote},d=4000,mtp=25400,ot=v,sf=d,"
    "sid={quote}6e2fb550-c457-11e9-bb97-{session:012d}{quote},st=v,tb=6000"
)
"""What a player sends (CTA-5004); the buffer length is another one in every request."""


def asks(server: Server, size_bytes: int) -> dict[str, tuple[tuple[Ask, ...], int]]:
    """Requests by variant, and the status of their answers. Each connection is one session."""
    etags = [
        fetch(server.port, f"/{size_bytes}/{number}").headers.get("etag", "none")
        for number in range(FILE_COUNT)
    ]
    query, fields = [], []
    for session in range(CONNECTION_COUNT):
        text = _CMCD.format(bl="%d", session=session, quote='"')
        quoted = text.replace('"', "%22").replace("=", "%3D").replace(",", "%2C")
        for number in range(FILE_COUNT):
            query.append(Ask(f"/{size_bytes}/{number}?CMCD={quoted}", size_bytes))
            fields.append(Ask(f"/{size_bytes}/{number}", size_bytes, f"CMCD-Session: {text}\r\n"))
    ranges = [
        Ask(f"/{size_bytes}/{n % FILE_COUNT}", size_bytes - n, f"Range: bytes={n}-\r\n")
        for n in range(1, 32 * FILE_COUNT)
    ]
    conditions = [
        Ask(f"/{size_bytes}/{number}", 0, f"If-None-Match: {etag}\r\n")
        for number, etag in enumerate(etags)
    ]
    return {
        "plain": (plain_asks(size_bytes), 200),
        "Range": (tuple(ranges), 206),
        "If-None-Match": (tuple(conditions), 304),
        "CMCD query": (tuple(query), 200),
        "CMCD header": (tuple(fields), 200),
    }


def run(stage: Stage) -> Outcome:
    folder = stage.folder / CELL
    goals: list[Goal] = []
    rows: list[ServerRow] = []
    with (
        origin(stage, folder / "origin") as source,
        edge(folder / "store", source.port) as server,
    ):
        for size_bytes in SIZES_BYTES:
            stage.warm(server, size_bytes)
            turns = {
                name: _turn(stage, server, variant, status)
                for name, (variant, status) in asks(server, size_bytes).items()
            }
            seen = take_turns(turns, stage.round_count)
            work = f"hit {size_text(size_bytes)}"
            rows += server_rows(CELL, work, seen, "plain")
            goals += [
                Goal(
                    cell=CELL,
                    work=f"{work}, {name}",
                    measure="CPU x plain hit",
                    unit="x",
                    goal=GOAL,
                    value=cpu_ratio(seen[name], seen["plain"]),
                )
                for name in seen
                if name != "plain"
            ]
    return Outcome(goals=tuple(goals), servers=tuple(rows))


def _turn(
    stage: Stage, server: Server, variant: tuple[Ask, ...], status: int
) -> Callable[[], Sample]:
    job = stage.job(server, variant, status=status)
    return lambda: measure(stage.generator, job, server.process)
