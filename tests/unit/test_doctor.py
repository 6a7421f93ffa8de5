"""`nearcast doctor`: what it finds, what it advises, and its exit status."""

import importlib
import importlib.metadata
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nearcast.errors import ModelError
from nearcast.main import main
from predictor.runtime import NextEpisodeModel
from simulation import doctor
from simulation.doctor import Finding, State


def finding(state: State) -> Callable[[], Finding]:
    return lambda: Finding(name="thing", state=state, detail="as it is", advice="mend it")


def check_of(name: str) -> Finding:
    (found,) = (each for each in doctor.findings() if each.name == name)
    return found


def test_this_installation_is_whole_enough_to_test_on() -> None:
    found = {each.name: each.state for each in doctor.findings()}
    assert len(found) == len(doctor.CHECKS)
    assert found["python"] == found["ingest"] == found["catalogue"] == "ok"


@pytest.mark.parametrize(("state", "status"), [("ok", 0), ("missing", 0), ("broken", 1)])
def test_only_what_is_broken_fails(
    state: State, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (finding("ok"), finding(state)))
    assert main(["doctor"]) == status
    out = capsys.readouterr().out
    assert f"{state:<8}thing       as it is" in out
    assert ("-> mend it" in out) is (state != "ok")


def test_json_holds_every_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (finding("ok"), finding("broken")))
    file = tmp_path / "doctor.json"
    assert main(["doctor", "--json", str(file)]) == 1
    states = [each["state"] for each in json.loads(file.read_text())["findings"]]
    assert states == ["ok", "broken"]


def test_a_package_that_is_not_there_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib, "import_module", _fail_to_import("av"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = check_of("ingest")
    assert found.state == "missing"
    assert "nearcast[media]" in found.advice


def test_a_package_that_does_not_load_is_broken_not_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib, "import_module", _fail_to_import("av"))
    found = check_of("ingest")
    assert found.state == "broken"
    assert "libav" in found.detail


def _fail_to_import(module: str) -> Callable[[str], object]:
    real = importlib.import_module

    def import_module(name: str) -> object:
        if name == module:
            raise ImportError("libav.so is missing")
        return real(name)

    return import_module


def test_two_runtimes_break_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata,
        "version",
        lambda name: "1.0" if name.startswith("onnxruntime") else real(name),
    )
    found = check_of("inference")
    assert found.state == "broken"
    assert "exactly one" in found.advice


def test_the_gpu_runtime_alone_is_a_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra cpu or gpu")
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "onnxruntime":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.31" if name == "onnxruntime-gpu" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = check_of("inference")
    assert found.state == "ok"
    assert found.detail.endswith("onnxruntime 1.31")


def test_a_damaged_model_is_reported_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(folder: Path) -> NextEpisodeModel:
        raise ModelError("model.onnx is not the one its manifest names")

    monkeypatch.setattr(NextEpisodeModel, "load", load)
    found = check_of("model")
    assert found.state == "broken"
    assert found.detail == "model.onnx is not the one its manifest names"
