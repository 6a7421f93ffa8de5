"""The time that all origins of a database share: the database's own.

What one origin's clock says decides for the others when a lease ends or a row is too old. A clock
that is ahead for a minute (a machine that was resumed, before its time came from the network) would
hold leases for as long as it was ahead. So that is reckoned by the database's clock, and an origin
whose own is far from it takes no lease.
"""

from __future__ import annotations

import sqlalchemy as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from nearcast.fleet import CLOCK_SKEW_S_MAX


async def shared_wall_s(connection: AsyncConnection, wall_s: float) -> float:
    """PostgreSQL's clock. `wall_s`, our own, with SQLite: its origins are on one machine."""
    if connection.dialect.name != "postgresql":
        return wall_s
    # Not now(), which is when the transaction began: it may have waited for a lock since.
    query = sql.select(sql.extract("epoch", sql.func.clock_timestamp()))
    return float((await connection.execute(query)).scalar_one())


def is_far(ahead_s: float) -> bool:
    """Whether a clock that is so far ahead of the shared one (or behind: negative) is of no use.
    Edges are held to the same."""
    return abs(ahead_s) > CLOCK_SKEW_S_MAX
