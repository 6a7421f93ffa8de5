"""What edges reported, read from the sums for plans, of which each reads what the last has not.

A sum of an hour only grows. So who has read an hour needs to read it again when its count of rows
or what its sums add up to is another, which the database tells of all hours in one statement.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import sqlalchemy as sql

from origin.drivers.state.database import Database
from origin.drivers.state.tables import demand, wanted_next
from origin.telemetry.demand import DemandColumns, DemandRows, WantedColumns, WantedRows

ROWS_MAX: Final = 5_000_000
"""Of more the newest hours; 52 bytes each, and as much again for the plan being made."""
ROWS_A_TIME: Final = 500

_DEMAND_SUMS: Final = (
    "client_bytes", "resident_bytes", "origin_bytes", "head_bytes", "session_count",
)  # fmt: skip


class _Rows(Protocol):
    def add(self, rows: Sequence[Any]) -> None: ...

    def forget(self, hours: Sequence[int]) -> None: ...


class ToldRows:
    """The rows of both tables; kept, they are brought up to date by the next `read`."""

    def __init__(self, rows_max: int = ROWS_MAX) -> None:
        self._rows_max = rows_max
        self._since_wall_s = 0
        self._begin(0)

    def _begin(self, since_wall_s: int) -> None:
        self._since_wall_s = since_wall_s
        self._demand, self._wanted = DemandRows(), WantedRows()
        self._of_demand = _Hours(
            demand,
            ("edge", "title", "rendition", *_DEMAND_SUMS),
            _DEMAND_SUMS,
            # What was only fetched says nothing of what is wanted.
            sql.or_(demand.c.client_bytes > 0, demand.c.session_count > 0),
        )
        self._of_wanted = _Hours(
            wanted_next, ("edge", "title", "session_count"), ("session_count",), sql.true()
        )
        self.read_count = 0
        """Rows read since all was read."""

    async def read(
        self, database: Database, since_wall_s: float
    ) -> tuple[DemandColumns, WantedColumns]:
        """All sums of the hours from `since_wall_s` on. Raises StateUnavailable."""
        # Begun anew, names that nobody says any more are forgotten, too.
        if int(since_wall_s) != self._since_wall_s:
            self._begin(int(since_wall_s))
        try:
            for hours, rows in ((self._of_demand, self._demand), (self._of_wanted, self._wanted)):
                self.read_count += await hours.read(
                    database, self._since_wall_s, rows, self._rows_max
                )
        except BaseException:
            self._begin(0)  # an hour may be there by half
            raise
        return await asyncio.to_thread(self._columns)

    def _columns(self) -> tuple[DemandColumns, WantedColumns]:
        return self._demand.columns(), self._wanted.columns()


class _Hours:
    """Which hours of a table were read, and what they added up to then."""

    def __init__(
        self,
        table: sql.Table,
        columns: Sequence[str],
        sums: Sequence[str],
        counts: sql.ColumnElement[bool],
    ) -> None:
        self._hour = table.c.from_wall_s
        self._columns = [table.c[name] for name in columns]
        self._sums = [sql.func.sum(table.c[name]) for name in sums]
        self._counts = counts
        self._known: dict[int, tuple[int, ...]] = {}

    async def read(self, database: Database, since_wall_s: int, rows: _Rows, rows_max: int) -> int:
        """Bring `rows` up to date; how many were read."""
        found = await self._totals(database, since_wall_s, rows_max)
        changed = [hour for hour in sorted(found) if self._known.get(hour) != found[hour]]
        rows.forget([hour for hour in self._known if hour not in found] + changed)
        count = 0
        for hour in changed:
            query = sql.select(self._hour, *self._columns).where(self._hour == hour, self._counts)
            count += await _read(database, query, rows.add)
        # Of before the rows were read: what came in between is seen the next time.
        self._known = found
        return count

    async def _totals(
        self, database: Database, since_wall_s: int, rows_max: int
    ) -> dict[int, tuple[int, ...]]:
        """Of the newest hours, the count of rows first."""
        query = (
            sql.select(self._hour, sql.func.count(), *self._sums)
            .where(self._hour >= since_wall_s, self._counts)
            .group_by(self._hour)
            .order_by(self._hour.desc())
        )
        found: dict[int, tuple[int, ...]] = {}
        async with database.reading() as connection:
            for hour, *totals in await connection.execute(query):
                rows_max -= int(totals[0])
                if rows_max < 0:
                    break
                found[int(hour)] = tuple(int(total) for total in totals)
        return found


async def _read(
    database: Database, query: sql.Select[Any], add: Callable[[Sequence[Any]], None]
) -> int:
    """Some hundred rows at a time: whoever else is served here waits for no more of them."""
    count = 0
    async with database.reading() as connection:
        found = await connection.stream(query)
        async for rows in found.partitions(ROWS_A_TIME):
            add([tuple(row) for row in rows])
            count += len(rows)
            await asyncio.sleep(0)
    return count
