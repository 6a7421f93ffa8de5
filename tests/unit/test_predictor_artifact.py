import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from nearcast.errors import ModelError, SchemaMismatch, SignatureError
from predictor import artifact
from predictor.features import FEATURE_COUNT
from predictor.kinds import KINDS, NEXT_EPISODE
from predictor.runtime import NextEpisodeModel, default_model_folder

pytest.importorskip("onnxruntime", reason="running models needs the extra cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_model_folder(), tmp_path / "model"))


@pytest.fixture(scope="module")
def model() -> NextEpisodeModel:
    return NextEpisodeModel.load(default_model_folder())


def change_manifest(folder: Path, **changes: object) -> None:
    path = folder / artifact.MANIFEST_FILE
    content = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(content | changes))


def sign(folder: Path, content: bytes) -> None:
    (folder / artifact.MODEL_FILE).write_bytes(content)
    change_manifest(folder, sha256=artifact.digest(content), size_bytes=len(content))


def test_shipped_model_answers_its_golden_rows(model: NextEpisodeModel) -> None:
    golden = model.manifest.golden
    answers = model.probabilities(np.array(golden.inputs, dtype=np.float32))
    assert answers.shape == (len(golden.inputs), len(model.horizons))
    assert np.abs(answers - np.array(golden.outputs)).max() < golden.tolerance
    assert model.horizons == ("30min", "24h", "7d")


def test_batch_answers_as_single_rows_do(model: NextEpisodeModel) -> None:
    rows = np.array(model.manifest.golden.inputs, dtype=np.float32)
    alone = np.concatenate([model.probabilities(row[None, :]) for row in rows])
    # The int8 graph takes its scale from the batch, see docs/results/next-episode.md.
    assert np.abs(model.probabilities(rows) - alone).max() < 0.03


def test_longer_horizons_are_likelier(model: NextEpisodeModel) -> None:
    rows = np.array(model.manifest.golden.inputs, dtype=np.float32)
    assert (np.diff(model.probabilities(rows), axis=1) > -0.03).all()


def test_one_answer_repeats_exactly(model: NextEpisodeModel) -> None:
    row = np.array(model.manifest.golden.inputs[:1], dtype=np.float32)
    assert (model.probabilities(row) == model.probabilities(row)).all()


def test_no_rows_give_no_answers(model: NextEpisodeModel) -> None:
    empty = np.zeros((0, FEATURE_COUNT), dtype=np.float32)
    assert model.probabilities(empty).shape == (0, 3)


def test_rows_of_another_width_are_refused(model: NextEpisodeModel) -> None:
    with pytest.raises(SchemaMismatch, match="rows must be"):
        model.probabilities(np.zeros((1, FEATURE_COUNT + 1), dtype=np.float32))


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read .*nowhere"):
        NextEpisodeModel.load(tmp_path / "nowhere")


def test_truncated_model_is_refused(folder: Path) -> None:
    path = folder / artifact.MODEL_FILE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SignatureError, match="its manifest says"):
        NextEpisodeModel.load(folder)


def test_changed_byte_is_refused(folder: Path) -> None:
    path = folder / artifact.MODEL_FILE
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(SignatureError, match="SHA-256"):
        NextEpisodeModel.load(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"kind": 3}'])
def test_damaged_manifest_is_refused(folder: Path, content: bytes) -> None:
    (folder / artifact.MANIFEST_FILE).write_bytes(content)
    with pytest.raises(ModelError, match="no model manifest"):
        NextEpisodeModel.load(folder)


def test_oversized_model_is_refused_before_it_is_read_whole(folder: Path) -> None:
    with (folder / artifact.MODEL_FILE).open("wb") as file:
        file.truncate(KINDS[NEXT_EPISODE].model_bytes_max + 1)
    with pytest.raises(ModelError, match="larger than"):
        NextEpisodeModel.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "recommend"}, "kind"),
        ({"feature_version": 99}, "train the model again"),
        ({"feature_names": ["progress"]}, "train the model again"),
        ({"format_version": 1}, "format"),
        ({"outputs": ["24h", "30min", "7d"]}, "answers for 24h"),
    ],
)
def test_other_schema_is_refused(folder: Path, change: dict[str, object], message: str) -> None:
    change_manifest(folder, **change)
    with pytest.raises(SchemaMismatch, match=message):
        NextEpisodeModel.load(folder)


