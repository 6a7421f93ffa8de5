"""Figures by the minute: a row a minute, for a day."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sql

from origin.drivers.state import counters
from origin.drivers.state.database import Database, upsert
from origin.drivers.state.tables import series_minutes as table
from origin.telemetry.series_minutes import MinuteRow


async def newest_revision(database: Database) -> int:
    async with database.reading() as connection:
        return await counters.newest(connection, "series")


async def minutes_before(
    database: Database, minute: int, count_max: int, from_minute: int
) -> tuple[MinuteRow, ...]:
    """The last of those before `minute`, newest first."""
    query = (
        sql.select(table)
        .where(table.c.minute < minute, table.c.minute >= from_minute)
        .order_by(table.c.minute.desc())
        .limit(count_max)
    )
    async with database.reading() as connection:
        return tuple(MinuteRow(**row) for row in (await connection.execute(query)).mappings())


async def whole_minutes_since(
    database: Database, revision: int, count_max: int
) -> tuple[MinuteRow, ...]:
    """Of minutes that are over, what was written after `revision`, in the order of writing. At
    most `count_max` of them, which is no less than is written at a time."""
    query = (
        sql.select(table)
        .where(table.c.revision > revision, table.c.is_whole)
        .order_by(table.c.revision, table.c.minute)
        .limit(count_max)
    )
    async with database.reading() as connection:
        rows = [MinuteRow(**row) for row in (await connection.execute(query)).mappings()]
    if len(rows) == count_max and rows[0].revision != rows[-1].revision:
        # Of the last revision there may be more: it is for the next time.
        rows = [row for row in rows if row.revision != rows[-1].revision]
    return tuple(rows)


async def put_minutes(database: Database, rows: Sequence[MinuteRow], kept_count: int) -> int:
    """Each in the place of what was written of it before; all but the newest `kept_count` are
    forgotten. That asks no clock: one that is a day ahead would delete the day. The revision."""
    async with database.writing() as connection:
        revision = await counters.count_up(connection, "series")
        insert = upsert(connection, table)
        changed = ("is_whole", "body", "revision")
        query = insert.on_conflict_do_update(
            index_elements=[table.c.minute],
            set_={name: insert.excluded[name] for name in changed},
        )
        await connection.execute(
            query,
            [
                {
                    "minute": row.minute,
                    "is_whole": row.is_whole,
                    "body": row.body,
                    "revision": revision,
                }
                for row in rows
            ],
        )
        oldest = sql.select(table.c.minute).order_by(table.c.minute.desc()).limit(1)
        oldest_kept = oldest.offset(kept_count - 1).scalar_subquery()
        await connection.execute(table.delete().where(table.c.minute < oldest_kept))
    return revision
