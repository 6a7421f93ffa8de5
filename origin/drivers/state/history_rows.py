"""Raw events that wait, and the files that hold the others.

An event is in a piece or in a file that is named here, never in both and never in none: the
transaction that names a file is the one that takes away what it was made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import sqlalchemy as sql

from origin.drivers.state.database import Database
from origin.drivers.state.errors import StateError
from origin.drivers.state.tables import history_files, telemetry_pieces

PIECES_MAX: Final = 2_000
EVENTS_MAX: Final = 200_000
"""Of one file, nearly: what is read at a time, some 10 MB, five times as much unpacked."""


class WaitingPiece(msgspec.Struct, frozen=True, kw_only=True):
    """Raw events of an edge as they were taken."""

    id: int
    edge: str
    boot_id: str
    received_wall_s: float
    event_count: int
    body: bytes
    """Its lines, as gzip: whoever unpacks it has a thread for that."""


class HistoryFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the history."""

    name: str
    day: str
    """On which its events were received, in UTC: 2026-01-31."""
    event_count: int
    size_bytes: int
    made_wall_s: float


async def waiting_events(database: Database) -> tuple[int, float]:
    """How many wait, and since when the oldest does (0: none)."""
    table = telemetry_pieces
    query = sql.select(
        sql.func.coalesce(sql.func.sum(table.c.event_count), 0),
        sql.func.coalesce(sql.func.min(table.c.received_wall_s), 0.0),
    )
    async with database.reading() as connection:
        count, oldest_wall_s = (await connection.execute(query)).one()
        return int(count), float(oldest_wall_s)


async def waiting_pieces(database: Database) -> tuple[WaitingPiece, ...]:
    """The oldest, as many as fit into one file."""
    table = telemetry_pieces
    heads = sql.select(table.c.id, table.c.event_count).order_by(table.c.id).limit(PIECES_MAX)
    async with database.reading() as connection:
        ids: list[int] = []
        event_count = 0
        for piece_id, count in await connection.execute(heads):
            ids.append(piece_id)
            event_count += count
            if event_count >= EVENTS_MAX:
                break
        if not ids:
            return ()
        found = await connection.execute(
            sql.select(
                *(table.c.id, table.c.edge, table.c.boot_id),
                *(table.c.received_wall_s, table.c.event_count, table.c.body),
            )
            .where(table.c.id.between(ids[0], ids[-1]))
            .order_by(table.c.id)
        )
        return tuple(
            WaitingPiece(
                id=piece_id,
                edge=edge,
                boot_id=boot_id,
                received_wall_s=received_wall_s,
                event_count=count,
                body=body,
            )
            for piece_id, edge, boot_id, received_wall_s, count, body in found
        )


async def pieces_written(
    database: Database, pieces: Sequence[WaitingPiece], files: Sequence[HistoryFile]
) -> None:
    """From now on these files hold what the pieces held.

    Raises StateError when the pieces are no longer all there: somebody else wrote them.
    """
    table = telemetry_pieces
    ids = [piece.id for piece in pieces]
    async with database.writing() as connection:
        gone = await connection.execute(sql.delete(table).where(table.c.id.in_(ids)))
        _must_be(gone.rowcount, len(ids))
        await connection.execute(sql.insert(history_files), [_row(file) for file in files])


async def files_merged(
    database: Database, parts: Sequence[HistoryFile], whole: HistoryFile
) -> None:
    """From now on one file holds what several held. Raises StateError if they are not all there."""
    table = history_files
    names = [file.name for file in parts]
    async with database.writing() as connection:
        gone = await connection.execute(sql.delete(table).where(table.c.name.in_(names)))
        _must_be(gone.rowcount, len(names))
        await connection.execute(sql.insert(table), [_row(whole)])


async def files_of(database: Database, since_day: str = "") -> tuple[HistoryFile, ...]:
    """The files of the history from a day on, oldest first."""
    table = history_files
    query = (
        sql.select(table)
        .where(table.c.day >= since_day)
        .order_by(table.c.day, table.c.made_wall_s, table.c.name)
    )
    async with database.reading() as connection:
        return tuple(
            HistoryFile(
                name=row.name,
                day=row.day,
                event_count=row.event_count,
                size_bytes=row.size_bytes,
                made_wall_s=row.made_wall_s,
            )
            for row in await connection.execute(query)
        )


async def forget_days(database: Database, before_day: str) -> int:
    """Let go of the files of days that are kept no longer; how many."""
    table = history_files
    async with database.writing() as connection:
        gone = await connection.execute(sql.delete(table).where(table.c.day < before_day))
        return int(gone.rowcount)


def _must_be(found: int, wanted: int) -> None:
    if found != wanted:
        raise StateError(f"{wanted - found} of {wanted} records were taken by another origin")


def _row(file: HistoryFile) -> dict[str, object]:
    return msgspec.structs.asdict(file)
