"""The catalogue in SQLite: what is in a library, changed in single transactions.

Readers (a running origin) and one writer at a time (an ingest) work side by side (WAL). Whoever
changes titles counts `revision` up in the same transaction; a server polls that number. Segment
tables are stored as one blob a rendition: they are only ever read whole, and a library of films
has millions of segments.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
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
from origin.drivers.catalog_tables import (
    editions,
    ensure_schema,
    meta,
    renditions,
    series,
    titles,
    value_of,
)

DATABASE_NAME: Final = "catalog.db"
BUSY_S: Final = 10.0
FREE_BYTES_MIN: Final = 1_000_000
"""Less is taken for the reason of whatever SQLite complains about."""

_segments_decoder = msgspec.msgpack.Decoder(tuple[SegmentEntry, ...])
_rendition_decoder = msgspec.json.Decoder(Rendition)


class TitleLine(msgspec.Struct, frozen=True, kw_only=True):
    """A title without its segments: enough for the catalogue and for lists."""

    entry: TitleEntry
    edition_no: int
    created_wall_s: float
    released_wall_s: float | None = None
    size_bytes: int
    folder: str


class CatalogDatabase:
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
        with self._translated(), self._engine.connect() as connection:
            ensure_schema(connection, self._file)
            connection.commit()

    def close(self) -> None:
        self._engine.dispose()

    def revision(self) -> int:
        """Counts up with every change of titles."""
        with self._translated(), self._engine.connect() as connection:
            return int(connection.execute(value_of("revision")).scalar_one())

    def lines(self) -> tuple[TitleLine, ...]:
        """All titles by id."""
        query = _lines().order_by(titles.c.id)
        with self._translated(), self._engine.connect() as connection:
            return tuple(_line(row) for row in connection.execute(query).mappings())

    def title(self, title_id: str) -> Title | None:
        query = _lines().where(titles.c.id == title_id)
        parts = (
            sql.select(renditions)
            .where(renditions.c.title_id == title_id)
            .order_by(renditions.c.position)
        )
        with self._translated(), self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
            if row is None:
                return None
            return _title(_line(row), connection.execute(parts).mappings().all())

    def next_edition_no(self, title_id: str) -> int:
        query = sql.select(editions.c.last_no).where(editions.c.title_id == title_id)
        with self._translated(), self._engine.connect() as connection:
            return int(connection.execute(query).scalar() or 0) + 1

    def genre(self, title_id: str) -> str | None:
        query = sql.select(titles.c.genre).where(titles.c.id == title_id)
        with self._translated(), self._engine.connect() as connection:
            return connection.execute(query).scalar()

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
                sql.select(titles.c.folder).where(titles.c.id == title.id)
            ).scalar()
            if old is not None:
                if not replace:
                    raise InputError(f"there is a title {title.id!r} already; --replace it")
                _delete(connection, title.id)
            series_id = None
            if title.series is not None:
                series_id = slug(title.series)
                connection.execute(
                    series.insert().prefix_with("OR IGNORE"),
                    {"id": series_id, "name": title.series},
                )
            connection.execute(titles.insert(), _title_row(title, series_id))
            connection.execute(renditions.insert(), _rendition_rows(title))
            released_wall_s = connection.execute(
                sql.select(editions.c.released_wall_s).where(editions.c.title_id == title.id)
            ).scalar()
            connection.execute(editions.delete().where(editions.c.title_id == title.id))
            connection.execute(
                editions.insert(),
                {
                    "title_id": title.id,
                    "last_no": title.edition_no,
                    "released_wall_s": (
                        title.created_wall_s if released_wall_s is None else released_wall_s
                    ),
                },
            )
            _count_up(connection)
            return old

    def set_genres(self, genres: Mapping[str, str | None]) -> int:
        """Give titles, by id, a genre or none, all of them or, where one is not there, none; how
        many had another. Raises InputError."""
        with self._translated(), self._engine.begin() as connection:
            known = dict(
                tuple(row) for row in connection.execute(sql.select(titles.c.id, titles.c.genre))
            )
            for title_id in genres:
                if title_id not in known:
                    raise no_title(title_id)
            changes = [
                {"of": title_id, "to": genre}
                for title_id, genre in sorted(genres.items())
                if known[title_id] != genre
            ]
            if changes:
                change = titles.update().where(titles.c.id == sql.bindparam("of"))
                connection.execute(change.values(genre=sql.bindparam("to")), changes)
                _count_up(connection)
            return len(changes)

    def remove(self, title_id: str) -> str:
        """Take a title out; returns its folder."""
        with self._translated(), self._engine.begin() as connection:
            folder = connection.execute(
                sql.select(titles.c.folder).where(titles.c.id == title_id)
            ).scalar()
            if folder is None:
                raise no_title(title_id)
            _delete(connection, title_id)
            _count_up(connection)
            return str(folder)

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


def no_title(title_id: str) -> InputError:
    return InputError(f"there is no title {title_id[:80]!r}; see: nearcast origin list")


def _prepare(connection: Any, record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _lines() -> sql.Select[Any]:
    found = sql.select(titles, series.c.name.label("series"), editions.c.released_wall_s)
    found = found.join(series, titles.c.series_id == series.c.id, isouter=True)
    return found.join(editions, titles.c.id == editions.c.title_id, isouter=True)


def _count_up(connection: sql.Connection) -> None:
    connection.execute(
        meta.update().where(meta.c.name == "revision").values(value=meta.c.value + 1)
    )


def _delete(connection: sql.Connection, title_id: str) -> None:
    connection.execute(renditions.delete().where(renditions.c.title_id == title_id))
    connection.execute(titles.delete().where(titles.c.id == title_id))
    in_use = sql.select(titles.c.series_id).where(titles.c.series_id.is_not(None))
    connection.execute(series.delete().where(series.c.id.not_in(in_use)))


def _title_row(title: Title, series_id: str | None) -> dict[str, Any]:
    return {
        "id": title.id,
        "name": title.name,
        "duration_s": title.duration_s,
        "created_wall_s": title.created_wall_s,
        "series_id": series_id,
        "season_no": title.season_no,
        "episode_no": title.episode_no,
        "genre": title.genre,
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
            genre=row["genre"],
        ),
        edition_no=row["edition_no"],
        created_wall_s=row["created_wall_s"],
        released_wall_s=_released_wall_s(row),
        size_bytes=row["size_bytes"],
        folder=row["folder"],
    )


def _released_wall_s(row: Any) -> float | None:
    """None: with the edition that there is, which may be the first."""
    is_later = row["released_wall_s"] is not None and (
        row["released_wall_s"] < row["created_wall_s"]
    )
    return row["released_wall_s"] if is_later else None


def _title(line: TitleLine, rows: Any) -> Title:
    entry = line.entry
    return Title(
        id=entry.id,
        name=entry.name,
        duration_s=entry.duration_s,
        created_wall_s=line.created_wall_s,
        released_wall_s=line.released_wall_s,
        series=entry.series,
        season_no=entry.season_no,
        episode_no=entry.episode_no,
        genre=entry.genre,
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
