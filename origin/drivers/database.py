"""The catalogue in SQLite: what is in a library, changed in single transactions.

Readers (a running origin) and one writer at a time (an ingest) work side by side (WAL). Whoever
changes titles counts `revision` up in the same transaction; a server polls that number. Segment
tables are stored as one blob a rendition: they are only ever read whole, and a library of films
has millions of segments.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sql
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from nearcast.errors import InputError
from nearcast.media import Rendition
from nearcast.messages import TitleEntry
from nearcast.units import format_size
from origin.catalog import (
    DASH_NAME,
    MASTER_NAME,
    RenditionEntry,
    SegmentEntry,
    Title,
    media_path,
    slug,
)

DATABASE_NAME: Final = "catalog.db"
SCHEMA_VERSION: Final = 1
BUSY_S: Final = 10.0
FREE_BYTES_MIN: Final = 1_000_000
"""Less is taken for the reason of whatever SQLite complains about."""

_schema = sql.MetaData()
_meta = sql.Table(
    "meta",
    _schema,
    sql.Column("name", sql.String, primary_key=True),
    sql.Column("value", sql.Integer, nullable=False),
)
_series = sql.Table(
    "series",
    _schema,
    sql.Column("id", sql.String, primary_key=True),
    sql.Column("name", sql.String, nullable=False),
)
_titles = sql.Table(
    "titles",
    _schema,
    sql.Column("id", sql.String, primary_key=True),
    sql.Column("name", sql.String, nullable=False),
    sql.Column("duration_s", sql.Float, nullable=False),
    sql.Column("created_wall_s", sql.Float, nullable=False),
    sql.Column("series_id", sql.ForeignKey("series.id")),
    sql.Column("season_no", sql.Integer),
    sql.Column("episode_no", sql.Integer),
    sql.Column("edition_no", sql.Integer, nullable=False),
    sql.Column("folder", sql.String, nullable=False, unique=True),
    sql.Column("size_bytes", sql.BigInteger, nullable=False),
    sql.UniqueConstraint("series_id", "season_no", "episode_no"),
)
_renditions = sql.Table(
    "renditions",
    _schema,
    sql.Column("title_id", sql.ForeignKey("titles.id", ondelete="CASCADE"), primary_key=True),
    sql.Column("id", sql.String, primary_key=True),
    sql.Column("position", sql.Integer, nullable=False),
    sql.Column("rendition", sql.LargeBinary, nullable=False),
    sql.Column("size_bytes", sql.BigInteger, nullable=False),
    sql.Column("init_size_bytes", sql.Integer, nullable=False),
    sql.Column("init_crc32c", sql.BigInteger, nullable=False),
    sql.Column("segments", sql.LargeBinary, nullable=False),
)
# Outlives its title: an id that comes back gets a new edition, and so new URLs.
_editions = sql.Table(
    "editions",
    _schema,
    sql.Column("title_id", sql.String, primary_key=True),
    sql.Column("last_no", sql.Integer, nullable=False),
)

_segments_decoder = msgspec.msgpack.Decoder(tuple[SegmentEntry, ...])
_rendition_decoder = msgspec.json.Decoder(Rendition)


class TitleLine(msgspec.Struct, frozen=True, kw_only=True):
    """A title without its segments: enough for the catalogue and for lists."""

    entry: TitleEntry
    edition_no: int
    created_wall_s: float
    size_bytes: int
    folder: str


class Database:
    """A library's catalogue. Methods raise InputError for what the user can do something about."""

    def __init__(self, folder: Path, *, must_exist: bool) -> None:
        self._file = folder / DATABASE_NAME
        if must_exist and not self._file.is_file():
            raise InputError(
                f"{folder} is no library (it holds no {DATABASE_NAME}); make one with: "
                f"nearcast origin ingest FILE --library {folder}"
            )
        self._engine = sql.create_engine(
            sql.URL.create("sqlite", database=str(self._file)),
            connect_args={"timeout": BUSY_S},
        )
        sql.event.listen(self._engine, "connect", _prepare)
        with self._translated(), self._engine.begin() as connection:
            self._ensure_schema(connection)

    def close(self) -> None:
        self._engine.dispose()

    def revision(self) -> int:
        """Counts up with every change of titles."""
        with self._translated(), self._engine.connect() as connection:
            return int(connection.execute(_value_of("revision")).scalar_one())

    def lines(self) -> tuple[TitleLine, ...]:
        """All titles by id."""
        query = (
            sql.select(_titles, _series.c.name.label("series"))
            .join(_series, isouter=True)
            .order_by(_titles.c.id)
        )
        with self._translated(), self._engine.connect() as connection:
            return tuple(_line(row) for row in connection.execute(query).mappings())

    def title(self, title_id: str) -> Title | None:
        query = (
            sql.select(_titles, _series.c.name.label("series"))
            .join(_series, isouter=True)
            .where(_titles.c.id == title_id)
        )
        parts = (
            sql.select(_renditions)
            .where(_renditions.c.title_id == title_id)
            .order_by(_renditions.c.position)
        )
        with self._translated(), self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
            if row is None:
                return None
            return _title(_line(row), connection.execute(parts).mappings().all())

    def next_edition_no(self, title_id: str) -> int:
        query = sql.select(_editions.c.last_no).where(_editions.c.title_id == title_id)
        with self._translated(), self._engine.connect() as connection:
            return int(connection.execute(query).scalar() or 0) + 1

    def check_free(
        self,
        title_id: str,
        episode: tuple[str, int, int] | None,
        *,
        replace: bool,
    ) -> None:
        """Raises InputError when the id, or the episode's place in its series, is taken."""
        taken = {line.entry.id: line.entry for line in self.lines()}
        if title_id in taken and not replace:
            raise InputError(
                f"there is a title {title_id!r} already; give another --id, or --replace it"
            )
        if episode is None:
            return
        for other in taken.values():
            place = (
                (slug(other.series), other.season_no, other.episode_no) if other.series else None
            )
            if other.id != title_id and place == (slug(episode[0]), *episode[1:]):
                raise InputError(
                    f"season {episode[1]} episode {episode[2]} of {other.series!r} is "
                    f"{other.id!r} already"
                )

    def add(self, title: Title, *, replace: bool) -> str | None:
        """Put a title in; returns the folder of the one it replaced, if any."""
        with self._translated(title.id), self._engine.begin() as connection:
            old = connection.execute(
                sql.select(_titles.c.folder).where(_titles.c.id == title.id)
            ).scalar()
            if old is not None:
                if not replace:
                    raise InputError(f"there is a title {title.id!r} already; --replace it")
                _delete(connection, title.id)
            series_id = None
            if title.series is not None:
                series_id = slug(title.series)
                connection.execute(
                    _series.insert().prefix_with("OR IGNORE"),
                    {"id": series_id, "name": title.series},
                )
            connection.execute(_titles.insert(), _title_row(title, series_id))
            connection.execute(_renditions.insert(), _rendition_rows(title))
            connection.execute(_editions.delete().where(_editions.c.title_id == title.id))
            connection.execute(
                _editions.insert(), {"title_id": title.id, "last_no": title.edition_no}
            )
            _count_up(connection)
            return old

    def remove(self, title_id: str) -> str:
        """Take a title out; returns its folder."""
        with self._translated(), self._engine.begin() as connection:
            folder = connection.execute(
                sql.select(_titles.c.folder).where(_titles.c.id == title_id)
            ).scalar()
            if folder is None:
                raise InputError(f"there is no title {title_id!r}; see: nearcast origin list")
            _delete(connection, title_id)
            _count_up(connection)
            return str(folder)

    def _ensure_schema(self, connection: sql.Connection) -> None:
        if not sql.inspect(connection).has_table("meta"):
            _schema.create_all(connection)
            connection.execute(
                _meta.insert().prefix_with("OR IGNORE"),
                [
                    {"name": "schema_version", "value": SCHEMA_VERSION},
                    {"name": "revision", "value": 0},
                ],
            )
        version = connection.execute(_value_of("schema_version")).scalar()
        if version != SCHEMA_VERSION:
            raise InputError(
                f"{self._file} has schema {version}, this version reads {SCHEMA_VERSION}: it was "
                "made by another version of nearcast"
            )

    @contextmanager
    def _translated(self, title_id: str | None = None) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise InputError(
                f"{title_id!r} clashes with a title that was added meanwhile: {error.orig}"
            ) from error
        except DBAPIError as error:
            raise InputError(f"{self._file}: {error.orig}{self._space_note()}") from error
        except SQLAlchemyError as error:
            raise InputError(f"{self._file}: {error}") from error

    def _space_note(self) -> str:
        """SQLite calls a full disk an I/O error, even on reading: its log needs a little room."""
        try:
            free_bytes = shutil.disk_usage(self._file.parent).free
        except OSError:
            return ""
        if free_bytes >= FREE_BYTES_MIN:
            return ""
        return f"; the disk is full ({format_size(free_bytes)} free): make room and try again"


