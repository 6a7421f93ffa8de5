"""Writes a blend as an ONNX graph: numbers of titles in, a probability for every title out.

Float and int8 graphs have the same nodes but for the casts. The title vectors stand in the file
once, for both the history's side and the answer's. Nothing is quantised while it runs: a title's
score is a sum of a few hundred small numbers, and what an int8 graph is for here is its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from predictor.recommend.blend import HISTORY_PLAYS, SCORE_MIN, Blend
from predictor.recommend.packing import (
    SCALE_UNIT,
    Line,
    Tier,
    float_tiers,
    packed_tiers,
    packed_vectors,
)

OPSET: Final = 17
IR_VERSION: Final = 9
INPUT: Final = "history"
OUTPUT: Final = "probabilities"


def to_onnx(blend: Blend, tiers: Sequence[tuple[int, int]], *, is_packed: bool) -> bytes:
    """The graph's bytes: (batch, HISTORY_PLAYS) numbers from 1, 0 before the first play, the last
    play last -> (batch, titles), column i for title i + 1."""
    return _Writer(blend, is_packed).write(
        (packed_tiers if is_packed else float_tiers)(blend, tiers)
    )


class _Writer:
    """Collects nodes and tensors."""

    def __init__(self, blend: Blend, is_packed: bool) -> None:
        self._blend = blend
        self._is_packed = is_packed
        self._nodes: list[Any] = []
        self._tensors: list[Any] = []

    def write(self, tiers: Sequence[Tier]) -> bytes:
        from onnx import TensorProto, helper

        settings = self._blend.settings
        titles = self._blend.title_count
        self._tensor("zero", np.int64(0))
        self._tensor("row_first", np.array([1], dtype=np.int64))
        self._tensor("tiny", np.float32(1e-12))
        self._tensor("unit", np.float32(1.0 / SCALE_UNIT))
        self._node("Greater", [INPUT, "zero"], "is_play")
        self._node("Cast", ["is_play"], "mask", to=TensorProto.FLOAT)
        numbers, weights = self._transitions(tiers)
        self._popularity()
        self._node("ScatterElements", ["start", numbers, weights], "near", axis=1, reduction="add")
        score = self._taste("near") if self._blend.taste is not None else "near"
        self._tensor("columns_end", np.array([titles + 1], dtype=np.int64))
        self._node("Slice", [score, "row_first", "columns_end", "row_first"], "scored")
        self._tensor("score_min", np.float32(SCORE_MIN))
        self._tensor("sharpness", np.float32(settings.sharpness))
        self._tensor("known_share", np.float32(settings.known_share))
        self._node("Max", ["scored", "score_min"], "positive")
        self._node("Log", ["positive"], "logged")
        self._node("Mul", ["logged", "sharpness"], "sharpened")
        self._node("Softmax", ["sharpened"], "shared", axis=1)
        self._node("Mul", ["shared", "known_share"], OUTPUT)
        graph = helper.make_graph(
            self._nodes,
            "recommend",
            [helper.make_tensor_value_info(INPUT, TensorProto.INT64, ["batch", HISTORY_PLAYS])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", titles])],
            initializer=self._tensors,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="nearcast",
            ir_version=IR_VERSION,
        )
        return bytes(model.SerializeToString(deterministic=True))

    def _transitions(self, tiers: Sequence[Tier]) -> tuple[str, str]:
        """Names of (batch, places) numbers of titles and what to add to their scores."""
        settings = self._blend.settings
        ages = np.arange(settings.recent_plays, 0, -1, dtype=np.float32)
        self._tensor("recent_start", np.array([-settings.recent_plays], dtype=np.int64))
        self._tensor("recent_end", np.array([HISTORY_PLAYS], dtype=np.int64))
        for source, name in ((INPUT, "recent"), ("mask", "recent_mask")):
            self._node("Slice", [source, "recent_start", "recent_end", "row_first"], name)
        self._weights("recent", "recent_mask", ages**-settings.recent_power)
        self._tensor("last_axis", np.array([2], dtype=np.int64))
        self._tensor("flat", np.array([0, -1], dtype=np.int64))
        numbers, weights = [], []
        for at, tier in enumerate(tiers):
            number, weight = self._tier(f"tier{at}", tier)
            numbers.append(number)
            weights.append(weight)
        self._node("Concat", numbers, "numbers", axis=1)
        self._node("Concat", weights, "weights", axis=1)
        return "numbers", "weights"

    def _tier(self, name: str, tier: Tier) -> tuple[str, str]:
        rows = "recent"
        if tier.title_count < self._blend.title_count:
            self._tensor(f"{name}_titles", np.int64(tier.title_count))
            self._node("LessOrEqual", ["recent", f"{name}_titles"], f"{name}_has")
            rows = self._node("Where", [f"{name}_has", "recent", "zero"], f"{name}_rows")
        to = self._gather(f"{name}_to", tier.to, rows, is_number=True)
        weight = self._gather(f"{name}_weight", tier.weight, rows)
        factor = "recent_weights"
        if tier.line is not None:
            weight = self._on_line(name, weight, tier.line)
        if tier.scale is not None:
            weight = self._node("Mul", [weight, weight], f"{name}_squared")
            scale = self._gather(f"{name}_scale", tier.scale, rows)
            self._node("Mul", [factor, scale], f"{name}_large")
            factor = self._node("Mul", [f"{name}_large", "unit"], f"{name}_factor")
        self._node("Unsqueeze", [factor, "last_axis"], f"{name}_wide")
        part = self._node("Mul", [weight, f"{name}_wide"], f"{name}_part")
        return (
            self._node("Reshape", [to, "flat"], f"{name}_flat_to"),
            self._node("Reshape", [part, "flat"], f"{name}_flat"),
        )

    def _on_line(self, name: str, written: str, line: Line) -> str:
        """(batch, plays, kept) of the few that are written."""
        self._tensor(f"{name}_left", line.left)
        self._tensor(f"{name}_right", line.right)
        self._tensor(f"{name}_share", line.share)
        self._node("Gather", [written, f"{name}_left"], f"{name}_from", axis=2)
        self._node("Gather", [written, f"{name}_right"], f"{name}_towards", axis=2)
        self._node("Sub", [f"{name}_towards", f"{name}_from"], f"{name}_rise")
        self._node("Mul", [f"{name}_rise", f"{name}_share"], f"{name}_risen")
        return self._node("Add", [f"{name}_from", f"{name}_risen"], f"{name}_each")

    def _popularity(self) -> None:
        """`start`: (batch, titles + 1) scores before anything is added."""
        shares = self._blend.settings.popularity_share * self._blend.popularity
        table = np.concatenate([[0.0], shares]).astype(np.float32)
        if self._is_packed:
            self._tensor("popularity_packed", (table * SCALE_UNIT).astype(np.float16))
            large = self._cast("popularity_packed", "popularity_large")
            self._node("Mul", [large, "unit"], "popularity")
        else:
            self._tensor("popularity", table)
        self._node("Shape", [INPUT], "batch", start=0, end=1)
        self._tensor("columns", np.array([len(table)], dtype=np.int64))
        self._node("Concat", ["batch", "columns"], "score_shape", axis=0)
        self._node("Expand", ["popularity", "score_shape"], "start")

    def _taste(self, near: str) -> str:
        taste, settings = self._blend.taste, self._blend.settings
        assert taste is not None
        vectors: NDArray[Any] = np.pad(taste.vectors, ((1, 0), (0, 0))).astype(np.float32)
        scale = np.pad(settings.taste_share * taste.scale, (1, 0)).astype(np.float32)
        ages = np.arange(HISTORY_PLAYS, 0, -1, dtype=np.float32)
        self._weights("taste", "mask", ages**-settings.taste_power)
        factor = "taste_weights"
        if self._is_packed:
            vectors, row_scale = packed_vectors(vectors)
            rows = self._gather("vectors", vectors, INPUT)
            scales = self._gather("vector_scale", row_scale, INPUT)
            self._node("Mul", [factor, scales], "taste_large")
            factor = self._node("Mul", ["taste_large", "unit"], "taste_factor")
            # What a title's score is multiplied by takes its vector's scale too.
            scale = (scale * row_scale.astype(np.float32)).astype(np.float16)
            self._tensor("title_scale_packed", scale)
            self._cast("vectors", "vectors_wide")
            large = self._cast("title_scale_packed", "title_scale_large")
            self._node("Mul", [large, "unit"], "title_scale")
        else:
            rows = self._gather("vectors_wide", vectors, INPUT)
            self._tensor("title_scale", scale)
        self._node("Unsqueeze", [factor, "last_axis"], "taste_wide")
        self._node("Mul", [rows, "taste_wide"], "taste_parts")
        self._node("ReduceSum", ["taste_parts", "row_first"], "viewer_unscaled", keepdims=0)
        self._node("ReduceSum", ["mask", "row_first"], "plays", keepdims=1)
        self._node("Sqrt", ["plays"], "plays_root")
        self._node("Mul", ["viewer_unscaled", "plays_root"], "viewer")
        self._node("Transpose", ["vectors_wide"], "vectors_turned", perm=[1, 0])
        self._node("MatMul", ["viewer", "vectors_turned"], "liking")
        self._node("Mul", ["liking", "title_scale"], "taste")
        return self._node("Add", [near, "taste"], "score")

    def _weights(self, name: str, mask: str, by_age: NDArray[Any]) -> None:
        """`name_weights`: (batch, plays), summing to 1 over the plays there are."""
        self._tensor(f"{name}_by_age", by_age.astype(np.float32))
        self._node("Mul", [mask, f"{name}_by_age"], f"{name}_aged")
        self._node("ReduceSum", [f"{name}_aged", "row_first"], f"{name}_sum", keepdims=1)
        self._node("Max", [f"{name}_sum", "tiny"], f"{name}_sum_safe")
        self._node("Div", [f"{name}_aged", f"{name}_sum_safe"], f"{name}_weights")

    def _gather(self, name: str, table: Any, rows: str, *, is_number: bool = False) -> str:
        from onnx import TensorProto

        self._tensor(name, table)
        found = self._node("Gather", [name, rows], f"{name}_found", axis=0)
        if table.dtype in (np.int32, np.float32):
            return found
        wanted = TensorProto.INT32 if is_number else TensorProto.FLOAT
        return self._node("Cast", [found], f"{name}_read", to=wanted)

    def _cast(self, source: str, name: str) -> str:
        from onnx import TensorProto

        return self._node("Cast", [source], name, to=TensorProto.FLOAT)

    def _node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self._nodes.append(
            helper.make_node(operator, list(inputs), [output], name=f"make_{output}", **attributes)
        )
        return output

    def _tensor(self, name: str, values: Any) -> None:
        from onnx import numpy_helper

        array = np.ascontiguousarray(values).reshape(np.shape(values))
        self._tensors.append(numpy_helper.from_array(array, name))
