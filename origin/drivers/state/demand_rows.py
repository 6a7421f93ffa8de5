"""What was wanted, read from the sums: for the forecast, and for a title's page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sql

from origin.drivers.state.database import Database
from origin.drivers.state.tables import demand, wanted_next
from origin.telemetry.demand import DemandColumns, DemandRows, WantedColumns, WantedRows

ROWS_MAX: Final = 5_000_000
"""Of more the newest; 72 bytes each, and as much again while they are put in order."""
ROWS_A_TIME: Final = 500
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


async def demand_since(database: Database, wall_s: float) -> DemandColumns:
    """All sums of the hours from `wall_s` on."""
    table = demand
    query = (
        sql.select(
            *(table.c.from_wall_s, table.c.edge, table.c.title, table.c.rendition),
            *(table.c.client_bytes, table.c.resident_bytes, table.c.origin_bytes),
            *(table.c.head_bytes, table.c.session_count),
        )
        .where(table.c.from_wall_s >= int(wall_s))
        # What was only fetched says nothing of what is wanted.
        .where(sql.or_(table.c.client_bytes > 0, table.c.session_count > 0))
        .order_by(table.c.from_wall_s.desc())
        .limit(ROWS_MAX)
    )
    rows = DemandRows()
    await _read(database, query, rows.add)
    return await asyncio.to_thread(rows.columns)


async def wanted_since(database: Database, wall_s: float) -> WantedColumns:
    """Who was about to want which title, in the hours from `wall_s` on."""
    table = wanted_next
    query = (
        sql.select(table.c.from_wall_s, table.c.edge, table.c.title, table.c.session_count)
        .where(table.c.from_wall_s >= int(wall_s))
        .order_by(table.c.from_wall_s.desc())
        .limit(ROWS_MAX)
    )
    rows = WantedRows()
    await _read(database, query, rows.add)
    return await asyncio.to_thread(rows.columns)


async def _read(
    database: Database, query: sql.Select[Any], add: Callable[[Sequence[Any]], None]
) -> None:
    """Some thousand rows at a time: whoever else is served here waits for no more of them."""
    async with database.reading() as connection:
        found = await connection.stream(query)
        async for rows in found.partitions(ROWS_A_TIME):
            add([tuple(row) for row in rows])
            await asyncio.sleep(0)


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
