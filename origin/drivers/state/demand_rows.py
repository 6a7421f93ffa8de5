"""What was wanted, read from the sums: for a title's page, and for the account of fills."""

from __future__ import annotations

from typing import Final

import msgspec
import sqlalchemy as sql

from origin.drivers.state.database import Database
from origin.drivers.state.tables import demand

TITLES_MAX: Final = 200
"""Shown of a search."""


class TitleHour(msgspec.Struct, frozen=True, kw_only=True):
    """What viewers at one edge took of a title in one hour."""

    wall_s: int
    edge: str
    client_bytes: int
    resident_bytes: int
    origin_bytes: int
    session_count: int


class TitleSum(msgspec.Struct, frozen=True, kw_only=True):
    """What viewers took of a title."""

    title: str
    client_bytes: int
    resident_bytes: int
    session_count: int


async def planned_bytes_since(database: Database, wall_s: float) -> dict[str, int]:
    """What each edge has fetched for plans in the hours from `wall_s` on, however often it began
    anew meanwhile."""
    table = demand
    query = (
        sql.select(table.c.edge, sql.func.sum(table.c.planned_bytes))
        .where(table.c.from_wall_s >= int(wall_s))
        .where(table.c.planned_bytes > 0)
        .group_by(table.c.edge)
        .order_by(table.c.edge)
    )
    async with database.reading() as connection:
        found = await connection.execute(query)
        return {edge: int(fetched) for edge, fetched in found}


async def title_hours(database: Database, title: str, wall_s: float) -> tuple[TitleHour, ...]:
    """What was taken of one title, hour by hour and edge by edge."""
    table = demand
    query = (
        sql.select(
            *(table.c.from_wall_s, table.c.edge),
            *(
                sql.func.sum(table.c[name])
                for name in ("client_bytes", "resident_bytes", "origin_bytes", "session_count")
            ),
        )
        .where(table.c.from_wall_s >= int(wall_s), table.c.title == title)
        .group_by(table.c.from_wall_s, table.c.edge)
        .order_by(table.c.from_wall_s, table.c.edge)
    )
    async with database.reading() as connection:
        return tuple(
            TitleHour(
                wall_s=hour,
                edge=edge,
                client_bytes=int(client_bytes),
                resident_bytes=int(resident_bytes),
                origin_bytes=int(origin_bytes),
                session_count=int(session_count),
            )
            for hour, edge, client_bytes, resident_bytes, origin_bytes, session_count in (
                await connection.execute(query)
            )
        )


async def top_titles(
    database: Database, wall_s: float, *, containing: str = "", limit: int = TITLES_MAX
) -> tuple[TitleSum, ...]:
    """The titles most was taken of since then, the most first."""
    table = demand
    client_bytes = sql.func.sum(table.c.client_bytes)
    query = sql.select(
        table.c.title,
        client_bytes,
        sql.func.sum(table.c.resident_bytes),
        sql.func.sum(table.c.session_count),
    ).where(table.c.from_wall_s >= int(wall_s))
    if containing:
        query = query.where(table.c.title.icontains(containing, autoescape=True))
    query = query.group_by(table.c.title).order_by(client_bytes.desc(), table.c.title)
    async with database.reading() as connection:
        return tuple(
            TitleSum(
                title=title,
                client_bytes=int(taken),
                resident_bytes=int(resident),
                session_count=int(count),
            )
            for title, taken, resident, count in await connection.execute(
                query.limit(min(limit, TITLES_MAX))
            )
        )
