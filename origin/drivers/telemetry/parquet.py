"""Raw events as Parquet files, written and read with DuckDB.

One table for all kinds: `e` says which, and a column that a kind does not have is NULL. Edges leave
out what is as usual, and so do the files: the views put it back, also in files of before. All of it
blocks for as long as it takes; callers have a thread.
"""

from __future__ import annotations

import gzip
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from nearcast.errors import InputError
from nearcast.telemetry import Demand, Event, Filled, Noted, SessionEnded
from origin.drivers.state.history_rows import WaitingPiece

COLUMNS: Final = {
    "edge": "VARCHAR",
    "boot_id": "VARCHAR",
    "received_wall_s": "DOUBLE",
    "e": "VARCHAR",
    "wall_s": "DOUBLE",
    "title": "VARCHAR",
    "rendition": "VARCHAR",
    "client_bytes": "BIGINT",
    "resident_bytes": "BIGINT",
    "origin_bytes": "BIGINT",
    "session_count": "BIGINT",
    "head_bytes": "BIGINT",
    "planned_bytes": "BIGINT",
    "watched_s": "DOUBLE",
    "duration_s": "DOUBLE",
    "startup_s": "DOUBLE",
    "stall_count": "BIGINT",
    "bitrate_kbps": "DOUBLE",
    "error_count": "BIGINT",
    "next_title": "VARCHAR",
    "plan_id": "VARCHAR",
    "size_bytes": "BIGINT",
    "source": "VARCHAR",
    "is_complete": "BOOLEAN",
    "what": "VARCHAR",
    "detail": "VARCHAR",
}
VIEWS: Final[dict[str, type[Event]]] = {
    "demand": Demand,
    "sessions": SessionEnded,
    "fills": Filled,
    "notes": Noted,
}
"""Kind of event by the name of its view, besides `events`, which has all."""
MEMORY: Final = "512MB"
QUERY_S: Final = 60.0
"""What a query may take."""
ROWS_MAX: Final = 10_000
"""Of an answer to a query."""
ANSWER_BYTES_MAX: Final = 64_000_000
"""Of an answer's text. DuckDB itself holds 2,048 rows at a time, however large."""
ROWS_AT_A_TIME: Final = 64


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a query found."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    is_cut: bool = False
    """There are more rows."""


def write_events(pieces: Iterable[WaitingPiece], file: Path) -> None:
    """Put all events of the pieces into one file."""
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in COLUMNS.items())
    with tempfile.NamedTemporaryFile(suffix=".jsonl", dir=file.parent) as lines:
        for piece in pieces:
            lines.writelines(_with_origin(piece))
        lines.flush()
        _copy(
            f"SELECT * FROM read_json('{_quoted(lines.name)}', format = 'newline_delimited', "
            f"columns = {{{columns}}})",
            file,
        )


def merge_files(parts: Sequence[Path], file: Path) -> None:
    """Put the events of several files into one, in the order of their times."""
    names = ", ".join(f"'{_quoted(str(part))}'" for part in parts)
    _copy(f"SELECT * FROM read_parquet([{names}], union_by_name = true) ORDER BY wall_s", file)


def query_events(files: Sequence[Path], query: str, *, deadline_s: float = QUERY_S) -> Answer:
    """Ask the views `events`, `demand`, `sessions`, `fills` and `notes` of these files.

    One statement that reads, and reads nothing else: DuckDB is shut in with the files before it
    sees the query. Raises InputError for any other, and for one that fails or takes too long.
    """
    import duckdb

    with _database() as connection:
        names = [f"'{_quoted(str(file))}'" for file in files]
        connection.execute(f"SET allowed_paths = [{', '.join(names)}]")
        connection.execute(f"CREATE VIEW events AS {_table(names)}")
        for view, kind in VIEWS.items():
            connection.execute(
                f"CREATE VIEW {view} AS SELECT * FROM events WHERE e = '{_tag(kind)}'"
            )
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        try:
            statements = connection.extract_statements(query)
            kinds = [str(one.type).rpartition(".")[2] for one in statements]
            if len(statements) != 1 or kinds[0] not in ("SELECT", "EXPLAIN"):
                raise InputError(
                    "the query must be one SELECT; it was "
                    + (", ".join(kinds) if kinds else "empty")
                )
            with _deadline(connection, deadline_s):
                found = connection.execute(statements[0])
                rows, is_cut = _fetched(found)
            columns = tuple(str(column[0]) for column in found.description)
        except duckdb.InterruptException as error:
            raise InputError(
                f"the query took longer than {deadline_s:g} s; ask for less"
            ) from error
        except duckdb.Error as error:
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"the query failed: {text}") from error
    return Answer(columns=columns, rows=rows, is_cut=is_cut)


def _fetched(found: Any) -> tuple[tuple[tuple[Any, ...], ...], bool]:
    """As many rows as an answer may have, and whether there are more."""
    rows: list[tuple[Any, ...]] = []
    size_bytes = 0
    while part := found.fetchmany(ROWS_AT_A_TIME):
        for row in part:
            if len(rows) == ROWS_MAX or size_bytes > ANSWER_BYTES_MAX:
                return tuple(rows), True
            rows.append(tuple(_plain(value) for value in row))
            size_bytes += sum(len(value) if isinstance(value, str) else 8 for value in rows[-1])
    return tuple(rows), False


@contextmanager
def _database() -> Iterator[Any]:
    """One core and bounded memory: it runs beside an origin that serves."""
    import duckdb

    connection = duckdb.connect(config={"threads": 1, "memory_limit": MEMORY, "temp_directory": ""})
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _deadline(connection: Any, seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _copy(query: str, file: Path) -> None:
    with _database() as connection:
        connection.execute(
            f"COPY ({query}) TO '{_quoted(str(file))}' (FORMAT parquet, COMPRESSION zstd)"
        )


def _with_origin(piece: WaitingPiece) -> Iterator[bytes]:
    """Its lines with what is known of the piece put in front."""
    known = {
        "edge": piece.edge,
        "boot_id": piece.boot_id,
        "received_wall_s": piece.received_wall_s,
    }
    start = msgspec.json.encode(known)[:-1] + b","
    for line in gzip.decompress(piece.body).split(b"\n")[:-1]:
        yield start + line[1:] + b"\n"


def _table(names: Sequence[str]) -> str:
    """All events of the files, with every column and with what their edges left out."""
    nothing = ", ".join(f"NULL::{kind} AS {name}" for name, kind in COLUMNS.items())
    table = f"(SELECT {nothing} WHERE false)"
    if names:
        files = f"read_parquet([{', '.join(names)}], union_by_name = true)"
        table = f"({table} UNION ALL BY NAME SELECT * FROM {files})"
    return f"SELECT * REPLACE ({', '.join(_usual())}) FROM {table}"


def _usual() -> Iterator[str]:
    """Columns that are filled with the default of their kind where a row of that kind has none."""
    cases: dict[str, list[str]] = {}
    for kind in VIEWS.values():
        for field in msgspec.structs.fields(kind):
            if field.default not in (msgspec.NODEFAULT, None):
                usual = f"'{field.default}'" if field.default == "" else str(field.default)
                cases.setdefault(field.name, []).append(f"WHEN '{_tag(kind)}' THEN {usual}")
    for name, parts in cases.items():
        yield f"coalesce({name}, CASE e {' '.join(parts)} END) AS {name}"


def _tag(kind: type[Event]) -> str:
    return str(kind.__struct_config__.tag)


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _plain(value: object) -> object:
    """What JSON can say as it is; the rest as text."""
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
