"""`nearcast origin history`: ask what edges have told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearcast.config import load
from nearcast.errors import InputError
from nearcast.json_file import JsonFile, check_json_file, write_json
from origin.config import OriginConfig

if TYPE_CHECKING:
    from origin.drivers.telemetry.parquet import Answer

WIDTH = 80
CELL_WIDTH_MAX = 32


def history(
    query: Annotated[str, typer.Argument(metavar="SELECT", help="SQL, as DuckDB reads it.")],
    library: Annotated[
        Path | None, typer.Option("--library", help="Folder that holds the titles.")
    ] = None,
    config_file: Annotated[
        Path | None, typer.Option("--config", help="The origin's settings in a TOML file.")
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, over all other settings.")
    ] = None,
    since: Annotated[
        str, typer.Option(metavar="DAY", help="Read from this day on (2026-01-31), in UTC.")
    ] = "",
    json_file: JsonFile = None,
) -> None:
    """Ask the history of what edges have told: demand, viewings, fills, notes.

    Tables: demand, sessions, fills, notes, and events, which has all. docs/telemetry.md names
    their columns. What came in the last minutes is not in it yet.
    """
    check_json_file(json_file)
    layers = list(assignments or [])
    if library is not None:
        layers.append(f"library={library}")
    config = load(
        OriginConfig, role="origin", file=config_file, environ=os.environ, assignments=layers
    ).value
    _check_day(since)
    answer = _ask(config, query, since)
    for line in table(answer):
        print(line)
    write_json(json_file, {"columns": answer.columns, "rows": answer.rows, "cut": answer.is_cut})


def table(answer: Answer) -> list[str]:
    """The rows in columns of a terminal's width; what does not fit is cut, with a sign of it."""
    from origin.commands.plan_text import middle_cut

    cells = [answer.columns, *(tuple(_text(value) for value in row) for row in answer.rows)]
    widths = [
        min(max(len(row[index]) for row in cells), CELL_WIDTH_MAX)
        for index in range(len(answer.columns))
    ]
    numeric = [
        all(isinstance(row[index], (int, float, type(None))) for row in answer.rows)
        for index in range(len(answer.columns))
    ]
    lines = []
    for row in cells:
        parts = [
            middle_cut(text, width).rjust(width)
            if is_number
            else middle_cut(text, width).ljust(width)
            for text, width, is_number in zip(row, widths, numeric, strict=True)
        ]
        lines.append(_cut("  ".join(parts).rstrip(), WIDTH))
    rows = "1 row" if len(answer.rows) == 1 else f"{len(answer.rows)} rows"
    lines.append(f"{rows}; there are more, ask for fewer" if answer.is_cut else rows)
    return lines


def _ask(config: OriginConfig, query: str, since: str) -> Answer:
    from nearcast.aio import run
    from origin.drivers.state import ControlStore
    from origin.drivers.state.database import DATABASE_NAME
    from origin.drivers.telemetry.service import open_history

    folder = Path(config.library)
    if not config.control.database and not (folder / DATABASE_NAME).exists():
        raise InputError(
            f"{folder} has no {DATABASE_NAME}: no origin has looked after a fleet there; name its "
            "folder with --library, or its settings with --config"
        )

    async def ask() -> Answer:
        store = await ControlStore.open(config.control.database, folder)
        try:
            return await open_history(store, config, holder="").query(query, since_day=since)
        finally:
            await store.close()

    return run(ask())


def _check_day(day: str) -> None:
    from datetime import date

    if not day:
        return
    try:
        date.fromisoformat(day)
    except ValueError as error:
        raise InputError(f"--since {day!r}: write a day such as 2026-01-31") from error


def _text(value: object) -> str:
    if value is None:
        return "-"
    text = f"{value:.6g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)
    return "".join(one if one.isprintable() else "?" for one in text)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
