import shutil
from pathlib import Path

import numpy as np
import pytest

from nearcast.errors import ModelError
from predictor import artifact
from predictor.bench import bench_folder
from predictor.runtime import default_model_folder, has_gpu
from simulation.bench.inference import run_bench, table

pytest.importorskip("onnxruntime", reason="running models needs the extra cpu")


def test_both_shipped_graphs_are_timed_at_every_batch() -> None:
    (found,) = bench_folder(calls=100, device="cpu")
    assert found.provider == "CPUExecutionProvider"
    assert set(found.latencies) == {"int8", "float"}
    for rows in found.latencies.values():
        assert [row.batch for row in rows] == [1, 32, 256]
        assert all(0 < row.p50 <= row.p99 < 0.1 for row in rows)
        assert rows[2].p50 < 256 * rows[0].p50


def test_a_model_of_sequences_without_a_float_graph_is_timed_too(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="making graphs needs the extra train")
    from onnx import TensorProto, helper

    from tests.graph_maker import graph_of, value

    nodes = [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)]
    inputs = [value("x", 5, TensorProto.INT64)]
    model = graph_of(nodes, inputs=inputs, outputs=[value("y", 5)]).SerializeToString()
    manifest = artifact.Manifest(
        format_version=artifact.FORMAT_VERSION,
        kind="recommend",
        model_id="recommend-test",
        feature_version=1,
        feature_names=("titles",),
        outputs=("scores",),
        opset=17,
        precision="int8",
        sha256=artifact.digest(model),
        size_bytes=len(model),
        golden=artifact.Golden(
            inputs=((1.0, 2.0, 3.0, 4.0, 5.0),),
            outputs=((5.0, 1.0),),
            tolerance=0.0,
            columns=(4, 0),
        ),
        metrics={},
        training_data_sha256="",
        seed=1,
        created_by="a test",
    )
    artifact.write(tmp_path, model, manifest)
    rows = run_bench(10, folders=(tmp_path,), device="cpu")
    assert [row.batch for row in rows] == [1, 32, 256]
    assert all(row.int8_p50_s is not None and row.float_p50_s is None for row in rows)
    assert "recommend-test on the cpu" in next(iter(table(rows)))


def test_a_gpu_is_asked_for_in_vain(tmp_path: Path) -> None:
    if has_gpu():
        pytest.skip("there is a GPU")
    with pytest.raises(ModelError, match="no GPU"):
        bench_folder(device="gpu", calls=10)


def test_a_model_that_may_not_serve_is_not_timed(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(default_model_folder(), tmp_path / "model"))
    (folder / artifact.MODEL_FILE).write_bytes(b"nonsense")
    with pytest.raises(ModelError):
        bench_folder(folder, calls=10)
    assert np.isfinite(bench_folder(calls=10, device="cpu")[0].latencies["int8"][0].p50)
