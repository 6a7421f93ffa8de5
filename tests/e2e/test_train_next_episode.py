"""`nearcast train next-episode` and `nearcast models`, as the user runs them."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nearcast.main import main

WATCH = Path(__file__).parents[3] / "shared" / "watch"
ROWS = WATCH / "next_episode_events.parquet"

# Looked for, not imported: that takes seconds in every process that collects this.
pytestmark = [
    pytest.mark.skipif(find_spec(name) is None, reason=f"training needs the extra {extra}")
    for name, extra in (
        ("lightgbm", "train"),
        ("onnx", "train"),
        ("onnxruntime", "cpu"),
        ("pyarrow", "train"),
        ("threadpoolctl", "train"),
    )
]
needs_data = pytest.mark.skipif(not ROWS.exists(), reason=f"{ROWS} is not here")


ROW_COUNT = 2000
SMALL = ("--seed", 5, "--epochs", 2, "--trees", 12)


def run(*arguments: object) -> int:
    """The command in this process, which has its packages loaded already."""
    return main([str(argument) for argument in arguments])


def run_apart(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nearcast", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def rows_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first real plays."""
    import pyarrow.parquet as parquet

    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    parquet.write_table(parquet.read_table(ROWS)[:ROW_COUNT], path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, rows_file: Path) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("trained")
    more = ("--data", rows_file, "--json", folder / "figures.json")
    assert run("train", "next-episode", "--out", folder / "model", *SMALL, *more) == 0
    return folder / "model", msgspec.json.decode((folder / "figures.json").read_bytes())


@needs_data
def test_figures_have_the_promised_keys_and_beat_the_constant(trained: tuple[Path, Any]) -> None:
    _, figures = trained
    assert set(figures["test"]) == {"30min", "24h", "7d", "all"}
    assert set(figures["checkpoints"]) == {"0.10", "0.25", "0.50", "0.75", "0.90", "1.00"}
    for horizon in ("30min", "24h", "7d"):
        constant = figures["baselines"]["constant"]["end"][horizon]
        for kind in ("float", "int8"):
            row = figures["test"][horizon][kind]
            assert row["auc"] > 0.6
            assert row["log_loss"] < constant["log_loss"]
        int8, exact = (figures["test"][horizon][kind]["log_loss"] for kind in ("int8", "float"))
        assert abs(int8 - exact) < 0.01
    assert figures["size_bytes"] <= 0.3 * figures["size_bytes_float"]
    assert 0 < figures["latency_s"]["int8"]["p50"] <= figures["latency_s"]["int8"]["p99"]


@needs_data
def test_trained_folder_verifies_and_a_damaged_one_does_not(
    trained: tuple[Path, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, figures = trained
    assert run("models", "verify", folder) == 0
    assert figures["model_id"] in capsys.readouterr().out
    for name in ("model.onnx", "manifest.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes()[:-9])
    assert run("models", "verify", tmp_path, "--json", tmp_path / "verify.json") == 2
    assert "manifest" in capsys.readouterr().err
    assert msgspec.json.decode((tmp_path / "verify.json").read_bytes())["is_good"] is False


@needs_data
def test_a_part_of_the_rows_is_kept_to_measure_and_the_others_are_described(
    trained: tuple[Path, Any],
) -> None:
    folder, figures = trained
    assert figures["source"] == "rows"
    assert figures["plays"] + figures["test_plays"] == ROW_COUNT
    assert 0.1 * ROW_COUNT < figures["test_plays"] < 0.4 * ROW_COUNT
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes())
    reference = manifest["reference"]
    assert set(reference["deciles"]) == set(manifest["feature_names"])
    assert all(len(row) == 9 and row == sorted(row) for row in reference["deciles"].values())
    assert set(reference["reliability"]) == set(manifest["outputs"])


@needs_data
def test_same_seed_gives_the_same_file_in_another_process(
    trained: tuple[Path, Any], rows_file: Path, tmp_path: Path
) -> None:
    folder, _ = trained
    done = run_apart(
        "train", "next-episode", "--out", tmp_path / "again", *SMALL, "--data", rows_file
    )
    assert done.returncode == 0, done.stderr
    again = (tmp_path / "again" / "model.onnx").read_bytes()
    assert again == (folder / "model.onnx").read_bytes()


def test_bad_inputs_exit_2_and_say_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import pyarrow
    import pyarrow.parquet as parquet

    lacking = tmp_path / "lacking.parquet"
    parquet.write_table(pyarrow.table({"completion": [1.0]}), lacking)
    text = tmp_path / "text.parquet"
    text.write_text("no parquet")
    cases = [
        (None, lacking, "neither a log of plays"),
        (None, text, "no readable Parquet"),
        (None, tmp_path / "nowhere.parquet", "cannot read"),
        (text, None, "no readable Parquet"),
        (tmp_path / "nowhere.json", None, "cannot read"),
    ]
    for data, test, message in cases:
        more = [*(("--data", data) if data else ()), *(("--test", test) if test else ())]
        assert run("train", "next-episode", "--out", tmp_path / "o", *more) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_help_shows_an_example_and_a_missing_option_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for command in (("train", "next-episode"), ("models", "list"), ("models", "verify")):
        assert run(*command, "--help") == 0
        assert "Example: nearcast" in capsys.readouterr().out
    assert run("train", "next-episode") == 2
    assert "Missing option '--out'" in capsys.readouterr().err


def test_shipped_model_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "list") == 0
    assert "next-episode" in capsys.readouterr().out


def test_features_and_runtime_import_without_onnxruntime() -> None:
    code = "import predictor.runtime, predictor.features, sys; print('onnxruntime' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


def test_missing_training_packages_are_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['onnx'] = None; from nearcast.main import main; "
        f"sys.exit(main(['train', 'next-episode', '--data', 'x', '--out', {str(tmp_path)!r}]))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "packages onnx; install them with: pip install 'nearcast[cpu,train]'" in done.stderr
