"""`nearcast origin title`: what is told about titles that are there already."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from nearcast.errors import InputError
from nearcast.json_file import JsonFile, check_json_file, write_json
from origin.catalog import checked_genre, slug

if TYPE_CHECKING:
    from origin.drivers.catalog_database import TitleLine

ROWS_MAX: Final = 1_000_000
"""Of a CSV file; a library has fewer titles."""

title_app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Change what is told about titles, without packaging them anew.",
    epilog="Example: nearcast origin title set night-train --genre crime",
)


@title_app.callback()
def titles() -> None:
    """So that `set` is not left out: typer runs the only command of a group by itself."""


@title_app.command(
    "set",
    epilog="Example: nearcast origin title set --series Harbour --genre drama",
)
def set_titles(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Titles.")] = None,
    library: Annotated[
        Path, typer.Option("--library", help="Folder that holds the titles.")
    ] = Path("library"),
    genre: Annotated[str | None, typer.Option(help='Their genre; "" for none.')] = None,
    series: Annotated[str | None, typer.Option(help="All episodes of it, besides.")] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="CSV[.gz|.xz]", help="Columns id and genre, a row for each title."
        ),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Give titles a genre: all that are named, or, where one of them is not there, none.

    A plan expects of an edge whose viewers like a genre that they take to its other titles too. One
    genre a title, the one that tells most about who watches it; a running origin takes it over.
    """
    from origin.drivers.storage import LibraryFolder

    check_json_file(json_file)
    if (table is None) is (genre is None):
        raise InputError("give either --genre with titles, or --from with a CSV file")
    if table is not None and (ids or series is not None):
        raise InputError("--from names the titles: leave out ids and --series")
    folder = LibraryFolder(library, must_exist=True)
    try:
        if table is not None:
            lines = read_genres(table)
            known = {line.entry.id for line in folder.database.lines()}
            for title_id, (line_no, _) in lines.items():
                if title_id not in known:
                    raise InputError(
                        f"{table}, line {line_no}: there is no title {title_id[:80]!r}; "
                        "see: nearcast origin list"
                    )
            wanted = {title_id: found for title_id, (_, found) in lines.items()}
        else:
            named = [*(ids or ()), *_episodes(folder.database.lines(), series)]
            if not named:
                raise InputError("name the titles by their ids, by --series or by --from")
            to = checked_genre(genre) if genre else None
            wanted = dict.fromkeys(named, to)
        changed_count = folder.database.set_genres(wanted)
    finally:
        folder.close()
    print(f"{len(wanted)} title{'' if len(wanted) == 1 else 's'}, {changed_count} changed")
    write_json(json_file, {"title_count": len(wanted), "changed_count": changed_count})


def read_genres(path: Path) -> dict[str, tuple[int, str | None]]:
    """The line and the genre of each id; an empty one is none. Raises InputError naming file and
    line."""
    from nearcast.text_file import reading

    found: dict[str, tuple[int, str | None]] = {}
    with reading(path) as lines:
        first = lines.readline()
        # What a spreadsheet writes where the comma is the decimal point.
        delimiter = ";" if ";" in first and "," not in first else ","
        rows = csv.reader(chain((first,), lines), strict=True, delimiter=delimiter)
        header = [name.strip() for name in next(rows, [])]
        missing = [name for name in ("id", "genre") if header.count(name) != 1]
        if missing:
            raise InputError(
                f"{path}, line 1: it lacks the column {missing[0]}, or has two; begin with id,genre"
            )
        id_at, genre_at = header.index("id"), header.index("genre")
        for row in rows:
            if not any(row):
                continue
            line_no = rows.line_num
            if len(row) != len(header):
                raise InputError(
                    f"{path}, line {line_no}: expected {len(header)} columns, got {len(row)}"
                )
            title_id = row[id_at].strip()
            if title_id in found:
                raise InputError(
                    f"{path}, line {line_no}: {title_id[:80]!r} is in line "
                    f"{found[title_id][0]} already"
                )
            if len(found) >= ROWS_MAX:
                raise InputError(f"{path} has more than {ROWS_MAX} rows")
            found[title_id] = line_no, _genre(path, line_no, row[genre_at])
    return found


def _genre(path: Path, line_no: int, text: str) -> str | None:
    try:
        return checked_genre(text) if text.strip() else None
    except InputError as error:
        raise InputError(f"{path}, line {line_no}: {error}") from error


def _episodes(lines: Sequence[TitleLine], series: str | None) -> list[str]:
    if series is None:
        return []
    name = slug(series)
    found = [
        line.entry.id for line in lines if line.entry.series and slug(line.entry.series) == name
    ]
    if not found:
        raise InputError(f"there is no series {series[:80]!r}; see: nearcast origin list")
    return found
