"""Writes a network as an ONNX graph: standardise, dense layers, calibrate, sigmoid.

Standardising and calibrating are part of the graph, so a node gives raw features and gets
probabilities. Opset and IR are fixed and names are written by us, so the same weights give the
same bytes. Inputs are clipped after standardising: a dynamic int8 graph takes its scale from the
largest value of a batch, and one strange row must not coarsen the others'.
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
STANDARDISED_MAX = 5.0  # standard deviations


def to_onnx(network: Network, *, platt: Sequence[tuple[float, float]] | None = None) -> bytes:
    """The graph's bytes; `platt` is scale and shift of the log-odds per output."""
    from onnx import TensorProto, helper

    outputs = network.biases[-1].shape[0]
    tensors = [
        _tensor("mean", network.mean),
        _tensor("inverse_sd", network.inverse_sd),
        _tensor("low", np.float32(-STANDARDISED_MAX)),
        _tensor("high", np.float32(STANDARDISED_MAX)),
    ]
    nodes = [
        helper.make_node("Sub", [INPUT, "mean"], ["centred"], name="centre"),
        helper.make_node("Mul", ["centred", "inverse_sd"], ["scaled"], name="scale"),
        helper.make_node("Clip", ["scaled", "low", "high"], ["layer0"], name="clip"),
    ]
    last = len(network.weights) - 1
    for at, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        tensors += [_tensor(f"weight{at}", weight), _tensor(f"bias{at}", bias)]
        linear = "log_odds" if at == last else f"linear{at}"
        nodes += [
            helper.make_node(
                "MatMul", [f"layer{at}", f"weight{at}"], [f"product{at}"], name=f"matmul{at}"
            ),
            helper.make_node("Add", [f"product{at}", f"bias{at}"], [linear], name=f"add{at}"),
        ]
        if at != last:
            nodes.append(helper.make_node("Relu", [linear], [f"layer{at + 1}"], name=f"relu{at}"))
    pairs = np.array(platt if platt is not None else [(1.0, 0.0)] * outputs, dtype=np.float32)
    tensors += [_tensor("platt_scale", pairs[:, 0]), _tensor("platt_shift", pairs[:, 1])]
    nodes += [
        helper.make_node("Mul", ["log_odds", "platt_scale"], ["stretched"], name="stretch"),
        helper.make_node("Add", ["stretched", "platt_shift"], ["calibrated"], name="shift"),
        helper.make_node("Sigmoid", ["calibrated"], [OUTPUT], name="sigmoid"),
    ]
    graph = helper.make_graph(
        nodes,
        "next_episode",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", FEATURE_COUNT])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", outputs])],
        initializer=tensors,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="nearcast",
        ir_version=IR_VERSION,
    )
    return bytes(model.SerializeToString(deterministic=True))


def with_platt(model: bytes, platt: Sequence[tuple[float, float]]) -> bytes:
    """The same graph with another calibration; used after quantising moved the log-odds."""
    import onnx

    graph = onnx.load_model_from_string(model)
    pairs = np.array(platt, dtype=np.float32)
    for tensor in graph.graph.initializer:
        if tensor.name in ("platt_scale", "platt_shift"):
            column = pairs[:, 0 if tensor.name == "platt_scale" else 1]
            tensor.CopyFrom(_tensor(tensor.name, column))
    return bytes(graph.SerializeToString(deterministic=True))


def _tensor(name: str, values: Any) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(
        np.ascontiguousarray(values, dtype=np.float32).reshape(np.shape(values)), name
    )
