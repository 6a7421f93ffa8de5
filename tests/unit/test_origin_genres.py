"""Genres of titles: how they are written, kept, given to titles that are there, and read again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import msgspec
import numpy as np
import pytest

from nearcast.errors import InputError
from nearcast.main import main
from nearcast.media import Rendition
from nearcast.messages import Catalog
from origin.catalog import RenditionEntry, SegmentEntry, Title, catalog_of, checked_genre
from origin.commands.titles import read_genres
from origin.control.ladder import Ladder, titles_of
from origin.drivers.catalog_database import CatalogDatabase
from origin.drivers.catalog_tables import SCHEMA_VERSION
from origin.drivers.ingest import make_orders
from origin.drivers.outbox import Parcel
from origin.drivers.storage import LibraryFolder

OLD_TABLES = """
CREATE TABLE meta (name VARCHAR NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (name));
CREATE TABLE series (id VARCHAR NOT NULL, name VARCHAR NOT NULL, PRIMARY KEY (id));
CREATE TABLE titles (
    id VARCHAR NOT NULL, name VARCHAR NOT NULL, duration_s FLOAT NOT NULL,
    created_wall_s FLOAT NOT NULL, series_id VARCHAR, season_no INTEGER, episode_no INTEGER,
    edition_no INTEGER NOT NULL, folder VARCHAR NOT NULL, size_bytes BIGINT NOT NULL,
    PRIMARY KEY (id), UNIQUE (series_id, season_no, episode_no),
    FOREIGN KEY(series_id) REFERENCES series (id), UNIQUE (folder)
);
CREATE TABLE renditions (
    title_id VARCHAR NOT NULL, id VARCHAR NOT NULL, position INTEGER NOT NULL,
    rendition BLOB NOT NULL, size_bytes BIGINT NOT NULL, init_size_bytes INTEGER NOT NULL,
    init_crc32c BIGINT NOT NULL, segments BLOB NOT NULL, PRIMARY KEY (title_id, id),
    FOREIGN KEY(title_id) REFERENCES titles (id) ON DELETE CASCADE
);
CREATE TABLE editions (title_id VARCHAR NOT NULL, last_no INTEGER NOT NULL, PRIMARY KEY (title_id));
"""
"""What version 1 made."""


def make_title(title_id: str, **changes: object) -> Title:
    title = Title(
        id=title_id,
        name=title_id.capitalize(),
        duration_s=2.0,
        created_wall_s=1_767_225_600.0,
        renditions=(
            RenditionEntry(
                rendition=Rendition(
                    id="90p", kind="video", codecs="avc1", peak_kbps=1.0, average_kbps=1.0
                ),
                init_size_bytes=4,
                init_crc32c=google_crc32c.value(b"init"),
                segments=(SegmentEntry(0.0, 2.0, 3, google_crc32c.value(b"one")),),
            ),
        ),
    )
    return msgspec.structs.replace(title, **changes)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[LibraryFolder]:
    folder = LibraryFolder(tmp_path / "library", must_exist=False)
    yield folder
    folder.close()


def old_file(folder: Path, title: Title) -> None:
    """A catalogue as version 1 wrote it."""
    folder.mkdir()
    with sqlite3.connect(folder / "catalog.db") as connection:
        connection.executescript(OLD_TABLES)
        connection.executemany(
            "INSERT INTO meta VALUES (?, ?)", [("schema_version", 1), ("revision", 7)]
        )
        connection.execute("INSERT INTO series VALUES ('sea', 'Sea')")
        connection.execute(
            "INSERT INTO titles VALUES (?, ?, ?, ?, 'sea', 1, 2, 3, 'tide.12345678', ?)",
            (title.id, title.name, title.duration_s, title.created_wall_s, title.size_bytes),
        )
        (entry,) = title.renditions
        connection.execute(
            "INSERT INTO renditions VALUES (?, '90p', 0, ?, ?, ?, ?, ?)",
            (
                title.id,
                msgspec.json.encode(entry.rendition),
                entry.size_bytes,
                entry.init_size_bytes,
                entry.init_crc32c,
                msgspec.msgpack.encode(entry.segments),
            ),
        )
        connection.execute("INSERT INTO editions VALUES (?, 3)", (title.id,))
    connection.close()


def version_of(folder: Path) -> int:
    connection = sqlite3.connect(folder / "catalog.db")
    try:
        query = "SELECT value FROM meta WHERE name = 'schema_version'"
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.close()


def test_a_catalogue_of_the_version_before_keeps_everything_and_takes_genres(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "old"
    place = {"series": "Sea", "season_no": 1, "episode_no": 2}
    title = make_title("tide", edition_no=3, folder="tide.12345678", **place)
    old_file(folder, title)
    other = sqlite3.connect(folder / "catalog.db")  # a program of that version has it open

    database = CatalogDatabase(folder, must_exist=True)
    try:
        assert database.title("tide") == title
        assert (database.revision(), database.next_edition_no("tide")) == (7, 4)
        assert database.set_genres({"tide": "drama"}) == 1
        other.execute(
            "INSERT INTO titles (id, name, duration_s, created_wall_s, edition_no, folder, "
            "size_bytes) VALUES ('ebb', 'Ebb', 1.0, 0.0, 1, 'ebb.1', 1)"
        )
        other.commit()
        genres = {line.entry.id: line.entry.genre for line in database.lines()}
        assert genres == {"tide": "drama", "ebb": None}
    finally:
        other.close()
        database.close()
    assert version_of(folder) == SCHEMA_VERSION
    again = CatalogDatabase(folder, must_exist=True)
    try:
        assert again.genre("tide") == "drama"
        later_wall_s = title.created_wall_s + 60.0
        again.add(msgspec.structs.replace(title, created_wall_s=later_wall_s), replace=True)
        anew = again.title("tide")
        assert anew is not None
        assert anew.released_wall_s == title.created_wall_s  # known from the file of before
    finally:
        again.close()


def test_a_catalogue_of_a_newer_version_is_left_alone_and_named(library: LibraryFolder) -> None:
    connection = sqlite3.connect(library.folder / "catalog.db")
    connection.execute("UPDATE meta SET value = 99 WHERE name = 'schema_version'")
    connection.commit()
    connection.close()

    with pytest.raises(InputError, match=r"has schema 99.*newer version of nearcast"):
        LibraryFolder(library.folder, must_exist=True)
    assert version_of(library.folder) == 99


@pytest.mark.parametrize(
    ("text", "kept"),
    [(" Crime ", "crime"), ("Science  Fiction", "science fiction"), ("A\u00a0B", "a b")],
    ids=["case", "spaces", "no-break"],
)  # fmt: skip
def test_a_genre_is_kept_in_one_way_of_writing(text: str, kept: str) -> None:
    assert checked_genre(text) == kept
    assert checked_genre(kept) == kept


@pytest.mark.parametrize(
    "text", ["", "   ", "a\tb", "a\nb", "a\x1b[0m", "\u202eb", "x" * 41],
    ids=["empty", "blank", "tab", "line", "escape", "turned", "long"],
)  # fmt: skip
def test_a_genre_that_could_harm_a_list_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="genre"):
        checked_genre(text)


def test_an_ingest_gives_all_its_files_the_genre(tmp_path: Path) -> None:
    orders = make_orders([tmp_path / "a.mp4", tmp_path / "b.mp4"], series="Sea", genre="Crime")
    assert [order.genre for order in orders] == ["crime", "crime"]


def test_a_title_made_anew_keeps_its_genre_unless_it_gets_another(library: LibraryFolder) -> None:
    def add(title: Title) -> Title:
        with library.stage() as staged:
            (staged.folder / "90p").mkdir()
            return library.commit(staged, title, replace=True)

    assert add(make_title("tide", genre="drama")).genre == "drama"
    second = add(make_title("tide"))
    assert (second.edition_no, second.genre) == (2, "drama")
    assert library.database.title("tide") == second
    assert add(make_title("tide", genre="crime")).genre == "crime"


def test_the_catalogue_tells_genres_and_messages_without_them_are_read() -> None:
    one = make_title("tide", genre="crime")
    catalog = catalog_of([(one.entry(), 1)])
    other = msgspec.structs.replace(one, genre="drama")
    assert catalog_of([(other.entry(), 1)]).revision != catalog.revision
    sent = msgspec.to_builtins(catalog)
    assert msgspec.convert(sent, Catalog) == catalog
    del sent["titles"][0]["genre"]
    assert msgspec.convert(sent, Catalog).titles[0].genre is None
    assert one.detail().title.genre == "crime"


def test_a_parcel_of_the_version_before_is_read() -> None:
    title = msgspec.to_builtins(make_title("tide"))
    del title["genre"]
    source = {"path": "/tide.mp4", "size_bytes": 1, "modified_ns": 1}
    parcel = msgspec.convert({"title": title, "source": source, "replace": False}, Parcel)
    assert parcel.title == make_title("tide")


def test_titles_that_are_there_get_genres_by_id_by_series_and_by_table(
    library: LibraryFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, name in enumerate(("one", "two"), start=1):
        place = {"series": "The Sea", "season_no": 1, "episode_no": number}
        library.database.add(make_title(name, folder=name, **place), replace=False)
    library.database.add(make_title("film", folder="film"), replace=False)
    before = library.database.revision()

    def genres() -> list[str | None]:
        return [line.entry.genre for line in library.database.lines()]  # film, one, two

    def run(*words: str) -> int:
        return main(["origin", "title", "set", *words, "--library", str(library.folder)])

    assert run("film", "--series", "the sea", "--genre", "Drama") == 0
    assert genres() == ["drama"] * 3
    assert library.database.revision() == before + 1
    table = tmp_path / "genres.csv"
    table.write_text("id,name,genre\none,One,\ntwo,Two,Crime\n")
    assert run("--from", str(table)) == 0
    assert genres() == ["drama", None, "crime"]
    assert run("film", "--genre", "") == 0
    assert genres() == [None, None, "crime"]
    assert run("two", "--genre", "crime") == 0
    assert library.database.revision() == before + 3
    assert main(["origin", "list", "--library", str(library.folder)]) == 0
    assert "crime" in capsys.readouterr().out

    table.write_text("id,genre\nfilm,crime\nnone,crime\n")
    assert run("--from", str(table)) == 2
    assert "line 3" in capsys.readouterr().err
    for words in (["none", "--genre", "x"], ["film"], ["--genre", "x"], ["film", "--genre", "\n"]):
        assert run(*words) == 2
    assert run("--series", "lake", "--genre", "x") == 2
    assert run("film", "--from", str(table)) == 2
    assert genres() == [None, None, "crime"]


def test_a_table_may_come_from_any_spreadsheet(tmp_path: Path) -> None:
    table = tmp_path / "genres.csv"
    table.write_text("\ufeffid;genre\none;crime, drama\n", encoding="utf-8")
    assert read_genres(table) == {"one": (2, "crime, drama")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,gender\na,b\n", "line 1"),
        ("id,genre\na,b\na,c\n", "line 3"),
        ("id,genre\na,b\nc\n", "line 3"),
        ("id,genre\na,b\nc,\x07\n", "line 3"),
        ('id,genre\na,"b\n', "cannot read"),
    ],
    ids=["column", "twice", "short", "odd", "quote"],
)
def test_a_table_that_makes_no_sense_is_refused_by_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    table = tmp_path / "genres.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=said):
        read_genres(table)


def test_the_forecast_numbers_genres_the_same_whatever_the_order() -> None:
    titles = [
        make_title("a", genre="western"),
        make_title("b"),
        make_title("c", genre="crime"),
        make_title("d", genre="western"),
    ]
    assert titles_of(titles, Ladder(titles), 0).genre.tolist() == [1, -1, 0, 1]
    turned = titles[::-1]
    assert np.array_equal(titles_of(turned, Ladder(turned), 0).genre, [1, 0, -1, 1])


def test_the_list_as_json_names_genres(library: LibraryFolder, tmp_path: Path) -> None:
    library.database.add(make_title("film", folder="film", genre="crime"), replace=False)
    file = tmp_path / "list.json"
    assert main(["origin", "list", "--library", str(library.folder), "--json", str(file)]) == 0
    assert json.loads(file.read_text())["titles"][0]["genre"] == "crime"
