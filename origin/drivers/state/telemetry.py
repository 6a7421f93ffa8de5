"""Takes pieces of telemetry: cursors, sums and raw events move together or not at all.

The row of an edge's run is locked first, so that two origins given pieces of one run take them one
after the other; rows are written in the order of their keys, so that two that write the same sums
never wait for each other in a circle.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Any, Final

import sqlalchemy as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from origin.drivers.state.database import Database, upsert
from origin.drivers.state.tables import (
    demand,
    sessions,
    telemetry_cursors,
    telemetry_pieces,
    telemetry_runs,
    wanted_next,
)
from origin.telemetry.cursors import Run, Verdict, judge
from origin.telemetry.pieces import KEPT_S, Piece
from origin.telemetry.sums import Sums

BODY_LEVEL: Final = 1
"""Of gzip for raw events that wait: a fifth of the size for little time."""
PIECES_MAX: Final = 256
"""In one transaction: it holds locks and memory."""
ROWS_AT_A_TIME: Final = 100
"""Of sums, in one statement: some milliseconds of Python in which nobody else is answered."""
RAW_AT_A_TIME: Final = 8

RunKey = tuple[str, str]


async def take_pieces(
    database: Database, pieces: Sequence[Piece], *, keeps_raw: bool
) -> tuple[Verdict, ...]:
    """What became of each piece, in one transaction. `keeps_raw`: for the history.

    Raises StateUnavailable; nothing has changed then, and the same pieces may be brought again.
    """
    assert len(pieces) <= PIECES_MAX, "the caller bounds its batches"
    # Before the transaction, which others wait for, and not where others are answered.
    packed = await asyncio.to_thread(_pack, pieces) if keeps_raw else ()
    async with database.writing() as connection:
        runs = await _lock_runs(connection, pieces)
        before = {key: (run.first_segment_no, dict(run.offsets)) for key, run in runs.items()}
        verdicts = tuple(judge(piece, runs[piece.edge, piece.boot_id]) for piece in pieces)
        taken = [
            piece
            for piece, verdict in zip(pieces, verdicts, strict=True)
            if verdict.outcome == "taken"
        ]
        wall_s = max((piece.received_wall_s for piece in pieces), default=0.0)
        await _write_runs(connection, runs, before, wall_s)
        if taken:
            sums = Sums()
            for piece in taken:
                sums.add(piece)
            await _add_sums(connection, sums)
            is_taken = (verdict.outcome == "taken" for verdict in verdicts)
            await _keep_raw(connection, tuple(compress(packed, is_taken)))
    return verdicts


async def forget_old(database: Database, wall_s: float) -> None:
    """Let go of sums and cursors that are older than anything that still comes."""
    async with database.writing() as connection:
        for table in (demand, sessions, wanted_next):
            oldest = table.c.from_wall_s < int(wall_s - KEPT_S)
            await connection.execute(sql.delete(table).where(oldest))
        for table in (telemetry_cursors, telemetry_runs):
            # Twice as long: what is replayed within the time of the sums must meet its cursor.
            old = table.c.changed_wall_s < wall_s - 2.0 * KEPT_S
            await connection.execute(sql.delete(table).where(old))


async def _lock_runs(connection: AsyncConnection, pieces: Sequence[Piece]) -> dict[RunKey, Run]:
    wall_s = {(piece.edge, piece.boot_id): piece.received_wall_s for piece in pieces}
    keys = sorted(wall_s)
    runs = await _read_runs(connection, keys)
    missing = [key for key in keys if key not in runs]
    if missing:
        insert = upsert(connection, telemetry_runs).on_conflict_do_nothing()
        rows = [
            {
                "edge": key[0],
                "boot_id": key[1],
                "first_segment_no": 0,
                "changed_wall_s": wall_s[key],
            }
            for key in missing
        ]
        await connection.execute(insert, rows)
        runs |= await _read_runs(connection, missing)
    table = telemetry_cursors
    wanted = sorted({(piece.edge, piece.boot_id, piece.segment_no) for piece in pieces})
    query = sql.select(table.c.edge, table.c.boot_id, table.c.segment_no, table.c.offset_bytes)
    found = await connection.execute(
        query.where(sql.tuple_(table.c.edge, table.c.boot_id, table.c.segment_no).in_(wanted))
    )
    for edge, boot_id, segment_no, offset_bytes in found:
        runs[edge, boot_id].offsets[segment_no] = offset_bytes
    return runs


async def _read_runs(connection: AsyncConnection, keys: Sequence[RunKey]) -> dict[RunKey, Run]:
    table = telemetry_runs
    found = await connection.execute(
        sql.select(table.c.edge, table.c.boot_id, table.c.first_segment_no)
        .where(sql.tuple_(table.c.edge, table.c.boot_id).in_(keys))
        .order_by(table.c.edge, table.c.boot_id)
        .with_for_update()
    )
    return {(edge, boot_id): Run(first_segment_no=first) for edge, boot_id, first in found}


async def _write_runs(
    connection: AsyncConnection,
    runs: dict[RunKey, Run],
    before: dict[RunKey, tuple[int, dict[int, int]]],
    wall_s: float,
) -> None:
    cursors: list[dict[str, Any]] = []
    raised: list[dict[str, Any]] = []
    for (edge, boot_id), run in sorted(runs.items()):
        first_segment_no, offsets = before[edge, boot_id]
        for segment_no, offset_bytes in sorted(run.offsets.items()):
            if segment_no >= run.first_segment_no and offsets.get(segment_no) != offset_bytes:
                cursors.append(
                    {
                        "edge": edge,
                        "boot_id": boot_id,
                        "segment_no": segment_no,
                        "offset_bytes": offset_bytes,
                        "changed_wall_s": wall_s,
                    }
                )
        if run.first_segment_no > first_segment_no:
            raised.append(
                {
                    "of_edge": edge,
                    "of_boot_id": boot_id,
                    "first": run.first_segment_no,
                    "wall_s": wall_s,
                }
            )
    if raised:
        await _raise_firsts(connection, raised)
    if cursors:
        insert = upsert(connection, telemetry_cursors)
        await connection.execute(
            insert.on_conflict_do_update(
                index_elements=["edge", "boot_id", "segment_no"],
                set_={
                    "offset_bytes": insert.excluded.offset_bytes,
                    "changed_wall_s": insert.excluded.changed_wall_s,
                },
            ),
            cursors,
        )


async def _raise_firsts(connection: AsyncConnection, raised: Sequence[dict[str, Any]]) -> None:
    """These edges have no segments before these any more: their cursors are done with."""
    runs, cursors = telemetry_runs, telemetry_cursors
    edge: sql.BindParameter[str] = sql.bindparam("of_edge")
    boot_id: sql.BindParameter[str] = sql.bindparam("of_boot_id")
    await connection.execute(
        sql.update(runs)
        .where(runs.c.edge == edge, runs.c.boot_id == boot_id)
        .values(first_segment_no=sql.bindparam("first"), changed_wall_s=sql.bindparam("wall_s")),
        raised,
    )
    await connection.execute(
        sql.delete(cursors).where(
            cursors.c.edge == edge,
            cursors.c.boot_id == boot_id,
            cursors.c.segment_no < sql.bindparam("first"),
        ),
        [{name: row[name] for name in ("of_edge", "of_boot_id", "first")} for row in raised],
    )


def _pack(pieces: Sequence[Piece]) -> tuple[dict[str, Any], ...]:
    """The pieces' events as the history's writer will find them."""
    return tuple(
        {
            "edge": piece.edge,
            "boot_id": piece.boot_id,
            "received_wall_s": piece.received_wall_s,
            "event_count": len(piece.events),
            "body": gzip.compress(piece.lines, BODY_LEVEL, mtime=0),
        }
        for piece in pieces
    )


async def _keep_raw(connection: AsyncConnection, packed: Iterable[dict[str, Any]]) -> None:
    rows = [row for row in packed if row["event_count"]]
    for begin in range(0, len(rows), RAW_AT_A_TIME):
        await connection.execute(sql.insert(telemetry_pieces), rows[begin : begin + RAW_AT_A_TIME])


async def _add_sums(connection: AsyncConnection, sums: Sums) -> None:
    await _add(
        connection,
        demand,
        ("from_wall_s", "edge", "title", "rendition"),
        [
            {
                **dict(zip(("from_wall_s", "edge", "title", "rendition"), key, strict=True)),
                **{name: getattr(one, name) for name in one.__struct_fields__},
            }
            for key, one in sorted(sums.demand.items())
        ],
    )
    key_names = ("from_wall_s", "edge", "title")
    await _add(
        connection,
        sessions,
        key_names,
        [
            {
                **dict(zip(key_names, key, strict=True)),
                **{name: getattr(one, name) for name in one.__struct_fields__},
            }
            for key, one in sorted(sums.sessions.items())
        ],
    )
    await _add(
        connection,
        wanted_next,
        key_names,
        [
            {**dict(zip(key_names, key, strict=True)), "session_count": count}
            for key, count in sorted(sums.wanted.items())
        ],
    )


async def _add(
    connection: AsyncConnection,
    table: sql.Table,
    key_names: Sequence[str],
    rows: Sequence[dict[str, Any]],
) -> None:
    """Add the rows' figures to those that are there."""
    if not rows:
        return
    insert = upsert(connection, table)
    figures = {
        column.name: column + insert.excluded[column.name]
        for column in table.columns
        if column.name not in key_names
    }
    query = insert.on_conflict_do_update(index_elements=list(key_names), set_=figures)
    for begin in range(0, len(rows), ROWS_AT_A_TIME):
        await connection.execute(query, rows[begin : begin + ROWS_AT_A_TIME])
