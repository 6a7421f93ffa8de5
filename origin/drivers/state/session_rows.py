"""How the viewings of a title went, read from the sums of what edges told of them."""

from __future__ import annotations

import sqlalchemy as sql

from origin.drivers.state.database import Database
from origin.drivers.state.tables import sessions
from origin.telemetry.sums import SessionSum


async def title_viewings(database: Database, title: str, wall_s: float) -> SessionSum:
    """Of the viewings that ended in the hours from `wall_s` on, at all edges together."""
    table = sessions
    names = SessionSum.__struct_fields__
    sums = (sql.func.coalesce(sql.func.sum(table.c[name]), 0) for name in names)
    query = sql.select(*sums).where(table.c.from_wall_s >= int(wall_s), table.c.title == title)
    async with database.reading() as connection:
        found = (await connection.execute(query)).one()
    told = SessionSum()
    for name, value in zip(names, found, strict=True):
        # PostgreSQL adds whole numbers up to decimals.
        setattr(told, name, type(getattr(told, name))(value))
    return told
