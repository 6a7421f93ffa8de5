"""How far titles were watched, read from the sums of sessions."""

from __future__ import annotations

import sqlalchemy as sql

from origin.drivers.state.database import Database
from origin.drivers.state.tables import sessions
from origin.telemetry.watched import WatchedTitle


async def watched_since(database: Database, wall_s: float) -> tuple[WatchedTitle, ...]:
    """Of each title, by id, over the hours from `wall_s` on."""
    table = sessions
    sums = [sql.func.sum(table.c[name]) for name in ("session_count", "watched_s", "duration_s")]
    query = (
        sql.select(table.c.title, *sums)
        .where(table.c.from_wall_s >= int(wall_s))
        .group_by(table.c.title)
        .order_by(table.c.title)
    )
    async with database.reading() as connection:
        return tuple(
            WatchedTitle(
                title=title,
                session_count=int(count),
                watched_s=float(watched_s),
                duration_s=float(duration_s),
            )
            for title, count, watched_s, duration_s in await connection.execute(query)
        )
