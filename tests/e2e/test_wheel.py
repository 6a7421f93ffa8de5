"""What a stranger installs: the built wheel holds every package and every file they read."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"nearcast", "cache", "edge", "origin", "predictor", "abr", "simulation"}


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_holds_our_packages_and_nothing_else(names: set[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES


def test_wheel_holds_what_is_read_at_run_time(names: set[str]) -> None:
    for folder, pattern in (
        ("predictor/models/next-episode", "*"),
        ("simulation/traces", "*.csv"),
        ("simulation/scenarios", "*.*"),
        ("origin/drivers/state/migrations/versions", "*.py"),
        ("origin/web", "*"),
        ("origin/web/js", "*.js"),
        ("origin/web/vendor", "*"),
    ):
        shipped = sorted((ROOT / folder).glob(pattern))
        files = [file for file in shipped if file.is_file() and file.suffix != ".pyc"]
        assert files, folder
        assert {str(file.relative_to(ROOT)) for file in files} <= names
    assert {f"{package}/py.typed" for package in PACKAGES} <= names


def test_wheel_carries_the_licence(names: set[str]) -> None:
    assert any(name.endswith("licenses/LICENSE") for name in names)
