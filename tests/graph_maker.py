"""Small ONNX graphs for tests, whole or spoilt. Needs the package onnx, of the extra train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

WIDTH = 4
Spoil = Callable[[ModelProto], None]


def value(name: str, width: Any = WIDTH, element_type: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, element_type, ["batch", width])


def graph_of(
    nodes: Sequence[Any],
    *,
    tensors: Sequence[Any] = (),
    inputs: Sequence[Any] | None = None,
    outputs: Sequence[Any] | None = None,
    opsets: Sequence[tuple[str, int]] = (("", 17), ("ai.onnx.ml", 3)),
    ir_version: int = 9,
) -> ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "graph",
        list(inputs) if inputs is not None else [value("x")],
        list(outputs) if outputs is not None else [value("y", 2)],
        initializer=list(tensors),
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)


def linear() -> ModelProto:
    """y = sigmoid(x @ w)"""
    weights = np.linspace(-1.0, 1.0, WIDTH * 2, dtype=np.float32).reshape(WIDTH, 2)
    return graph_of(
        [
            helper.make_node("MatMul", ["x", "w"], ["z"]),
            helper.make_node("Sigmoid", ["z"], ["y"]),
        ],
        tensors=[numpy_helper.from_array(weights, "w")],
    )


def one_node(name: str, *, domain: str = "", **attributes: Any) -> ModelProto:
    return graph_of([helper.make_node(name, ["x"], ["y"], domain=domain, **attributes)])


def trees(**changes: Any) -> ModelProto:
    """One tree of two leaves, asked for the first feature; `changes` are attributes."""
    attributes: dict[str, Any] = {
        "n_targets": 2,
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_values": [0.5, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "target_treeids": [0, 0],
        "target_nodeids": [1, 2],
        "target_ids": [0, 1],
        "target_weights": [0.25, 0.75],
    }
    return one_node("TreeEnsembleRegressor", domain="ai.onnx.ml", **(attributes | changes))


def chain(depth: int) -> ModelProto:
    """A tree that is a path: its even nodes branch to the next leaf and to the next branch."""
    count = 2 * depth + 1
    branches = [at % 2 == 0 and at < count - 1 for at in range(count)]
    return trees(
        n_targets=1,
        nodes_treeids=[0] * count,
        nodes_nodeids=list(range(count)),
        nodes_featureids=[0] * count,
        nodes_modes=["BRANCH_LEQ" if is_branch else "LEAF" for is_branch in branches],
        nodes_values=[0.0] * count,
        nodes_truenodeids=[at + 1 if branches[at] else 0 for at in range(count)],
        nodes_falsenodeids=[at + 2 if branches[at] else 0 for at in range(count)],
        target_treeids=[0],
        target_nodeids=[1],
        target_ids=[0],
        target_weights=[1.0],
    )
