"""A database for the control state: SQLite in a file, or PostgreSQL by URL.

The statements above this module are the same for both. What differs is here: how to connect, how a
transaction begins, and which errors mean that the database is away. No URL is ever shown with its
password or its options, and no statement with its parameters.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from nearcast.errors import ConfigError
from origin.drivers.state.errors import StateError, StateFull, StateUnavailable

DATABASE_NAME: Final = "control.db"
BUSY_S: Final = 10.0
CONNECT_S: Final = 5.0
STATEMENT_S: Final = 15.0
WAL_TRIES: Final = 50
WAL_PAUSE_S: Final = 0.02
IDLE_S: Final = 5.0
"""So long a transaction may wait for its next statement."""
POOL_COUNT: Final = 4
"""Connections at a time. Few writers of one row each batch gain nothing from more."""
ROWS_A_STATEMENT: Final = 500

_POSTGRES: Final = ("postgresql", "postgres", "postgresql+asyncpg")
# SQLSTATE classes that say "not now": connections, resources, an operator's intervention, I/O; and
# what a rerun of the transaction cures: serialisation, deadlock, a lock not had in time.
_AWAY_CLASSES: Final = ("08", "53", "57", "58")
_AWAY_CODES: Final = ("40001", "40P01", "55P03", "25006")

_DISK_FULL: Final = "53100"


class Database:
    """Connections and transactions. Raises StateUnavailable and StateError, nothing else."""

    def __init__(self, engine: AsyncEngine, name: str) -> None:
        self._engine = engine
        self.name = name
        """For people: no password, no options."""

    @classmethod
    def of_url(cls, url: str, folder: Path) -> Database:
        """`url` empty: the file `control.db` in `folder`. Does not connect yet.

        Raises ConfigError for a URL that names no database we speak to.
        """
        if not url:
            return cls._of_file(folder / DATABASE_NAME)
        try:
            parsed = sql.engine.make_url(url)
        except (ArgumentError, ValueError) as error:
            # The library's message repeats the text, which may hold a password.
            raise ConfigError(
                "control.database is no URL; write postgresql://USER@HOST:PORT/NAME or leave it "
                "empty for SQLite in the library's folder"
            ) from error.with_traceback(None)
        if parsed.drivername == "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise ConfigError("control.database: SQLite needs a file, sqlite:///PATH")
            return cls._of_file(Path(parsed.database))
        if parsed.drivername not in _POSTGRES:
            raise ConfigError(
                f"control.database: no {parsed.drivername!r} here; it may be postgresql://... or "
                "sqlite:///PATH"
            )
        return cls._of_postgres(parsed)

    @classmethod
    def _of_file(cls, file: Path) -> Database:
        if not file.parent.is_dir():
            raise ConfigError(f"control.database: there is no folder {file.parent}; make it first")
        try:
            # It holds the key that makes edges of this fleet: for our user alone, and so are the
            # files that SQLite puts beside it.
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StateUnavailable(f"{file}: {error.strerror}") from error
        engine = create_async_engine(
            sql.URL.create("sqlite+aiosqlite", database=str(file)),
            connect_args={"timeout": BUSY_S},
            pool_size=POOL_COUNT,
            max_overflow=0,
            pool_timeout=STATEMENT_S,
            hide_parameters=True,
            insertmanyvalues_page_size=ROWS_A_STATEMENT,
        )
        sql.event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        sql.event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return cls(engine, str(file))

    @classmethod
    def _of_postgres(cls, url: sql.URL) -> Database:
        import asyncpg  # type: ignore[import-untyped,unused-ignore]

        # asyncpg reads the URL itself: then sslmode, PGPASSWORD, ~/.pgpass and sockets work as
        # with every other client of PostgreSQL.
        text = url.set(drivername="postgresql").render_as_string(hide_password=False)

        async def connect() -> Any:
            connection = await asyncpg.connect(text, timeout=CONNECT_S, command_timeout=STATEMENT_S)
            # An origin that stands still in the middle of a transaction, or whose machine is gone,
            # would keep the others from writing. A statement and not a parameter of the
            # connection, which poolers in between refuse.
            await connection.execute(
                f"SET idle_in_transaction_session_timeout = {int(IDLE_S * 1000)}"
            )
            return connection

        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=connect,
            pool_size=POOL_COUNT,
            max_overflow=0,
            pool_timeout=STATEMENT_S,
            # A server that was restarted costs a round trip here, not a failed heartbeat batch.
            pool_pre_ping=True,
            hide_parameters=True,
            insertmanyvalues_page_size=ROWS_A_STATEMENT,
        )
        shown = url.set(drivername="postgresql", password=None, query={})
        return cls(engine, shown.render_as_string())

    @property
    def is_postgres(self) -> bool:
        return self._engine.dialect.name == "postgresql"

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes nothing."""
        with_options = self._engine.execution_options(nearcast_writes=False)
        async with self._translated(), with_options.begin() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is committed at the end, or leaves nothing when anything is raised."""
        async with self._translated(), self._engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise StateError(f"{self.name}: {_reason(error)}") from error
        except DBAPIError as error:
            kind = StateFull if _is_full(error) else StateUnavailable
            raise (kind if _is_away(error) else StateError)(
                f"{self.name}: {_reason(error)}"
            ) from error
        except PoolTimeout as error:
            raise StateUnavailable(
                f"{self.name}: all {POOL_COUNT} connections were busy for {STATEMENT_S:.0f} s"
            ) from error
        except SQLAlchemyError as error:
            raise StateError(f"{self.name}: {error}") from error
        except (TimeoutError, OSError) as error:
            # asyncpg fails to connect with these, before SQLAlchemy could wrap them.
            raise StateUnavailable(f"{self.name}: {str(error) or 'no answer in time'}") from error
        except Exception as error:
            if _sqlstate(error) is None and type(error).__module__.partition(".")[0] != "asyncpg":
                raise
            raise StateUnavailable(f"{self.name}: {error}") from error


def upsert(connection: AsyncConnection, table: sql.Table) -> postgresql.Insert:
    """An INSERT with `on_conflict_do_update` and `on_conflict_do_nothing`, for either database."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    # The two are alike in what we use; one type for the callers.
    return cast("postgresql.Insert", sqlite.insert(table))


