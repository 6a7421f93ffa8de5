"""`nearcast models list` and `verify`, for models of either kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nearcast.main import main
from predictor.cards import shipped_folders


def test_all_that_is_shipped_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "list.json"
    assert main(["models", "list", "--json", str(report)]) == 0
    out = capsys.readouterr().out
    assert [line.split()[1] for line in out.splitlines()[::2]] == ["next-episode", "bandwidth"]
    kinds = {name: card["kind"] for name, card in json.loads(report.read_text()).items()}
    assert list(kinds) == [str(folder) for folder in shipped_folders()]


@pytest.mark.parametrize("name", ["", "bandwidth.json"])
def test_a_bandwidth_model_is_verified(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "verify.json"
    assert main(["models", "verify", str(shipped_folders()[1] / name), "--json", str(report)]) == 0
    found = json.loads(report.read_text())
    assert found["is_good"] is True
    assert found["model_id"] in capsys.readouterr().out


def test_a_damaged_bandwidth_model_must_not_serve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (shipped_folders()[1] / "bandwidth.json").read_bytes()
    (tmp_path / "bandwidth.json").write_bytes(content[:-100])
    report = tmp_path / "verify.json"
    assert main(["models", "verify", str(tmp_path), "--json", str(report)]) == 2
    assert json.loads(report.read_text())["is_good"] is False
    assert "bandwidth.json, line " in capsys.readouterr().err


def test_a_folder_without_a_model_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "verify", str(tmp_path)]) == 2
    assert "manifest.json" in capsys.readouterr().err
