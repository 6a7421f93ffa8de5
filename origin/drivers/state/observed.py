"""What was heard of edges last: their heartbeats, and what others see of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from origin.drivers.state import counters
from origin.drivers.state.database import upsert
from origin.drivers.state.tables import heartbeats, observations
from origin.records import HeartbeatRecord, ObservationRecord


async def put_heartbeats(connection: AsyncConnection, records: Sequence[HeartbeatRecord]) -> None:
    revision = await counters.count_up(connection, "heartbeats")
    newest: dict[str, HeartbeatRecord] = {}
    for record in records:
        # One row may not be touched twice by one statement; what an older one held is kept.
        known = newest.get(record.edge)
        newest[record.edge] = record if known is None else _later(known, record)
    insert = upsert(connection, heartbeats)
    new = insert.excluded
    brings_held = new.held.is_not(None)
    query = insert.on_conflict_do_update(
        index_elements=[heartbeats.c.edge],
        set_={
            "boot_id": new.boot_id,
            "sequence_no": new.sequence_no,
            "received_wall_s": new.received_wall_s,
            "origin_id": new.origin_id,
            "body": new.body,
            "revision": new.revision,
            "held_id": sql.case((brings_held, new.held_id), else_=heartbeats.c.held_id),
            "held_revision": sql.case(
                (brings_held, new.held_revision), else_=heartbeats.c.held_revision
            ),
            "held": sql.func.coalesce(new.held, heartbeats.c.held),
        },
        # Within a boot the edge's own count decides; between boots, when we heard it.
        where=sql.or_(
            sql.and_(
                heartbeats.c.boot_id == new.boot_id, heartbeats.c.sequence_no < new.sequence_no
            ),
            sql.and_(
                heartbeats.c.boot_id != new.boot_id,
                heartbeats.c.received_wall_s < new.received_wall_s,
            ),
        ),
    )
    await connection.execute(
        query,
        [
            {
                "edge": record.edge,
                "boot_id": record.boot_id,
                "sequence_no": record.sequence_no,
                "received_wall_s": record.received_wall_s,
                "origin_id": record.origin_id,
                "body": record.body,
                "revision": revision,
                "held_id": record.held_id if record.held is not None else "",
                "held": record.held,
                "held_revision": revision if record.held is not None else 0,
            }
            for _, record in sorted(newest.items())
        ],
    )


async def heartbeats_since(
    connection: AsyncConnection, revision: int, besides: str = ""
) -> tuple[int, tuple[HeartbeatRecord, ...]]:
    now = await counters.newest(connection, "heartbeats")
    table = heartbeats.c
    # What an edge holds is large and rarely changes: only who has not read it gets it.
    held = sql.case((table.held_revision > revision, table.held))
    query = (
        sql.select(
            table.edge,
            table.boot_id,
            table.sequence_no,
            table.received_wall_s,
            table.origin_id,
            table.body,
            table.held_id,
            held.label("held"),
        )
        .where(table.revision > revision, table.revision <= now, table.origin_id != besides)
        .order_by(table.edge)
    )
    rows = (await connection.execute(query)).mappings()
    return now, tuple(HeartbeatRecord(**row) for row in rows)


async def put_observations(
    connection: AsyncConnection, records: Sequence[ObservationRecord]
) -> None:
    revision = await counters.count_up(connection, "observations")
    newest: dict[tuple[str, str], ObservationRecord] = {}
    for record in records:
        pair = (record.observer, record.edge)
        if pair not in newest or newest[pair].seen_wall_s <= record.seen_wall_s:
            newest[pair] = record
    insert = upsert(connection, observations)
    changed = (
        "is_up", "failure_count", "rtt_ms", "seen_wall_s", "origin_id", "revision",
    )  # fmt: skip
    query = insert.on_conflict_do_update(
        index_elements=[observations.c.observer, observations.c.edge],
        set_={name: insert.excluded[name] for name in changed},
        where=observations.c.seen_wall_s < insert.excluded.seen_wall_s,
    )
    await connection.execute(
        query, [_observation_row(record, revision) for _, record in sorted(newest.items())]
    )


async def observations_since(
    connection: AsyncConnection, revision: int, besides: str = ""
) -> tuple[int, tuple[ObservationRecord, ...]]:
    now = await counters.newest(connection, "observations")
    table = observations.c
    query = (
        sql.select(*(column for column in table if column.name != "revision"))
        .where(table.revision > revision, table.revision <= now, table.origin_id != besides)
        .order_by(table.edge, table.observer)
    )
    rows = (await connection.execute(query)).mappings()
    return now, tuple(ObservationRecord(**row) for row in rows)


async def forget_edge(connection: AsyncConnection, edge: str) -> None:
    await connection.execute(heartbeats.delete().where(heartbeats.c.edge == edge))
    await connection.execute(
        observations.delete().where(
            sql.or_(observations.c.edge == edge, observations.c.observer == edge)
        )
    )


def _later(one: HeartbeatRecord, other: HeartbeatRecord) -> HeartbeatRecord:
    """The later of two of one edge, with what the newest of them that says so holds."""
    if one.boot_id == other.boot_id:
        is_later = other.sequence_no > one.sequence_no
    else:
        is_later = other.received_wall_s > one.received_wall_s
    first, last = (one, other) if is_later else (other, one)
    if last.held is None and first.held is not None:
        fields = {name: getattr(last, name) for name in last.__struct_fields__}
        fields |= {"held_id": first.held_id, "held": first.held}
        return HeartbeatRecord(**fields)
    return last


def _observation_row(record: ObservationRecord, revision: int) -> dict[str, Any]:
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    return {**fields, "revision": revision}
