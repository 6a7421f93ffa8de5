"""Plans: proposed, applied (one at a time), superseded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from origin.drivers.state import counters
from origin.drivers.state.access_rows import write_audit
from origin.drivers.state.database import upsert
from origin.drivers.state.tables import edge_plans, plans
from origin.records import AuditEntry, PlanHead, PlanRecord

PLANS_KEPT: Final = 50
"""Newest first; the one in force always stays. A plan each hour makes two days."""
BODIES_BYTES_MAX: Final = 8_000_000
"""Of edges' plans in one statement."""


async def add(connection: AsyncConnection, record: PlanRecord, *, by: str) -> bool:
    await counters.count_up(connection, "plans")
    row = {name: getattr(record, name) for name in PlanHead.__struct_fields__}
    query = upsert(connection, plans).on_conflict_do_nothing().returning(plans.c.plan_id)
    if (await connection.execute(query, {**row, "state": "proposed"})).scalar() is None:
        return False
    for rows in _in_portions(record):
        await connection.execute(edge_plans.insert(), rows)
    await _forget_old(connection)
    if by:
        await _audit(connection, record, by=by, action="plan.proposed", wall_s=record.made_wall_s)
    return True


async def heads(connection: AsyncConnection, limit: int) -> tuple[PlanHead, ...]:
    query = sql.select(plans).order_by(plans.c.made_wall_s.desc(), plans.c.plan_id).limit(limit)
    return tuple(PlanHead(**row) for row in (await connection.execute(query)).mappings())


async def one(connection: AsyncConnection, plan_id: str) -> PlanRecord | None:
    found = await _head(connection, plan_id)
    if found is None:
        return None
    query = sql.select(edge_plans.c.edge, edge_plans.c.signed).where(
        edge_plans.c.plan_id == plan_id
    )
    rows = await connection.execute(query.order_by(edge_plans.c.edge))
    fields = {name: getattr(found, name) for name in found.__struct_fields__}
    return PlanRecord(**fields, edges={edge: bytes(signed) for edge, signed in rows})


async def current(connection: AsyncConnection) -> PlanHead | None:
    query = sql.select(plans).where(plans.c.state == "applied")
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else PlanHead(**row)


async def newest(connection: AsyncConnection, made_by: str) -> PlanHead | None:
    query = sql.select(plans).where(plans.c.made_by == made_by).limit(1)
    ordered = query.order_by(plans.c.made_wall_s.desc(), plans.c.plan_id)
    row = (await connection.execute(ordered)).mappings().one_or_none()
    return None if row is None else PlanHead(**row)


async def edge_plan(connection: AsyncConnection, plan_id: str, edge: str) -> bytes | None:
    query = sql.select(edge_plans.c.signed).where(
        edge_plans.c.plan_id == plan_id, edge_plans.c.edge == edge
    )
    signed = (await connection.execute(query)).scalar()
    return None if signed is None else bytes(signed)


async def plans_of_edges(
    connection: AsyncConnection, plan_id: str, edges: Sequence[str]
) -> dict[str, bytes]:
    """Of those of `edges` that have a part in it."""
    query = sql.select(edge_plans.c.edge, edge_plans.c.signed).where(
        edge_plans.c.plan_id == plan_id, edge_plans.c.edge.in_(sorted(edges))
    )
    return {edge: bytes(signed) for edge, signed in await connection.execute(query)}


async def ids_beginning(connection: AsyncConnection, start: str) -> tuple[str, ...]:
    query = sql.select(plans.c.plan_id).where(plans.c.plan_id.startswith(start, autoescape=True))
    found = await connection.execute(query.order_by(plans.c.plan_id).limit(2))
    return tuple(plan_id for (plan_id,) in found)


async def head(connection: AsyncConnection, plan_id: str) -> PlanHead | None:
    return await _head(connection, plan_id)


async def plan_edges(connection: AsyncConnection, plan_id: str) -> tuple[str, ...]:
    query = sql.select(edge_plans.c.edge).where(edge_plans.c.plan_id == plan_id)
    return tuple(edge for (edge,) in await connection.execute(query.order_by(edge_plans.c.edge)))


async def apply(
    connection: AsyncConnection, plan_id: str, *, wall_s: float, by: str
) -> PlanHead | None:
    # The counter's lock makes two who apply at once take turns.
    await counters.count_up(connection, "plans")
    before = await current(connection)
    if before is not None and before.plan_id == plan_id:
        return before
    if await _head(connection, plan_id) is None:
        return None
    await connection.execute(
        plans.update().where(plans.c.state == "applied").values(state="superseded")
    )
    await connection.execute(
        plans.update()
        .where(plans.c.plan_id == plan_id)
        .values(state="applied", applied_wall_s=wall_s)
    )
    after = await current(connection)
    assert after is not None
    if by:
        await _audit(connection, after, by=by, action="plan.applied", wall_s=wall_s, before=before)
    return after


async def _head(connection: AsyncConnection, plan_id: str) -> PlanHead | None:
    query = sql.select(plans).where(plans.c.plan_id == plan_id)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else PlanHead(**row)


async def _forget_old(connection: AsyncConnection) -> None:
    newest = (
        sql.select(plans.c.plan_id)
        .order_by(plans.c.made_wall_s.desc(), plans.c.plan_id)
        .limit(PLANS_KEPT)
    )
    is_old = sql.and_(plans.c.state != "applied", plans.c.plan_id.not_in(newest))
    await connection.execute(plans.delete().where(is_old))
    await connection.execute(
        edge_plans.delete().where(edge_plans.c.plan_id.not_in(sql.select(plans.c.plan_id)))
    )


def _in_portions(record: PlanRecord) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    size_bytes = 0
    for edge, signed in sorted(record.edges.items()):
        rows.append({"plan_id": record.plan_id, "edge": edge, "signed": signed})
        size_bytes += len(signed)
        if size_bytes >= BODIES_BYTES_MAX:
            yield rows
            rows, size_bytes = [], 0
    if rows:
        yield rows


async def _audit(
    connection: AsyncConnection,
    plan: PlanHead,
    *,
    by: str,
    action: str,
    wall_s: float,
    before: PlanHead | None = None,
) -> None:
    was = "" if before is None else msgspec.json.encode({"plan_id": before.plan_id}).decode()
    after = msgspec.json.encode(
        {"plan_id": plan.plan_id, "valid_until_wall_s": plan.valid_until_wall_s}
    ).decode()
    entry = AuditEntry(
        wall_s=wall_s, actor=by, action=action, subject=plan.plan_id, before=was, after=after
    )
    await write_audit(connection, entry)
