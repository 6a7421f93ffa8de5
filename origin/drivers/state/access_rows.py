"""Who may do what, and who did: secrets, API tokens, the audit log, leases."""

from __future__ import annotations

from typing import Final

import msgspec
import sqlalchemy as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from origin.drivers.state import counters
from origin.drivers.state.database import upsert
from origin.drivers.state.tables import api_tokens, audit, leases, secrets
from origin.records import ApiToken, AuditEntry

AHEAD_S_MAX: Final = 1_800.0
"""By so much another origin's lease may end later than ours would: its settings may be others
(telemetry.series_s). What ends later still was taken by a wild clock, and is free."""


async def secret(connection: AsyncConnection, name: str) -> bytes | None:
    query = sql.select(secrets.c.value).where(secrets.c.name == name)
    value = (await connection.execute(query)).scalar()
    return None if value is None else bytes(value)


async def put_secret_once(connection: AsyncConnection, name: str, value: bytes) -> bytes:
    await connection.execute(
        upsert(connection, secrets).on_conflict_do_nothing(), {"name": name, "value": value}
    )
    won = await secret(connection, name)
    assert won is not None
    return won


async def add_api_token(connection: AsyncConnection, token: ApiToken, *, by: str) -> None:
    await counters.count_up(connection, "access")
    row = {name: getattr(token, name) for name in token.__struct_fields__}
    await connection.execute(api_tokens.insert(), row)
    await write_audit(
        connection,
        AuditEntry(
            wall_s=token.made_wall_s,
            actor=by,
            action="api_token.made",
            subject=token.name,
            after=_shown(token),
        ),
    )


async def api_token(connection: AsyncConnection, token_sha256: str) -> ApiToken | None:
    query = sql.select(api_tokens).where(api_tokens.c.token_sha256 == token_sha256)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else ApiToken(**row)


async def all_api_tokens(connection: AsyncConnection) -> tuple[ApiToken, ...]:
    rows = await connection.execute(sql.select(api_tokens).order_by(api_tokens.c.name))
    return tuple(ApiToken(**row) for row in rows.mappings())


async def revoke_api_token(
    connection: AsyncConnection, name: str, *, wall_s: float, by: str
) -> bool:
    await counters.count_up(connection, "access")
    query = (
        api_tokens.update()
        .where(api_tokens.c.name == name, api_tokens.c.revoked_wall_s.is_(None))
        .values(revoked_wall_s=wall_s)
        .returning(api_tokens)
    )
    row = (await connection.execute(query)).mappings().one_or_none()
    if row is None:
        return False
    entry = AuditEntry(
        wall_s=wall_s,
        actor=by,
        action="api_token.revoked",
        subject=name,
        after=_shown(ApiToken(**row)),
    )
    await write_audit(connection, entry)
    return True


async def write_audit(connection: AsyncConnection, entry: AuditEntry) -> None:
    row = {name: getattr(entry, name) for name in entry.__struct_fields__ if name != "id"}
    await connection.execute(audit.insert(), row)


async def audit_entries(
    connection: AsyncConnection, limit: int, before_id: int | None
) -> tuple[AuditEntry, ...]:
    query = sql.select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(audit.c.id < before_id)
    rows = await connection.execute(query)
    return tuple(AuditEntry(**row) for row in rows.mappings())


async def forget_audit(connection: AsyncConnection, kept: int) -> None:
    """All but the newest so many entries."""
    newest = sql.select(sql.func.max(audit.c.id)).scalar_subquery()
    await connection.execute(audit.delete().where(audit.c.id <= newest - kept))


async def forget_leases(connection: AsyncConnection, until_wall_s: float) -> None:
    await connection.execute(leases.delete().where(leases.c.until_wall_s < until_wall_s))


async def lease(
    connection: AsyncConnection, name: str, holder: str, wall_s: float, seconds: float
) -> bool:
    insert = upsert(connection, leases)
    is_free = sql.or_(
        leases.c.until_wall_s <= wall_s, leases.c.until_wall_s > wall_s + seconds + AHEAD_S_MAX
    )
    query = insert.on_conflict_do_update(
        index_elements=[leases.c.name],
        set_={"holder": insert.excluded.holder, "until_wall_s": insert.excluded.until_wall_s},
        where=sql.or_(leases.c.holder == insert.excluded.holder, is_free),
    ).returning(leases.c.holder)
    row = {"name": name, "holder": holder, "until_wall_s": wall_s + seconds}
    return (await connection.execute(query, row)).scalar() is not None


async def release(connection: AsyncConnection, name: str, holder: str) -> None:
    mine = sql.and_(leases.c.name == name, leases.c.holder == holder)
    await connection.execute(leases.delete().where(mine))


def _shown(token: ApiToken) -> str:
    fields = {"name": token.name, "role": token.role, "until_wall_s": token.until_wall_s}
    return msgspec.json.encode(fields).decode()
