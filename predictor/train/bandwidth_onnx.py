"""Writes the bandwidth model as an ONNX graph, float or with int8 weights.

The int8 graph holds the weights of the numpy file and turns them into numbers as numpy does, so
both compute the same. It casts and multiplies: a runtime takes DequantizeLinear as leave to
quantise the activations too, which was measured to move answers by 0.013 and gains nothing in a
graph this small. Softplus and the sum of steps are part of the graph: features in, log2 ratios to
the reference out.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from predictor.bandwidth.features import FEATURE_COUNT
from predictor.bandwidth.file import ModelFile
from predictor.bandwidth.model import STANDARDISED_MAX, steps_matrix
from predictor.export import INPUT, IR_VERSION, OPSET
from predictor.train.bandwidth_fit import Dense

OUTPUT = "ratios"
_FLOAT = 1  # TensorProto.FLOAT; onnx is imported only where a graph is made
FLOAT_FILE = "bandwidth_float.onnx"
INT8_FILE = "bandwidth.onnx"


def float_graph(dense: Dense, found: ModelFile) -> bytes:
    """The network before quantising."""
    graph = _Graph()
    graph.constant("mean", dense.mean)
    graph.constant("inverse_sd", dense.inverse_sd)
    for at, (weight, bias) in enumerate(zip(dense.weights, dense.biases, strict=True)):
        graph.constant(f"weight{at}", weight)
        graph.constant(f"bias{at}", bias)
    return graph.bytes_of(len(dense.weights), found)


def int8_graph(found: ModelFile) -> bytes:
    """The network of the numpy file."""
    graph = _Graph()
    graph.constant("mean", np.array(found.mean, dtype=np.float32))
    graph.constant("inverse_sd", np.array(found.inverse_sd, dtype=np.float32))
    for at, layer in enumerate(found.layers):
        whole = np.frombuffer(base64.b64decode(layer.weights), dtype=np.int8)
        graph.constant(f"whole{at}", whole.reshape(layer.inputs, layer.outputs))
        graph.constant(f"scale{at}", np.array(layer.scale, dtype=np.float32))
        graph.constant(f"bias{at}", np.array(layer.bias, dtype=np.float32))
        graph.node("Cast", [f"whole{at}"], f"number{at}", to=_FLOAT)
        graph.node("Mul", [f"number{at}", f"scale{at}"], f"weight{at}")
    return graph.bytes_of(len(found.layers), found)


class _Graph:
    """Collects constants and nodes."""

    def __init__(self) -> None:
        self._tensors: list[Any] = []
        self._nodes: list[Any] = []

    def constant(self, name: str, values: Any) -> None:
        from onnx import numpy_helper

        self._tensors.append(numpy_helper.from_array(np.array(values, order="C"), name))

    def node(self, kind: str, inputs: list[str], output: str, **attributes: int) -> None:
        from onnx import helper

        self._nodes.append(
            helper.make_node(kind, inputs, [output], name=f"to_{output}", **attributes)
        )

    def bytes_of(self, layers: int, found: ModelFile) -> bytes:
        from onnx import TensorProto, helper

        windows, levels = len(found.windows_s), len(found.levels)
        self.constant("low", np.float32(-STANDARDISED_MAX))
        self.constant("high", np.float32(STANDARDISED_MAX))
        self.constant("ladder", steps_matrix(windows, levels))
        self.constant("split", np.array([windows, windows * (levels - 1)], dtype=np.int64))
        self.node("Sub", [INPUT, "mean"], "centred")
        self.node("Mul", ["centred", "inverse_sd"], "scaled")
        self.node("Clip", ["scaled", "low", "high"], "layer0")
        last = f"layer{layers - 1}"
        for at in range(layers):
            if at == layers - 1:
                self.node("Concat", [last, "layer0"], "both", axis=1)
            self.node(
                "MatMul",
                ["both" if at == layers - 1 else f"layer{at}", f"weight{at}"],
                f"product{at}",
            )
            self.node("Add", [f"product{at}", f"bias{at}"], f"linear{at}")
            if at < layers - 1:
                self.node("Relu", [f"linear{at}"], f"layer{at + 1}")
        self._nodes.append(
            helper.make_node(
                "Split", [f"linear{layers - 1}", "split"], ["middle", "raw"], name="split", axis=1
            )
        )
        self.node("Softplus", ["raw"], "steps")
        self.node("Concat", ["middle", "steps"], "parts", axis=1)
        self.node("MatMul", ["parts", "ladder"], OUTPUT)
        graph = helper.make_graph(
            self._nodes,
            "bandwidth",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", FEATURE_COUNT])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", windows * levels])],
            initializer=self._tensors,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="nearcast",
            ir_version=IR_VERSION,
        )
        return bytes(model.SerializeToString(deterministic=True))