def test_a_graph_that_is_not_the_manifests_is_refused(folder: Path) -> None:
    golden = artifact.read_manifest(folder).golden
    change_manifest(folder, opset=18)
    with pytest.raises(SchemaMismatch, match="operator set 17"):
        NextEpisodeModel.load(folder)
    change_manifest(
        folder,
        opset=17,
        kind="demand",
        outputs=["30min", "24h"],
        golden={
            "inputs": golden.inputs,
            "outputs": [row[:2] for row in golden.outputs],
            "tolerance": golden.tolerance,
        },
    )
    with pytest.raises(SchemaMismatch, match="answers 3 columns"):
        artifact.load(folder, kind="demand")
    change_manifest(folder, outputs=[])
    with pytest.raises(SchemaMismatch, match="golden rows"):
        artifact.load(folder, kind="demand")


def test_a_model_of_another_kind_is_loaded_only_as_such(folder: Path) -> None:
    change_manifest(folder, kind="demand", feature_version=7)
    assert artifact.load(folder, kind="demand").manifest.feature_version == 7
    assert artifact.load(folder, kind=None).manifest.kind == "demand"
    with pytest.raises(SchemaMismatch, match="needed is 'next-episode'"):
        NextEpisodeModel.load(folder)
    change_manifest(folder, kind="recommend")
    with pytest.raises(SchemaMismatch, match="takes sequences"):
        artifact.load(folder, kind="recommend")
    change_manifest(folder, kind="weather")
    with pytest.raises(SchemaMismatch, match="known are"):
        artifact.load(folder, kind=None)


def test_a_pipe_in_the_place_of_a_file_is_not_waited_on(folder: Path) -> None:
    import os

    (folder / artifact.MODEL_FILE).unlink()
    os.mkfifo(folder / artifact.MODEL_FILE)
    with pytest.raises(ModelError, match="it is no file") as caught:
        artifact.load(folder)
    assert caught.value.reason == "unreadable"


@pytest.mark.parametrize("value", [1e39, 1e308])
def test_golden_rows_beyond_all_numbers_are_refused(folder: Path, value: float) -> None:
    golden = artifact.read_manifest(folder).golden
    outputs = [[value] * len(row) for row in golden.outputs]
    change_manifest(
        folder, golden={"inputs": golden.inputs, "outputs": outputs, "tolerance": 1e300}
    )
    with pytest.raises(ModelError, match="golden rows") as caught:
        NextEpisodeModel.load(folder)
    assert caught.value.reason == "golden"


def test_unknown_manifest_keys_are_ignored(folder: Path) -> None:
    change_manifest(folder, signed_by="somebody")
    assert NextEpisodeModel.load(folder).horizons


def test_garbage_under_a_good_hash_is_refused(folder: Path) -> None:
    sign(folder, b"no graph at all")
    with pytest.raises(ModelError, match="is refused"):
        NextEpisodeModel.load(folder)


def test_graph_that_answers_otherwise_is_refused(folder: Path) -> None:
    golden = artifact.read_manifest(folder).golden
    wrong = [[1.0 - value for value in row] for row in golden.outputs]
    change_manifest(
        folder, golden={"inputs": golden.inputs, "outputs": wrong, "tolerance": golden.tolerance}
    )
    with pytest.raises(ModelError, match="golden rows"):
        NextEpisodeModel.load(folder)


def test_weights_in_other_files_are_refused(folder: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="writing graphs needs the extra train")
    from onnx.external_data_helper import set_external_data

    graph = onnx.load(str(folder / artifact.MODEL_FILE))
    set_external_data(graph.graph.initializer[0], location="/etc/hostname")
    graph.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    sign(folder, graph.SerializeToString())
    with pytest.raises(ModelError, match="other files"):
        NextEpisodeModel.load(folder)


def test_missing_onnxruntime_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"pip install 'nearcast\[cpu\]'"):
        NextEpisodeModel.load(folder)


def test_unknown_device_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="cpu or gpu"):
        NextEpisodeModel.load(folder, device="tpu")
