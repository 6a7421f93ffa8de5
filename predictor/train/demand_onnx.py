"""Writes boosted trees as an ONNX TreeEnsembleRegressor, one output per quantile.

By hand, attribute by attribute: converters of other libraries' trees were found to fail on current
versions of onnx, and these trees need none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from predictor.export import INPUT, IR_VERSION, OPSET
from predictor.train.demand_boosting import Boosted

OUTPUT = "corrections"
_ML_OPSET = 3


def trees_graph(models: Sequence[Boosted], feature_count: int) -> bytes:
    """The graph's bytes: features (batch, feature_count) -> corrections (batch, models)."""
    from onnx import TensorProto, helper

    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        [OUTPUT],
        name="trees",
        domain="ai.onnx.ml",
        **_attributes(models),
    )
    graph = helper.make_graph(
        [ensemble],
        "demand",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", feature_count])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", len(models)])],
    )
    model = helper.make_model(
        graph,
        opset_imports=[
            helper.make_opsetid("", OPSET),
            helper.make_opsetid("ai.onnx.ml", _ML_OPSET),
        ],
        ir_version=IR_VERSION,
        producer_name="nearcast",
    )
    return bytes(model.SerializeToString())


def _attributes(models: Sequence[Boosted]) -> dict[str, Any]:
    nodes: dict[str, list[Any]] = {
        name: []
        for name in ("treeids", "nodeids", "featureids", "values", "truenodeids", "falsenodeids")
    }
    modes: list[str] = []
    targets: dict[str, list[Any]] = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    tree_id = 0
    for target, model in enumerate(models):
        for tree in model.trees:
            is_leaf = tree.feature < 0
            count = len(tree.feature)
            nodes["treeids"] += [tree_id] * count
            nodes["nodeids"] += range(count)
            nodes["featureids"] += np.maximum(tree.feature, 0).tolist()
            nodes["values"] += tree.threshold.tolist()
            nodes["truenodeids"] += np.where(is_leaf, 0, tree.left).tolist()
            nodes["falsenodeids"] += np.where(is_leaf, 0, tree.right).tolist()
            modes += ["LEAF" if each else "BRANCH_LEQ" for each in is_leaf]
            leaves = np.flatnonzero(is_leaf)
            targets["treeids"] += [tree_id] * len(leaves)
            targets["nodeids"] += leaves.tolist()
            targets["ids"] += [target] * len(leaves)
            targets["weights"] += tree.value[leaves].tolist()
            tree_id += 1
    return {
        **{f"nodes_{name}": values for name, values in nodes.items()},
        "nodes_modes": modes,
        **{f"target_{name}": values for name, values in targets.items()},
        "base_values": [model.start for model in models],
        "n_targets": len(models),
        "aggregate_function": "SUM",
    }
