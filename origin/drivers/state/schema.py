"""Brings a database to the form that this version reads, once, however many origins start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from origin.drivers.state.database import Database
from origin.drivers.state.errors import StateError

HEAD: Final = "0006"
"""The newest of migrations/versions; a test compares the two."""
MIGRATIONS: Final = Path(__file__).with_name("migrations")
# Any number will do that no other program takes for its own lock.
_LOCK_NO: Final = 0x6E656172  # "near"


async def prepare(database: Database) -> None:
    """Migrate. Raises StateError for a database that a newer version has made."""
    async with database.reading() as connection:
        if await connection.run_sync(_version) == HEAD:
            return
    # SQLite's writers already are alone; the lock is let go with the transaction, and PostgreSQL
    # too changes tables in transactions: a migration that fails leaves nothing.
    async with database.writing() as connection:
        if database.is_postgres:
            await connection.execute(sql.select(sql.func.pg_advisory_xact_lock(_LOCK_NO)))
        await _migrate(connection, database.name)


async def _migrate(connection: AsyncConnection, name: str) -> None:
    version = await connection.run_sync(_version)
    if version == HEAD:
        return
    scripts = script_directory()
    known = {script.revision for script in scripts.walk_revisions()}
    if version is not None and version not in known:
        raise StateError(
            f"{name} has schema {version}, this version reads up to {HEAD}: a newer nearcast made "
            "it; run that one, or use another database"
        )
    await connection.run_sync(lambda inner: upgrade(inner, scripts))


def script_directory() -> Any:
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(MIGRATIONS))


def upgrade(connection: sql.Connection, scripts: Any, target: str = "head") -> None:
    """Run the migrations that are missing, within the transaction that is open."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext

    def steps(revision: Any, context: Any) -> Sequence[Any]:
        found: Sequence[Any] = scripts._upgrade_revs(target, revision)
        return found

    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()


def _version(connection: sql.Connection) -> str | None:
    if not sql.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sql.text("SELECT version_num FROM alembic_version")).scalar()
