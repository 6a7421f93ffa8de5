"""The import contract "Cores do no I/O", and the maps in packages' docstrings."""

import ast
import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from grimp import ImportGraph
from importlinter.configuration import configure

from tests.import_contracts import CoresContract, is_core

ROOT = Path(__file__).parents[2]
CONTRACT = "Cores do no I/O"
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
ROOTS: list[str] = SETTINGS["root_packages"]
NOT_CORES: list[str] = next(
    each["not_cores"] for each in SETTINGS["contracts"] if each["name"] == CONTRACT
)


def modules() -> list[str]:
    files = [file for root in ROOTS for file in (ROOT / root).rglob("*.py")]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return sorted(name for name in names if not name.endswith(".__init__"))


@pytest.mark.parametrize(
    ("importer", "is_kept"),
    [
        ("edge.novel", False),
        ("edge.novel.part", False),
        ("edge.drivers.novel", True),
        ("edge.assemble", True),
        ("numpy", True),
    ],
)
def test_a_module_that_nobody_named_is_a_core(importer: str, is_kept: bool) -> None:
    configure()
    graph = ImportGraph()
    for name in ("edge", "edge.drivers", "edge.drivers.between", importer):
        graph.add_module(name)
    graph.add_module("asyncio", is_squashed=True)
    graph.add_import(importer="edge.drivers.between", imported="asyncio")
    graph.add_import(importer=importer, imported="edge.drivers.between")
    contract = CoresContract(
        CONTRACT,
        {"root_packages": ["edge"], "include_external_packages": True},
        {"forbidden_modules": ["asyncio"], "not_cores": ["*.drivers.*", "*.assemble"]},
    )
    assert contract.check(graph, verbose=False).kept is is_kept


@pytest.mark.parametrize("pattern", NOT_CORES)
def test_nothing_is_excused_that_is_not_there(pattern: str) -> None:
    assert any(fnmatchcase(name, pattern) for name in modules())


@pytest.mark.parametrize(
    "package",
    [
        "edge",
        "edge/drivers",
        "origin/control",
        "origin/drivers/control",
        "origin/placement",
        "origin/telemetry",
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
    for name in modules():
        if is_core(name, NOT_CORES):
            text = (ROOT / name.replace(".", "/")).with_suffix(".py").read_text()
            assert asking.search(text) is None, name
