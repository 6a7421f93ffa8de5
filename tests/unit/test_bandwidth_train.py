"""A whole training run, small: generated links, a few dozen steps, graphs and figures.

torch is imported by the tests only: collecting them loads it in every process that shares them.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from nearcast.seeds import Seeds
from predictor.bandwidth import BandwidthModel, file
from predictor.cli import train_app
from predictor.runtime import _onnxruntime
from predictor.train.bandwidth_copula import normal_scores, rank_correlation
from predictor.train.bandwidth_data import Amounts, training_data
from predictor.train.bandwidth_rows import Rows

if TYPE_CHECKING:
    from predictor.train.bandwidth import Fitted

pytestmark = [
    pytest.mark.skipif(find_spec("torch") is None, reason="training needs the extra `train`"),
    pytest.mark.skipif(find_spec("onnxruntime") is None, reason="comparing needs the extra `cpu`"),
]
SMALL = Amounts(rounds=1, sessions=8, steps=20, windows=200, generated_traces=8)


def fit_short() -> Fitted:
    from predictor.train.bandwidth import fit_model
    from predictor.train.bandwidth_fit import FitSettings

    short = FitSettings(hidden=(48, 48), steps=300, batch=256)
    return fit_model([], seed=3, amounts=SMALL, settings=short, data_sha256={})


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit_short()


def test_a_model_exists_without_any_data(fitted: Fitted) -> None:
    data = training_data([], SMALL, Seeds(4))
    ratios = fitted.model.ratios(data.rows.features).reshape(len(data.rows), 6, 9)
    truth = data.rows.targets[:, 0]
    error = np.abs(ratios[:, 0, 4] - truth).mean()
    # The reference itself, an average, is what an untrained network would answer about.
    assert error < np.abs(truth).mean()
    assert 0.02 < (truth < ratios[:, 0, 2]).mean() < 0.4
    assert 0.6 < (truth < ratios[:, 0, 6]).mean() < 0.98


def test_the_same_seed_gives_the_same_bytes(fitted: Fitted) -> None:
    assert fit_short().content == fitted.content


def test_int8_costs_little(fitted: Fitted) -> None:
    features = training_data([], SMALL, Seeds(5)).rows.features
    whole = fitted.model.ratios(features).reshape(-1, 6, 9)
    assert np.abs(whole - fitted.ratios(features)).mean() < 0.05


def test_graphs_compute_what_numpy_does(fitted: Fitted) -> None:
    from predictor.train.bandwidth_onnx import float_graph, int8_graph

    features = training_data([], SMALL, Seeds(6)).rows.features
    runtime = _onnxruntime()
    for graph, expected in (
        (int8_graph(fitted.found), fitted.model.ratios(features)),
        (float_graph(fitted.dense, fitted.found), fitted.ratios(features).reshape(-1, 54)),
    ):
        session = runtime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        (answers,) = session.run(None, {"features": features})
        np.testing.assert_allclose(answers, expected, atol=2e-3)


def test_the_shipped_graph_computes_what_the_shipped_file_does() -> None:
    model = BandwidthModel.shipped()
    folder = Path(file.__file__).parents[1] / "models" / "bandwidth"
    features = training_data([], SMALL, Seeds(7)).rows.features
    session = _onnxruntime().InferenceSession(
        str(folder / "bandwidth.onnx"), providers=["CPUExecutionProvider"]
    )
    (answers,) = session.run(None, {"features": features})
    np.testing.assert_allclose(answers, model.ratios(features), atol=2e-3)


def test_rank_correlation_of_outcomes_that_move_together() -> None:
    rng = np.random.default_rng(1)
    n = 4000
    scores = rng.multivariate_normal(np.zeros(6), 0.5 * np.eye(6) + 0.5, n).astype(np.float32)
    quantiles = np.broadcast_to(
        np.array([-2.054, -1.282, -0.674, -0.253, 0.0, 0.253, 0.674, 1.282, 2.054], np.float32),
        (n, 6, 9),
    )
    found = normal_scores(scores[:, 0], quantiles[:, 0])
    np.testing.assert_allclose(found[:5], scores[:5, 0], atol=0.35)
    rows = Rows(
        features=np.zeros((n, 1), np.float32),
        targets=scores,
        reference=np.zeros(n, np.float32),
        family=np.zeros(n, np.int16),
    )
    np.testing.assert_allclose(rank_correlation(rows, quantiles), 0.5, atol=0.06)


def trace_file(path: Path) -> Path:
    rng = np.random.default_rng(2)
    lines = ["trace_id,t_s,throughput_kbps"]
    for name in range(12):
        level = rng.uniform(9.0, 12.0)
        lines += [
            f"{name}-run,{t},{2.0 ** (level + 0.5 * rng.normal()):.1f}" for t in range(0, 121, 2)
        ]
    path.write_text("\n".join(lines) + "\n")
    return path


QUICK = ["--steps", "60", "--rounds", "1", "--sessions", "5"]


def test_the_command_writes_a_model_and_says_how_good_it_is(tmp_path: Path) -> None:
    data = trace_file(tmp_path / "town.csv")
    figures = tmp_path / "figures.json"
    arguments = ["bandwidth", "--data", str(data), "--out", str(tmp_path / "model")]
    arguments += ["--leave-out", "all", "--json", str(figures), *QUICK]
    result = CliRunner().invoke(train_app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    model = BandwidthModel.load(tmp_path / "model")
    assert model.description.training_data_sha256.keys() == {"town"}
    assert (tmp_path / "model" / "bandwidth.onnx").exists()
    report = msgspec.json.decode(figures.read_bytes())
    assert report["model_id"] == model.model_id
    for part in ("held_out", "left_out"):
        scores = report[part]["town"]
        assert scores["windows"]["rows"] > 0
        assert scores["transfers"]["error"] > 0.0
        assert 0.0 < scores["transfers"]["below"]["0.25"] < 1.0
    assert report["test"].keys() == {"town", "all"}
    for kind in ("float", "int8"):
        figures_of = report["test"]["all"][kind]
        assert figures_of["transfers_error_log2"] > 0.0
        assert 0.0 < figures_of["transfers_below_quarter"] < 1.0
        assert figures_of == report["test"]["town"][kind]
    assert "town" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "{bad}"], "bad.csv, line 2"),
        (["--data", "{short}"], "training needs 600 s"),
        (["--data", "none.csv"], "cannot read none.csv"),
        (["--data", "{good}", "--leave-out", "village"], "there are good"),
        (["--data", "{good}", "--data", "{good}"], "another file is called good"),
    ],
)
def test_bad_input_is_refused_before_training(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    from nearcast.errors import InputError

    bad = tmp_path / "bad.csv"
    bad.write_text("trace_id,t_s,throughput_kbps\na,0\n")
    good = trace_file(tmp_path / "good.csv")
    short = tmp_path / "short.csv"
    short.write_text("trace_id,t_s,throughput_kbps\na,0,500\na,30,0\n")
    given = [each.format(bad=bad, good=good, short=short) for each in arguments]
    result = CliRunner().invoke(train_app, ["bandwidth", *given, "--out", str(tmp_path / "m")])
    assert isinstance(result.exception, InputError)
    assert result.exception.exit_code == 2
    assert message in str(result.exception)
    assert not (tmp_path / "m" / file.FILE_NAME).exists()
