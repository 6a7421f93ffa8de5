"""The tables of a library's catalogue, and how a file of an earlier version becomes one of this.

A step of `_STEPS` leaves everything as it was and adds what is new, in one transaction, so that of
two programs that open an old file at once one changes it and the other finds it changed. A program
that has the file open from before goes on: it names the columns that it reads and writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sql

from nearcast.errors import InputError

SCHEMA_VERSION: Final = 3

_STEPS: Final[dict[int, tuple[str, ...]]] = {
    1: ("ALTER TABLE titles ADD COLUMN genre VARCHAR",),
    2: (
        "ALTER TABLE editions ADD COLUMN released_wall_s FLOAT",
        "UPDATE editions SET released_wall_s = "
        "(SELECT created_wall_s FROM titles WHERE titles.id = editions.title_id)",
    ),
}
"""What makes of each version the next one."""

schema = sql.MetaData()
meta = sql.Table(
    "meta",
    schema,
    sql.Column("name", sql.String, primary_key=True),
    sql.Column("value", sql.Integer, nullable=False),
)
series = sql.Table(
    "series",
    schema,
    sql.Column("id", sql.String, primary_key=True),
    sql.Column("name", sql.String, nullable=False),
)
titles = sql.Table(
    "titles",
    schema,
    sql.Column("id", sql.String, primary_key=True),
    sql.Column("name", sql.String, nullable=False),
    sql.Column("duration_s", sql.Float, nullable=False),
    sql.Column("created_wall_s", sql.Float, nullable=False),
    sql.Column("series_id", sql.ForeignKey("series.id")),
    sql.Column("season_no", sql.Integer),
    sql.Column("episode_no", sql.Integer),
    sql.Column("genre", sql.String),
    sql.Column("edition_no", sql.Integer, nullable=False),
    sql.Column("folder", sql.String, nullable=False, unique=True),
    sql.Column("size_bytes", sql.BigInteger, nullable=False),
    sql.UniqueConstraint("series_id", "season_no", "episode_no"),
)
renditions = sql.Table(
    "renditions",
    schema,
    sql.Column("title_id", sql.ForeignKey("titles.id", ondelete="CASCADE"), primary_key=True),
    sql.Column("id", sql.String, primary_key=True),
    sql.Column("position", sql.Integer, nullable=False),
    sql.Column("rendition", sql.LargeBinary, nullable=False),
    sql.Column("size_bytes", sql.BigInteger, nullable=False),
    sql.Column("init_size_bytes", sql.Integer, nullable=False),
    sql.Column("init_crc32c", sql.BigInteger, nullable=False),
    sql.Column("segments", sql.LargeBinary, nullable=False),
)
# Outlives its title: an id that comes back gets a new edition, and so new URLs, and was released
# when its first edition was.
editions = sql.Table(
    "editions",
    schema,
    sql.Column("title_id", sql.String, primary_key=True),
    sql.Column("last_no", sql.Integer, nullable=False),
    sql.Column("released_wall_s", sql.Float),
)


def ensure_schema(connection: sql.Connection, file: Path) -> None:
    """Make the tables, or bring those of an earlier version up to date. Raises InputError."""
    if not sql.inspect(connection).has_table("meta"):
        schema.create_all(connection)
        connection.execute(
            meta.insert().prefix_with("OR IGNORE"),
            [
                {"name": "schema_version", "value": SCHEMA_VERSION},
                {"name": "revision", "value": 0},
            ],
        )
    version = _version(connection)
    if version in _STEPS:
        # Of what follows SQLite's driver begins no transaction by itself.
        connection.commit()
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        version = _version(connection)
        while version in _STEPS:
            for statement in _STEPS[version]:
                connection.exec_driver_sql(statement)
            version += 1
        connection.execute(
            meta.update().where(meta.c.name == "schema_version").values(value=version)
        )
    if version > SCHEMA_VERSION:
        raise InputError(
            f"{file} has schema {version}, this version reads {SCHEMA_VERSION}: a newer version "
            "of nearcast has changed it; use that one, or one that is newer still"
        )
    if version < SCHEMA_VERSION:
        raise InputError(f"{file} is damaged: it says to be of schema {version}")


def value_of(name: str) -> sql.Select[int]:
    return sql.select(meta.c.value).where(meta.c.name == name)


def _version(connection: sql.Connection) -> int:
    return int(connection.execute(value_of("schema_version")).scalar() or 0)