def _prepare(connection: Any, record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _value_of(name: str) -> sql.Select[int]:
    return sql.select(_meta.c.value).where(_meta.c.name == name)


def _count_up(connection: sql.Connection) -> None:
    connection.execute(
        _meta.update().where(_meta.c.name == "revision").values(value=_meta.c.value + 1)
    )


def _delete(connection: sql.Connection, title_id: str) -> None:
    connection.execute(_renditions.delete().where(_renditions.c.title_id == title_id))
    connection.execute(_titles.delete().where(_titles.c.id == title_id))
    in_use = sql.select(_titles.c.series_id).where(_titles.c.series_id.is_not(None))
    connection.execute(_series.delete().where(_series.c.id.not_in(in_use)))


def _title_row(title: Title, series_id: str | None) -> dict[str, Any]:
    return {
        "id": title.id,
        "name": title.name,
        "duration_s": title.duration_s,
        "created_wall_s": title.created_wall_s,
        "series_id": series_id,
        "season_no": title.season_no,
        "episode_no": title.episode_no,
        "edition_no": title.edition_no,
        "folder": title.folder,
        "size_bytes": title.size_bytes,
    }


def _rendition_rows(title: Title) -> list[dict[str, Any]]:
    return [
        {
            "title_id": title.id,
            "id": entry.rendition.id,
            "position": position,
            "rendition": msgspec.json.encode(entry.rendition),
            "size_bytes": entry.size_bytes,
            "init_size_bytes": entry.init_size_bytes,
            "init_crc32c": entry.init_crc32c,
            "segments": msgspec.msgpack.encode(entry.segments),
        }
        for position, entry in enumerate(title.renditions)
    ]


def _line(row: Any) -> TitleLine:
    return TitleLine(
        entry=TitleEntry(
            id=row["id"],
            name=row["name"],
            duration_s=row["duration_s"],
            dash=media_path(row["id"], DASH_NAME),
            hls=media_path(row["id"], MASTER_NAME),
            series=row["series"],
            season_no=row["season_no"],
            episode_no=row["episode_no"],
        ),
        edition_no=row["edition_no"],
        created_wall_s=row["created_wall_s"],
        size_bytes=row["size_bytes"],
        folder=row["folder"],
    )


def _title(line: TitleLine, rows: Any) -> Title:
    entry = line.entry
    return Title(
        id=entry.id,
        name=entry.name,
        duration_s=entry.duration_s,
        created_wall_s=line.created_wall_s,
        series=entry.series,
        season_no=entry.season_no,
        episode_no=entry.episode_no,
        edition_no=line.edition_no,
        folder=line.folder,
        renditions=tuple(
            RenditionEntry(
                rendition=_rendition_decoder.decode(row["rendition"]),
                init_size_bytes=row["init_size_bytes"],
                init_crc32c=row["init_crc32c"],
                segments=_segments_decoder.decode(row["segments"]),
            )
            for row in rows
        ),
    )
