"""Who is in the fleet, and the tokens by which edges come into it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import sqlalchemy as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from nearcast.address import place_of
from nearcast.fleet import CLOCK_SKEW_S_MAX, EdgeProfile
from origin.drivers.state import counters, observed
from origin.drivers.state.access_rows import write_audit
from origin.drivers.state.database import upsert
from origin.drivers.state.errors import UrlTaken
from origin.drivers.state.tables import edges, enrol_tokens, origins
from origin.records import AuditEntry, EdgeRecord, EnrolOutcome, EnrolToken, OriginRecord

ORIGIN_KEPT_S: Final = 86_400.0

_profile: Final = msgspec.json.Decoder(EdgeProfile)


async def all_edges(connection: AsyncConnection) -> tuple[EdgeRecord, ...]:
    rows = await connection.execute(sql.select(edges).order_by(edges.c.edge))
    return tuple(_edge(row) for row in rows.mappings())


async def one_edge(connection: AsyncConnection, edge: str) -> EdgeRecord | None:
    row = (
        (await connection.execute(sql.select(edges).where(edges.c.edge == edge)))
        .mappings()
        .one_or_none()
    )
    return None if row is None else _edge(row)


async def put_edge(
    connection: AsyncConnection, record: EdgeRecord, *, by: str, action: str
) -> None:
    await counters.count_up(connection, "edges")
    before = await one_edge(connection, record.edge) if by else None
    row = {name: getattr(record, name) for name in record.__struct_fields__}
    row["profile"] = msgspec.json.encode(record.profile)
    insert = upsert(connection, edges)
    await connection.execute(
        insert.on_conflict_do_update(
            index_elements=[edges.c.edge],
            set_={name: insert.excluded[name] for name in row if name != "edge"},
        ),
        row,
    )
    if by:
        await write_audit(
            connection,
            AuditEntry(
                wall_s=record.changed_wall_s,
                actor=by,
                action=action,
                subject=record.edge,
                before="" if before is None else _json(before),
                after=_json(record),
            ),
        )


async def change_edge(
    connection: AsyncConnection,
    edge: str,
    edit: Callable[[EdgeRecord], EdgeRecord],
    *,
    wall_s: float,
    by: str,
    action: str,
) -> EdgeRecord | None:
    # First the counter: two who change one edge stand in a line, and neither undoes the other.
    await counters.count_up(connection, "edges")
    before = await one_edge(connection, edge)
    if before is None:
        return None
    after = msgspec.structs.replace(edit(before), changed_wall_s=wall_s)
    if after.profile.url != before.profile.url:
        await _refuse_url_of_another(connection, after)
    await put_edge(connection, after, by=by, action=action)
    return after


async def remove_edge(connection: AsyncConnection, edge: str, *, wall_s: float, by: str) -> bool:
    await counters.count_up(connection, "edges")
    before = await one_edge(connection, edge)
    if before is None or not before.revoked:
        return False
    await connection.execute(edges.delete().where(edges.c.edge == edge))
    await observed.forget_edge(connection, edge)
    if by:
        entry = AuditEntry(
            wall_s=wall_s, actor=by, action="edge.removed", subject=edge, before=_json(before)
        )
        await write_audit(connection, entry)
    return True


async def add_token(connection: AsyncConnection, token: EnrolToken) -> None:
    row = {name: getattr(token, name) for name in token.__struct_fields__}
    await connection.execute(enrol_tokens.insert(), row)
    # Without the digest: it would let a reader of the audit log recognise the token.
    after = msgspec.json.encode({"edge": token.edge, "until_wall_s": token.until_wall_s}).decode()
    entry = AuditEntry(
        wall_s=token.made_wall_s,
        actor=token.by,
        action="enrol_token.made",
        subject=token.edge,
        after=after,
    )
    await write_audit(connection, entry)


async def take_token(
    connection: AsyncConnection, token_sha256: str, edge: str, wall_s: float
) -> EnrolToken | None:
    query = (
        enrol_tokens.update()
        .where(
            enrol_tokens.c.token_sha256 == token_sha256,
            enrol_tokens.c.taken_wall_s.is_(None),
            enrol_tokens.c.until_wall_s > wall_s,
            enrol_tokens.c.edge.in_(("", edge)),
        )
        .values(taken_wall_s=wall_s, taken_by=edge)
        .returning(enrol_tokens)
    )
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else EnrolToken(**row)


async def forget_tokens(connection: AsyncConnection, until_wall_s: float) -> None:
    """Those that could be taken only before then; who took them is in the audit log."""
    await connection.execute(
        enrol_tokens.delete().where(enrol_tokens.c.until_wall_s < until_wall_s)
    )


async def enrol(
    connection: AsyncConnection, token_sha256: str, record: EdgeRecord, wall_s: float
) -> EnrolOutcome:
    # First the counter: two who enrol under one name stand in a line.
    await counters.count_up(connection, "edges")
    known = await one_edge(connection, record.edge)
    if known is not None and not known.revoked:
        return "duplicate"
    token = await take_token(connection, token_sha256, record.edge, wall_s)
    if token is None:
        return "bad_token"
    await _refuse_url_of_another(connection, record)  # what was done is undone: the token is good
    await put_edge(connection, record, by=token.by, action="edge.enrolled")
    return "enrolled"


async def _refuse_url_of_another(connection: AsyncConnection, record: EdgeRecord) -> None:
    """Raises UrlTaken. Those of the version before that share one keep it until one is changed."""
    place = place_of(record.profile.url)
    for other in await all_edges(connection):
        counts = other.edge != record.edge and not other.revoked
        if counts and place_of(other.profile.url) == place:
            raise UrlTaken(record.profile.url, other.edge)


async def put_origin(connection: AsyncConnection, record: OriginRecord) -> None:
    row = {name: getattr(record, name) for name in record.__struct_fields__}
    insert = upsert(connection, origins)
    await connection.execute(
        insert.on_conflict_do_update(
            index_elements=[origins.c.origin_id],
            set_={name: insert.excluded[name] for name in row if name != "origin_id"},
        ),
        row,
    )
    long_gone = origins.c.seen_wall_s < record.seen_wall_s - ORIGIN_KEPT_S
    await connection.execute(origins.delete().where(long_gone))


async def remove_origin(connection: AsyncConnection, origin_id: str) -> None:
    await connection.execute(origins.delete().where(origins.c.origin_id == origin_id))


async def origins_seen(
    connection: AsyncConnection, wall_s: float, within_s: float
) -> tuple[OriginRecord, ...]:
    # Not those of the version before that wrote a wild clock's time: nobody knows when that was.
    until_s = wall_s + CLOCK_SKEW_S_MAX
    query = (
        sql.select(origins)
        .where(origins.c.seen_wall_s.between(wall_s - within_s, until_s))
        .order_by(origins.c.started_wall_s, origins.c.origin_id)
    )
    return tuple(OriginRecord(**row) for row in (await connection.execute(query)).mappings())


def _edge(row: Any) -> EdgeRecord:
    return EdgeRecord(**{**row, "profile": _profile.decode(row["profile"])})


def _json(record: EdgeRecord) -> str:
    return msgspec.json.encode(record).decode()
