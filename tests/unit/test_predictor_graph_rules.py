"""Which graphs are refused before a runtime reads them, and that honest ones are not."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearcast.errors import ModelError
from predictor.graph_rules import check
from predictor.kinds import DEMAND, KINDS, NEXT_EPISODE, RECOMMEND
from predictor.protobuf import Wire, WireError
from predictor.runtime import default_model_folder

onnx = pytest.importorskip("onnx", reason="making graphs needs the extra train")
from onnx import AttributeProto, TensorProto, helper, numpy_helper  # noqa: E402

from tests.graph_maker import (  # noqa: E402
    chain,
    graph_of,
    linear,
    one_node,
    trees,
    value,
)

SHIPPED = default_model_folder()


def refusal(model: Any, *, kind: str | None = None) -> str:
    content = model if isinstance(model, bytes) else model.SerializeToString()
    with pytest.raises(ModelError) as caught:
        check(content, "here", kind=kind)
    assert caught.value.reason == "graph"
    return str(caught.value)


@pytest.mark.parametrize("name", ["model.onnx", "model_float.onnx"])
def test_what_we_ship_keeps_the_rules(name: str) -> None:
    facts = check((SHIPPED / name).read_bytes(), name, kind=NEXT_EPISODE)
    assert (facts.opset, facts.is_integer, facts.output_width) == (17, False, 3)


def test_the_facts_are_the_graphs() -> None:
    facts = check(linear().SerializeToString(), "here")
    assert facts.operators == {("", "MatMul"), ("", "Sigmoid")}
    assert (facts.input_width, facts.output_width) == (4, 2)
    sequences = graph_of(
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)],
        inputs=[value("x", "any", TensorProto.INT64)],
        outputs=[value("y", "any")],
    )
    facts = check(sequences.SerializeToString(), "here", kind=RECOMMEND)
    assert (facts.is_integer, facts.input_width) == (True, None)


def test_sound_trees_are_taken() -> None:
    assert check(trees().SerializeToString(), "here", kind=DEMAND).output_width == 2
    check(chain(200).SerializeToString(), "here")
    whole = trees(
        base_values=[0.0, 1.0],
        nodes_hitrates=[1.0] * 3,
        nodes_missing_value_tracks_true=[1, 0, 0],
    )
    check(whole.SerializeToString(), "here")


@pytest.mark.parametrize(
    "operator",
    ["Loop", "If", "Scan", "RandomNormal", "Resize", "Tile", "Pad", "StringNormalizer", "Add2", ""],
)
def test_other_operators_are_refused(operator: str) -> None:
    assert "operator" in refusal(one_node(operator))


@pytest.mark.parametrize("domain", ["com.microsoft", "ai.onnx.contrib", "ai.onnx", "x\xff"])
def test_operators_of_other_domains_are_refused(domain: str) -> None:
    assert "operator" in refusal(one_node("Relu", domain=domain))


@pytest.mark.parametrize("operator", ["GatherND", "OneHot"])
def test_operators_that_ended_the_runtime_are_refused(operator: str) -> None:
    assert operator in refusal(one_node(operator))


@pytest.mark.parametrize("operator", ["Max", "Mean", "Concat", "LayerNormalization"])
def test_an_input_that_is_left_out_is_refused_where_nobody_looks(operator: str) -> None:
    node = helper.make_node(operator, ["x", "x", ""], ["y"])
    assert "left out" in refusal(graph_of([node]))
    clip = helper.make_node("Clip", ["x", "", "x"], ["y"])
    check(graph_of([clip]).SerializeToString(), "here")


def test_a_split_into_other_than_its_outputs_is_refused() -> None:
    for said, names in ((2, ["y", "z"]), (1, ["y"])):
        node = helper.make_node("Split", ["x"], names, num_outputs=said)
        check(graph_of([node], opsets=[("", 18)]).SerializeToString(), "here")
        node.output.append("more")
        assert "other outputs" in refusal(graph_of([node], opsets=[("", 18)]))


def test_each_kind_has_its_own_operators() -> None:
    assert "TreeEnsembleRegressor" in refusal(trees(), kind=RECOMMEND)
    expand = one_node("Expand")
    check(expand.SerializeToString(), "here", kind=RECOMMEND)
    for kind in (NEXT_EPISODE, DEMAND):
        assert "Expand" in refusal(expand, kind=kind)
    assert {NEXT_EPISODE, DEMAND, RECOMMEND} == set(KINDS)


def test_data_in_other_files_are_refused() -> None:
    from onnx.external_data_helper import set_external_data

    model = linear()
    weights = model.graph.initializer[0]
    set_external_data(weights, location="../../etc/passwd")
    assert "other files" in refusal(model)
    weights.ClearField("external_data")
    weights.data_location = TensorProto.EXTERNAL
    assert "other files" in refusal(model)


def test_a_data_location_hidden_in_a_large_number_is_refused() -> None:
    """2^32 + 1 is EXTERNAL to a reader that keeps 32 bits, and none to one that compares."""
    model = linear()
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    content = model.SerializeToString()
    external, hidden = b"\x70\x01", b"\x70\x81\x80\x80\x80\x10"
    assert content.count(external) == 1
    tensor = model.graph.initializer[0].SerializeToString()
    longer = tensor.replace(external, hidden)
    graph = model.graph.SerializeToString()
    new_graph = graph.replace(length(tensor), length(longer))
    assert "other files" in refusal(content.replace(length(graph), length(new_graph)))


def length(message: bytes) -> bytes:
    """A message behind its length, as it stands in another."""
    size, head = len(message), b""
    while size > 0x7F:
        head += bytes([size & 0x7F | 0x80])
        size >>= 7
    return head + bytes([size]) + message


def test_graphs_inside_graphs_and_functions_are_refused() -> None:
    model = linear()
    inner = model.graph.node[1].attribute.add(name="body", type=AttributeProto.GRAPH)
    inner.g.CopyFrom(linear().graph)
    assert "graphs inside" in refusal(model)
    inner.ClearField("g")
    assert "type" in refusal(model)  # the type alone
    model = linear()
    model.functions.add(name="f", domain="d")
    assert "functions" in refusal(model)
    model = linear()
    model.training_info.add()
    assert "training" in refusal(model)


@pytest.mark.parametrize("shape", [[4, 3], [8, 2], [-4, -2], [2**40, 2**40], [], [0], [1] * 9])
def test_a_tensor_unlike_its_shape_is_refused(shape: list[int]) -> None:
    model = linear()
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(shape)
    assert "tensor" in refusal(model)


@pytest.mark.parametrize("kind", ["float_data", "raw", "int64_data", "int8", "double_data"])
def test_data_count_the_same_however_they_are_written(kind: str) -> None:
    model = linear()
    tensor = model.graph.initializer[0]
    wide = {"int64_data": TensorProto.INT64, "int8": TensorProto.INT8}.get(kind, TensorProto.FLOAT)
    if kind == "double_data":
        wide = TensorProto.DOUBLE
    made = helper.make_tensor("w", wide, [4, 2], list(range(-4, 4)))
    tensor.CopyFrom(made)
    if kind == "raw":
        tensor.CopyFrom(numpy_helper.from_array(np.zeros((4, 2), np.float32), "w"))
    check(model.SerializeToString(), "here")
    tensor.dims[0] = 3
    assert "as many" in refusal(model)
    tensor.dims[0] = 4
    tensor.int32_data.append(1)
    assert "tensor" in refusal(model)


def test_text_is_refused() -> None:
    model = linear()
    model.graph.initializer[0].CopyFrom(helper.make_tensor("w", TensorProto.STRING, [1], [b"a"]))
    assert "text" in refusal(model)
    assert "text" in refusal(one_node("Constant", value_string="a"))
    assert "casts" in refusal(one_node("Cast", to=TensorProto.STRING))
    strings = graph_of([], inputs=[value("x", 4, TensorProto.STRING)])
    assert "no tensor of numbers" in refusal(strings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": []}, "0 inputs"),
        ({"inputs": [value("x"), value("z")]}, "2 inputs"),
        ({"outputs": []}, "0 outputs"),
        ({"outputs": [value("y", 2), value("z", 2)]}, "2 outputs"),
        ({"inputs": [value("x", 4, TensorProto.DOUBLE)]}, "no matrix"),
        ({"outputs": [value("y", 2, TensorProto.INT64)]}, "no matrix"),
        ({"inputs": [value("x", 2**31)]}, "size beyond"),
        ({"outputs": [value("y", 0)]}, "size beyond"),
        ({"opsets": [("", 9)]}, "operator set 9"),
        ({"opsets": [("", 99)]}, "operator set 99"),
        ({"opsets": [("ai.onnx.ml", 3)]}, "operator set 0"),
        ({"opsets": [("", 17), ("", 18)]}, "twice"),
        ({"opsets": [("", 17), ("ai.onnx", 18)]}, "twice"),
        ({"ir_version": 2}, "IR version"),
        ({"ir_version": 2**31 - 1}, "IR version"),
    ],
)
def test_other_forms_are_refused(changes: dict[str, Any], message: str) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    assert message in refusal(graph_of(nodes, **changes))


def test_trees_need_their_operator_set() -> None:
    model = trees()
    del model.opset_import[1]
    assert "which version" in refusal(model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nodes_truenodeids": [0, 0, 0]}, "lead down"),  # itself
        ({"nodes_falsenodeids": [1, 0, 0]}, "lead down"),  # both branches to one node
        ({"nodes_falsenodeids": [7, 0, 0]}, "lead down"),
        ({"nodes_nodeids": [2, 1, 0], "nodes_truenodeids": [1, 0, 0]}, "lead down"),
        ({"nodes_featureids": [4, 0, 0]}, "feature 4 of 4"),
        ({"nodes_featureids": [-1, 0, 0]}, "feature -1"),
        ({"nodes_featureids": [2**40, 0, 0]}, "feature"),
        ({"nodes_nodeids": [0, 1, 1]}, "twice"),
        ({"nodes_modes": ["BRANCH_LEQ", "LEAF"]}, "differ in length"),
        ({"nodes_modes": ["BRANCH_MEMBER", "LEAF", "LEAF"]}, "comparison"),
        ({"nodes_values": [0.5, 0.0]}, "differ in length"),
        ({"nodes_hitrates": [1.0] * 4}, "differ in length"),
        ({"nodes_missing_value_tracks_true": [1]}, "differ in length"),
        ({"base_values": [0.0] * 3}, "begin with"),
        ({"target_weights": [1.0]}, "leaves differ"),
        ({"target_nodeids": [0, 2]}, "in no leaf"),
        ({"target_nodeids": [1, 9]}, "in no leaf"),
        ({"target_ids": [0, 2]}, "in no leaf"),
        # These two took onnxruntime 1.31 more than 20 s, and down, with a segmentation fault.
        ({"n_targets": 2_000_000_000}, "2000000000 numbers"),
    ],
)
def test_trees_that_cannot_be_walked_are_refused(changes: dict[str, Any], message: str) -> None:
    assert message in refusal(trees(**changes))


def test_trees_that_are_too_deep_are_refused() -> None:
    assert "deeper" in refusal(chain(300))


def test_trees_are_asked_with_the_input_itself() -> None:
    """Behind another node nobody knows here how many features there are."""
    model = trees()
    model.graph.node[0].input[0] = "z"
    model.graph.node.insert(0, helper.make_node("Slice", ["x", "a", "b"], ["z"]))
    assert "input itself" in refusal(model)
    model = trees()
    model.graph.input[0].CopyFrom(value("x", "any"))
    assert "input itself" in refusal(model)


def test_a_field_given_twice_is_refused() -> None:
    """Protobuf would merge the two graphs into one that nobody has seen."""
    content = linear().SerializeToString()
    hidden = onnx.ModelProto(graph=one_node("Loop").graph).SerializeToString()
    assert "twice" in refusal(content + hidden)


def test_unknown_fields_and_groups_are_refused() -> None:
    content = linear().SerializeToString()
    assert "field 99" in refusal(content + b"\x98\x06\x01")
    assert "wire type 3" in refusal(content + b"\x0b\x0c")
    assert "number 0" in refusal(content + b"\x00\x01")


def test_too_much_of_anything_is_refused_in_little_time() -> None:
    begun_s = time.process_time()
    node = helper.make_node("Relu", ["x"], ["y"])
    assert "nodes" in refusal(graph_of([node] * 4_097))
    assert "inputs and outputs" in refusal(graph_of([helper.make_node("Sum", ["x"] * 300, ["y"])]))
    model = linear()
    model.doc_string = "a" * 300_000
    assert "notes" in refusal(model)
    model = linear()
    model.graph.node[0].input[0] = "a" * 600
    assert "name" in refusal(model)
    model = linear()
    model.graph.initializer.extend([copy.copy(model.graph.initializer[0])] * 4_096)
    assert "tensors" in refusal(model)
    with pytest.raises(WireError, match="too many fields"):
        list(Wire(b"\x08\x01" * 11, fields_max=10).fields(0, 22))
    assert time.process_time() - begun_s < 10.0


def test_an_artifact_with_such_a_graph_is_refused(tmp_path: Path) -> None:
    import msgspec

    from predictor import artifact

    loaded = artifact.load(SHIPPED)
    model = one_node("Loop").SerializeToString()
    manifest = msgspec.structs.replace(
        loaded.manifest, sha256=artifact.digest(model), size_bytes=len(model)
    )
    artifact.write(tmp_path, model, manifest)
    with pytest.raises(ModelError, match="Loop") as caught:
        artifact.load(tmp_path)
    assert caught.value.reason == "graph"
