"""`nearcast origin history` at a terminal."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from pathlib import Path
from typing import Final

import msgspec
import pytest
from typer.testing import CliRunner

from nearcast.telemetry import Demand, Event, Filled, Noted, SessionEnded
from origin.cli import app
from origin.commands.history import WIDTH, table
from origin.drivers.state import ControlStore
from origin.drivers.state.history_rows import WaitingPiece
from origin.drivers.telemetry.parquet import Answer, query_events, write_events

RUNNER = CliRunner()
GUIDE = Path(__file__).parents[2] / "docs" / "telemetry.md"
EXAMPLES = re.findall(r"^--.*?;$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


def test_rows_fit_a_terminal_and_say_when_they_are_cut() -> None:
    answer = Answer(
        columns=("edge", "title", "bytes", "what"),
        rows=(("ams-1", "t\x1b[31m" + "x" * 99, 123, None), ("b", "y", 4, "z" * 99)),
        is_cut=True,
    )
    lines = table(answer)
    assert max(map(len, lines)) <= WIDTH
    assert "\x1b" not in "".join(lines)
    assert lines[2].startswith("b ")
    assert lines[-1] == "2 rows; there are more, ask for fewer"


def test_an_empty_history_is_asked(tmp_path: Path) -> None:
    async def make() -> None:
        await (await ControlStore.open("", tmp_path)).close()

    asyncio.run(make())
    out = tmp_path / "out.json"
    result = RUNNER.invoke(
        app,
        ["history", "SELECT edge FROM demand", "--library", str(tmp_path), "--json", str(out)],
    )
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == ["edge", "0 rows"]
    assert json.loads(out.read_text()) == {"columns": ["edge"], "rows": [], "cut": False}


@pytest.mark.parametrize("query", EXAMPLES, ids=lambda query: query.splitlines()[0])
def test_the_examples_of_the_guide_can_be_asked(query: str) -> None:
    assert query_events((), query.rstrip().rstrip(";")).rows == ()


EVENING_S: Final = 1_769_882_400.0  # 31 January 2026, 18:00


def _demand(client_bytes: int, resident_bytes: int = 0) -> Demand:
    return Demand(
        wall_s=EVENING_S,
        title="t",
        rendition="v",
        client_bytes=client_bytes,
        resident_bytes=resident_bytes,
    )


def _session(stall_count: int) -> SessionEnded:
    return SessionEnded(
        wall_s=EVENING_S, title="t", watched_s=1.0, startup_s=1.0, stall_count=stall_count
    )


def _filled(size_bytes: int, *, is_complete: bool = True) -> Filled:
    return Filled(
        wall_s=EVENING_S,
        plan_id="p",
        title="t",
        rendition="v",
        size_bytes=size_bytes,
        source="origin",
        is_complete=is_complete,
    )


TOLD: Final[tuple[Event, ...]] = (
    _demand(3 * 10**9, 2 * 10**9),
    _demand(10**9),  # none of it from the store
    *(_session(count) for count in (0, 0, 0, 4)),
    _filled(10**9),
    _filled(0),
    _filled(5, is_complete=False),
    Noted(wall_s=EVENING_S, what="drain"),
)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the history, of events as edges write them: without what is as usual."""
    lines = b"".join(msgspec.json.encode(event) + b"\n" for event in TOLD)
    piece = WaitingPiece(
        id=1,
        edge="ams-1",
        boot_id="ab" * 8,
        received_wall_s=EVENING_S,
        event_count=len(TOLD),
        body=gzip.compress(lines),
    )
    file = tmp_path_factory.mktemp("history") / "events.parquet"
    write_events((piece,), file)
    return file


@pytest.mark.parametrize(
    ("about", "rows"),
    [
        ("The evening's titles", (("t", 4.0, 0.5),)),
        ("How viewings began", (("ams-1", 4, 1.0, 1.0, 1.0),)),
        ("Who fills from whom", (("ams-1", "origin", 2, 1.0),)),
    ],
)
def test_the_examples_of_the_guide_count_what_edges_left_out(
    told: Path, about: str, rows: tuple[tuple[object, ...], ...]
) -> None:
    (query,) = [one for one in EXAMPLES if about in one]
    assert query_events((told,), query.rstrip().rstrip(";")).rows == rows


@pytest.mark.parametrize(
    ("query", "row"),
    [
        ("count(*) FROM sessions WHERE stall_count = 0", (3,)),
        ("avg(stall_count), max(error_count), max(next_title) FROM sessions", (1.0, 0, "")),
        ("sum(planned_bytes), count(planned_bytes) FROM demand", (0, 2)),
        ("count(*) FROM fills WHERE NOT is_complete", (1,)),
        ("what, detail FROM notes", ("drain", "")),
        # What a kind does not have stays NULL, and so does what was not measured.
        ("count(stall_count), count(is_complete) FROM events", (4, 3)),
        ("count(client_bytes), count(bitrate_kbps) FROM sessions", (0, 0)),
    ],
)
def test_what_is_as_usual_is_in_the_history(
    told: Path, query: str, row: tuple[object, ...]
) -> None:
    assert query_events((told,), f"SELECT {query}").rows == (row,)


def test_a_file_from_before_a_column_was_told_can_be_asked_for_it(
    told: Path, tmp_path: Path
) -> None:
    import duckdb

    old = tmp_path / "old.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT * EXCLUDE (planned_bytes, detail) FROM read_parquet('{told}')) "
            f"TO '{old}' (FORMAT parquet)"
        )
    assert query_events((old,), "SELECT sum(planned_bytes) FROM demand").rows == ((0,),)
    assert query_events((old, told), "SELECT count(*) FROM demand").rows == ((4,),)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["SELECT 1"], "no control.db"), (["SELECT 1", "--since", "yesterday"], "2026-01-31")],
)
def test_bad_input_says_what_to_do(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = RUNNER.invoke(app, ["history", *arguments, "--library", str(tmp_path)])
    assert result.exit_code != 0
    assert said in str(result.exception)
