"""Revisions: a growing number for each kind of record, counted up before records change."""

from __future__ import annotations

import sqlalchemy as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from origin.drivers.state.tables import counters
from origin.records import Revisions


async def count_up(connection: AsyncConnection, name: str) -> int:
    """The new revision. Until the transaction ends, no other one gets a revision of this kind."""
    query = (
        counters.update()
        .where(counters.c.name == name)
        .values(value=counters.c.value + 1)
        .returning(counters.c.value)
    )
    return int((await connection.execute(query)).scalar_one())


async def read(connection: AsyncConnection) -> Revisions:
    rows = await connection.execute(sql.select(counters.c.name, counters.c.value))
    return Revisions(**{name: value for name, value in rows if name in Revisions.__struct_fields__})


async def newest(connection: AsyncConnection, name: str) -> int:
    query = sql.select(counters.c.value).where(counters.c.name == name)
    return int((await connection.execute(query)).scalar_one())