def _prepare_sqlite(connection: Any, record: object) -> None:
    # Python's own idea of when to begin knows no BEGIN IMMEDIATE; ours is _begin_sqlite.
    connection.isolation_level = None
    cursor = connection.cursor()
    for left in reversed(range(WAL_TRIES)):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError:
            # Another origin changes it at this moment; SQLite waits for any other lock by itself.
            if not left:
                raise
            await_only(asyncio.sleep(WAL_PAUSE_S))
    # A token that was taken stays taken, and what was audited stays told, over a power cut as
    # well: a flush for each transaction, of which there are a few each second.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin_sqlite(connection: sql.Connection) -> None:
    # A writer takes the lock at once: one that begins as a reader and then finds the database
    # changed is refused without waiting.
    writes = connection.get_execution_options().get("nearcast_writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _sqlstate(error: object) -> str | None:
    code = getattr(error, "sqlstate", None)
    return code if isinstance(code, str) else None


def _is_away(error: DBAPIError) -> bool:
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return True
    code = _sqlstate(error.orig)
    if code is not None:
        return code.startswith(_AWAY_CLASSES) or code in _AWAY_CODES
    if isinstance(error.orig, (OSError, asyncio.TimeoutError)):
        return True
    # SQLite: locked for too long, a full or failing disk, a file that cannot be opened. Its
    # "no such table" is an OperationalError as well.
    return isinstance(error, OperationalError) and "no such" not in str(error.orig)


def _is_full(error: DBAPIError) -> bool:
    if _sqlstate(error.orig) == _DISK_FULL:
        return True
    return getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def _reason(error: DBAPIError) -> str:
    """The database's own words without the statement, on one line."""
    text = str(error.orig)
    # asyncpg's errors come as "<class '...'>: message".
    return " ".join(text.rpartition(">: ")[2].split())
