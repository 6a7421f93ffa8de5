"""The import contract "Cores do no I/O" names every core: a new module is one unless it is named
here."""

import ast
import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAME = "Cores do no I/O"

# Who may do I/O, and why.
NOT_CORES = {
    "*.drivers.*": "they do the I/O",
    "*.assemble": "it builds the drivers",
    "edge.operator_commands": "the command line",
    "edge.fleet_commands": "the command line",
    "*.cli": "it reads the environment and runs what was built",
    "nearcast.aio": "the pump itself",
    "nearcast.descriptors": "it asks the system for more",
    "nearcast.server_tls": "it reads certificates, again and again",
    "nearcast.zones": "it reads the tables of time zones",
    "nearcast.clock": "the one place that reads the time",
    "nearcast.main": "the command line",
    "nearcast.__main__": "the command line",
    "origin.commands.*": "the command line",
    "origin.packaging.*": "encoding: files in, files out",
    "origin.progress": "it watches the ingest driver",
    "predictor.logs.*": "files in, files out",
    "predictor.train.*": "offline: files in, files out",
    "predictor.bench": "it measures time",
    "predictor.commands.*": "the command line",
    "simulation.bench.*": "they measure real processes",
    "simulation.demo.*": "it runs real processes",
    "simulation.doctor": "it looks at this machine",
    "simulation.replay.peers": "it writes a file for another library, and times it",
    "simulation.replay.run": "it times replays for a person",
    "simulation.show": "it times a run for a person",
}


def settings() -> dict[str, object]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = (
        each for each in table["tool"]["importlinter"]["contracts"] if each["name"] == NAME
    )
    return {"roots": table["tool"]["importlinter"]["root_packages"], **contract}


def modules(roots: list[str]) -> list[str]:
    files = [file for root in roots for file in (ROOT / root).rglob("*.py")]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return sorted(name for name in names if not name.endswith(".__init__"))


def test_every_module_is_a_core_or_named_as_none() -> None:
    found = settings()
    roots, cores = found["roots"], found["source_modules"]
    assert isinstance(roots, list)
    assert isinstance(cores, list)
    for name in modules(roots):
        is_core = any(name == core or name.startswith(f"{core}.") for core in cores)
        is_named = any(fnmatchcase(name, pattern) for pattern in NOT_CORES)
        assert is_core != is_named, f"{name}: add it to the contract, or say here why not"


@pytest.mark.parametrize("pattern", NOT_CORES)
def test_nothing_is_excused_that_is_not_there(pattern: str) -> None:
    roots = settings()["roots"]
    assert isinstance(roots, list)
    assert any(fnmatchcase(name, pattern) for name in modules(roots))


@pytest.mark.parametrize(
    "package",
    [
        "edge",
        "edge/drivers",
        "abr",
        "abr/controllers/nearcast",
        "predictor/bandwidth",
        "predictor/demand",
        "predictor/recommend",
        "simulation",
        "simulation/bench",
        "simulation/bench/agreement",
        "simulation/sessions",
    ],
)
def test_the_map_of_a_package_shows_all_of_it(package: str) -> None:
    """The docstring of its __init__ says where to look; nothing is missing, nothing is gone."""
    folder = ROOT / package
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    assert text is not None
    there = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    there |= {file.parent.name for file in folder.glob("*/__init__.py")}
    first_columns = [
        re.split(r"\s{2,}", line.strip())[0].split(", ")
        for line in text.splitlines()
        if line.startswith("    ")
    ]
    named = [name for names in first_columns for name in names if " " not in name]
    assert sorted(named) == sorted(there)


def test_cores_ask_neither_the_environment_nor_the_process() -> None:
    """What import-linter cannot see: `os` has paths too."""
    asking = re.compile(r"\bos\.(environ|getenv|getpid|urandom)\b|\bdatetime\.now\b|\binput\(")
    roots = settings()["roots"]
    assert isinstance(roots, list)
    for name in modules(roots):
        if not any(fnmatchcase(name, pattern) for pattern in NOT_CORES):
            text = (ROOT / name.replace(".", "/")).with_suffix(".py").read_text()
            assert asking.search(text) is None, name
