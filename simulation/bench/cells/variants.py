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
RANGE_COUNT = 1023
GOAL = 1.2
"""CPU per request against our own plain hit."""

_CMCD = (
    'bl=%d,br=3200,cid="title-7",d=4000,mtp=25400,ot=v,sf=d,'
    'sid="6e2fb550-c457-11e9-bb97-{session:012d}",st=v,tb=6000'
)
"""What a player sends (CTA-5004); the buffer length is another one in every request."""


def cmcd_asks(size_bytes: int) -> tuple[tuple[Ask, ...], tuple[Ask, ...]]:
    """With CMCD in the query and in a header. Each connection is one session."""
    query, fields = [], []
    for session in range(CONNECTION_COUNT):
        text = _CMCD.format(session=session)
        quoted = text.replace('"', "%22").replace("=", "%3D").replace(",", "%2C")
        for number in range(FILE_COUNT):
            query.append(Ask(f"/{size_bytes}/{number}?CMCD={quoted}", size_bytes))
            fields.append(Ask(f"/{size_bytes}/{number}", size_bytes, f"CMCD-Request: {text}\r\n"))
    return tuple(query), tuple(fields)


def range_asks(size_bytes: int) -> tuple[Ask, ...]:
    """A thousand different ranges, all nearly as long as the object: the same bytes to send."""
    return tuple(
        Ask(f"/{size_bytes}/{first % FILE_COUNT}", size_bytes - first, f"Range: bytes={first}-\r\n")
        for first in range(1, RANGE_COUNT + 1)
    )


def condition_asks(server: Server, size_bytes: int) -> tuple[Ask, ...]:
    """With the validator that the server gave."""
    found = []
    for ask in plain_asks(size_bytes):
        etag = fetch(server.port, ask.target).headers.get("etag", "none")
        found.append(Ask(ask.target, 0, f"If-None-Match: {etag}\r\n"))
    return tuple(found)


def asks(server: Server, size_bytes: int) -> dict[str, tuple[tuple[Ask, ...], int]]:
    """Requests by variant, and the status of their answers."""
    query, fields = cmcd_asks(size_bytes)
    return {
        "plain": (plain_asks(size_bytes), 200),
        "Range": (range_asks(size_bytes), 206),
        "If-None-Match": (condition_asks(server, size_bytes), 304),
        "CMCD query": (query, 200),
        "CMCD header": (fields, 200),
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
    return lambda: measure(stage.hit_generator, job, server.process)
