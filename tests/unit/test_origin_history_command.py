"""`nearcast origin history` at a terminal."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from origin.cli import app
from origin.commands.history import WIDTH, table
from origin.drivers.state import ControlStore
from origin.drivers.telemetry.parquet import Answer, query_events

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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["SELECT 1"], "no control.db"), (["SELECT 1", "--since", "yesterday"], "2026-01-31")],
)
def test_bad_input_says_what_to_do(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = RUNNER.invoke(app, ["history", *arguments, "--library", str(tmp_path)])
    assert result.exit_code != 0
    assert said in str(result.exception)
