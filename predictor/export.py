"""Writes networks as an ONNX graph: ramps, dense layers, mean of the members, calibrate, sigmoid.

Ramps and calibration are part of the graph, so a node gives raw features and gets probabilities.
Opset and IR are fixed and names are written by us, so the same weights give the same bytes. Members
share their ramps, and therefore the first product, which is most of the work; the last layers are
one product too, whose weights are divided by the number of members: the mean of their log-odds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from predictor.features import FEATURE_COUNT

if TYPE_CHECKING:
    from predictor.train.network import Network

OPSET = 17
IR_VERSION = 9
INPUT = "features"
OUTPUT = "probabilities"


def to_onnx(
    members: Sequence[Network], *, platt: Sequence[tuple[float, float]] | None = None
) -> bytes:
    """The graph's bytes; `platt` is scale and shift of the log-odds per output."""
    from onnx import TensorProto, helper

    ramps = members[0].ramps
    outputs = members[0].biases[-1].shape[0]
    graph = _Parts()
    graph.tensor("feature", ramps.feature, integer=True)
    graph.tensor("low", ramps.low)
    graph.tensor("slope", ramps.slope)
    graph.tensor("zero", np.float32(0.0))
    graph.tensor("one", np.float32(1.0))
    graph.node("Gather", [INPUT, "feature"], "gathered", axis=1)
    graph.node("Sub", ["gathered", "low"], "raised")
    graph.node("Mul", ["raised", "slope"], "sloped")
    graph.node("Clip", ["sloped", "zero", "one"], "ramps")
    _layers(graph, members)
    pairs = np.array(platt if platt is not None else [(1.0, 0.0)] * outputs, dtype=np.float32)
    graph.tensor("platt_scale", pairs[:, 0])
    graph.tensor("platt_shift", pairs[:, 1])
    graph.node("Mul", ["log_odds", "platt_scale"], "stretched")
    graph.node("Add", ["stretched", "platt_shift"], "calibrated")
    graph.node("Sigmoid", ["calibrated"], OUTPUT)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "next_episode",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", FEATURE_COUNT])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", outputs])],
            initializer=graph.tensors,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="nearcast",
        ir_version=IR_VERSION,
    )
    return bytes(model.SerializeToString(deterministic=True))


def _layers(graph: _Parts, members: Sequence[Network]) -> None:
    """From "ramps" to "log_odds"."""
    depth = len(members[0].weights)
    firsts = np.concatenate([member.weights[0] for member in members], axis=1)
    first_biases = np.concatenate([member.biases[0] for member in members])
    if depth == 1:
        count = np.float32(len(members))
        stacked = firsts.reshape(len(firsts), len(members), -1).sum(axis=1) / count
        graph.dense(
            "ramps", stacked, first_biases.reshape(len(members), -1).mean(axis=0), "log_odds"
        )
        return
    graph.dense("ramps", firsts, first_biases, "hidden0", relu=True)
    names = [f"hidden0_{at}" for at in range(len(members))]
    if len(members) == 1:
        names = ["hidden0"]
    else:
        widths = np.array([member.weights[0].shape[1] for member in members])
        graph.tensor("widths", widths, integer=True)
        graph.node("Split", ["hidden0", "widths"], *names, axis=1)
    for layer in range(1, depth - 1):
        for at, member in enumerate(members):
            name = f"hidden{layer}_{at}"
            graph.dense(names[at], member.weights[layer], member.biases[layer], name, relu=True)
            names[at] = name
    joined = names[0]
    if len(members) > 1:
        joined = "hidden"
        graph.node("Concat", names, joined, axis=1)
    lasts = np.concatenate([member.weights[-1] for member in members]) / np.float32(len(members))
    graph.dense(
        joined, lasts, np.mean([member.biases[-1] for member in members], axis=0), "log_odds"
    )


class _Parts:
    """Nodes and tensors of a graph, named after what they give."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []

    def tensor(self, name: str, values: Any, *, integer: bool = False) -> None:
        self.tensors.append(_tensor(name, values, np.int64 if integer else np.float32))

    def node(self, kind: str, inputs: Sequence[str], *outputs: str, **attributes: int) -> None:
        from onnx import helper

        self.nodes.append(
            helper.make_node(kind, list(inputs), list(outputs), name=outputs[0], **attributes)
        )

    def dense(self, given: str, weight: Any, bias: Any, name: str, *, relu: bool = False) -> None:
        linear = f"{name}_linear" if relu else name
        self.tensor(f"{name}_weight", weight)
        self.tensor(f"{name}_bias", bias)
        self.node("MatMul", [given, f"{name}_weight"], f"{name}_product")
        self.node("Add", [f"{name}_product", f"{name}_bias"], linear)
        if relu:
            self.node("Relu", [linear], name)


def with_platt(model: bytes, platt: Sequence[tuple[float, float]]) -> bytes:
    """The same graph with another calibration; used after quantising moved the log-odds."""
    import onnx

    graph = onnx.load_model_from_string(model)
    pairs = np.array(platt, dtype=np.float32)
    for tensor in graph.graph.initializer:
        if tensor.name in ("platt_scale", "platt_shift"):
            column = pairs[:, 0 if tensor.name == "platt_scale" else 1]
            tensor.CopyFrom(_tensor(tensor.name, column, np.float32))
    return bytes(graph.SerializeToString(deterministic=True))


def _tensor(name: str, values: Any, kind: Any) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(
        np.ascontiguousarray(values, dtype=kind).reshape(np.shape(values)), name
    )
