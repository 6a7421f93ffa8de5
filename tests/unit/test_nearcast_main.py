"""The command line: overview, unknown commands, exit statuses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Annotated

import pytest
import typer

from nearcast import main as command_line
from nearcast.errors import ConfigError, LocalProtocolError
from nearcast.main import COMMAND_GROUP, SUMMARIES, commands, main

Install = Callable[[object], None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Makes a function or app the command `try`."""

    def put(command: object) -> None:
        module = ModuleType("nearcast_test_plugin")
        module.command = command  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        point = EntryPoint("try", "nearcast_test_plugin:command", COMMAND_GROUP)
        monkeypatch.setattr(command_line, "commands", lambda: {"try": point})

    return put


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"], ["help"]])
def test_the_overview_lists_every_command(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    for name in commands():
        assert f"\n  {name} " in shown
    assert "nearcast demo" in shown


def test_every_command_of_ours_has_a_summary() -> None:
    assert set(SUMMARIES) <= set(commands())
    assert list(commands())[: len(SUMMARIES)] == list(SUMMARIES)


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("nearcast 0.")


def test_an_unknown_command_is_named_beside_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["edgy"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "there is no command 'edgy'" in shown.err
    assert "nearcast COMMAND --help" in shown.err


def test_a_function_is_run_with_its_options(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(count: Annotated[int, typer.Option()] = 1) -> None:
        print(f"count={count}")

    install(command)
    assert main(["try", "--count", "3"]) == 0
    assert capsys.readouterr().out == "count=3\n"


def test_an_apps_result_is_the_exit_status(install: Install) -> None:
    app = typer.Typer()

    @app.command()
    def first() -> int:
        return 7

    @app.command()
    def second() -> None:
        raise typer.Exit(4)

    install(app)
    assert main(["try", "first"]) == 7
    assert main(["try", "second"]) == 4


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ConfigError("port is taken"), 2, "nearcast try: port is taken\n"),
        (LocalProtocolError("a bug"), 1, "nearcast try: a bug\n"),
        (typer.Abort(), 130, "nearcast try: interrupted\n"),
    ],
)
def test_errors_are_one_line_and_a_status(
    install: Install,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    text: str,
) -> None:
    def command() -> None:
        raise error

    install(command)
    assert main(["try"]) == status
    assert capsys.readouterr().err == text


def test_an_interrupted_command_exits_with_130(install: Install) -> None:
    def command() -> None:
        raise KeyboardInterrupt

    install(command)
    assert main(["try"]) == 130


@pytest.mark.parametrize(
    "arguments", [["--nonsense"], ["--count", "many"], ["surplus"], ["--count"]]
)
def test_bad_arguments_exit_with_2_and_say_which(
    install: Install, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    def command(count: Annotated[int, typer.Option()] = 1) -> None:
        raise AssertionError("must not run")

    install(command)
    assert main(["try", *arguments]) == 2
    shown = capsys.readouterr().err
    assert any(argument in shown for argument in arguments)
    assert "Traceback" not in shown


def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(point: EntryPoint) -> object:
        raise ModuleNotFoundError("No module named 'av.codec'", name="av.codec")

    monkeypatch.setattr(EntryPoint, "load", load)
    assert main(["origin", "serve"]) == 2
    assert "pip install 'nearcast[media]'" in capsys.readouterr().err


def test_a_package_that_is_missed_only_while_running_is_named_too(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    def serve() -> None:
        raise ModuleNotFoundError("No module named 'sqlalchemy'", name="sqlalchemy")

    install(serve)
    assert main(["try"]) == 2
    assert "pip install 'nearcast[origin]'" in capsys.readouterr().err


def test_a_package_of_no_extra_is_named_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(point: EntryPoint) -> object:
        raise ModuleNotFoundError("No module named 'plugin'", name="plugin")

    monkeypatch.setattr(EntryPoint, "load", load)
    assert main(["demo"]) == 2
    assert capsys.readouterr().err.endswith("'plugin', which is not installed\n")


@pytest.mark.parametrize("name", ["simulation.lost", "abr.lost", "nearcast.lost", "edge.lost"])
def test_a_missing_module_of_our_own_is_a_bug_and_shown_as_one(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def load(point: EntryPoint) -> object:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(EntryPoint, "load", load)
    with pytest.raises(ModuleNotFoundError, match=name):
        main(["demo"])


@pytest.mark.parametrize("command", ["origin", "simulate", "bench"])
def test_help_of_a_group_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([command, "--help"])
    assert f"Example: nearcast {command} " in capsys.readouterr().out


def test_little_is_imported_before_an_interrupt_is_caught() -> None:
    shown = subprocess.run(
        [sys.executable, "-S", "-c", "import sys, nearcast.main; print(*sys.modules)"],
        cwd=Path(command_line.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"logging", "importlib.metadata", "typer"}.isdisjoint(shown.stdout.split())
