"""Whether a tree ensemble can be walked: every step goes down, and reads a feature that is there.

A runtime follows the numbers it is given. A branch that leads back to itself would never end, and a
feature that does not exist is a read behind the row, so both are looked for here. Children have
higher numbers than their parent, as all trainers write them: then there is no way back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

OUTPUTS_MAX: Final = 1_000
DEPTH_MAX: Final = 256  # a runtime builds them by recursion
_LEAF: Final = b"LEAF"
_MODES: Final = frozenset(
    (b"BRANCH_LEQ", b"BRANCH_LT", b"BRANCH_GTE", b"BRANCH_GT", b"BRANCH_EQ", b"BRANCH_NEQ", _LEAF)
)
_NODE_NUMBERS: Final = (
    "nodes_treeids",
    "nodes_nodeids",
    "nodes_featureids",
    "nodes_truenodeids",
    "nodes_falsenodeids",
)
_LEAF_NUMBERS: Final = ("treeids", "nodeids", "ids")


class TreeError(ValueError):
    """These are no trees."""


class TreeAttributes(msgspec.Struct, frozen=True, kw_only=True):
    """The attributes of a TreeEnsemble node, by name; of floats only how many there are."""

    integers: Mapping[str, Sequence[int]]
    texts: Mapping[str, Sequence[bytes]]
    float_counts: Mapping[str, int]


def check_trees(given: TreeAttributes, *, is_classifier: bool, width: int) -> None:
    """Raises TreeError unless all trees are sound for rows of `width` features."""
    numbers = [given.integers.get(name, ()) for name in _NODE_NUMBERS]
    modes = given.texts.get("nodes_modes", ())
    counts = {len(column) for column in (*numbers, modes)}
    counts.add(given.float_counts.get("nodes_values", 0))
    # These two may be missing.
    counts.add(given.float_counts.get("nodes_hitrates", 0) or len(modes))
    counts.add(len(given.integers.get("nodes_missing_value_tracks_true", ())) or len(modes))
    if len(counts) != 1 or counts == {0}:
        raise TreeError("the columns of its trees differ in length")
    trees, nodes, features, yes, no = numbers
    is_leaf: dict[tuple[int, int], bool] = {}
    for place in zip(trees, nodes, modes, strict=True):
        if place[2] not in _MODES:
            raise TreeError("its trees have a comparison that is not known")
        is_leaf[place[:2]] = place[2] == _LEAF
    if len(is_leaf) != len(trees):
        raise TreeError("a node of its trees is there twice")
    depths: dict[tuple[int, int], int] = {}
    for tree, node, mode, feature, left, right in sorted(
        zip(trees, nodes, modes, features, yes, no, strict=True)
    ):
        if mode == _LEAF:
            continue
        if not 0 <= feature < width:
            raise TreeError(f"its trees ask for feature {feature} of {width}")
        depth = depths.get((tree, node), 0) + 1
        if depth > DEPTH_MAX:
            raise TreeError(f"its trees are deeper than {DEPTH_MAX}")
        for child in ((tree, left), (tree, right)):
            if child[1] <= node or child not in is_leaf or child in depths:
                raise TreeError("a branch of its trees does not lead down to a node of its own")
            depths[child] = depth
    _check_leaves(given, is_leaf, "class" if is_classifier else "target", is_classifier)


def _check_leaves(
    given: TreeAttributes,
    is_leaf: Mapping[tuple[int, int], bool],
    prefix: str,
    is_classifier: bool,
) -> None:
    trees, nodes, outputs = (given.integers.get(f"{prefix}_{name}", ()) for name in _LEAF_NUMBERS)
    if not len(trees) == len(nodes) == len(outputs) == given.float_counts.get(f"{prefix}_weights"):
        raise TreeError("the columns of its leaves differ in length")
    if is_classifier:
        output_count = len(given.integers.get("classlabels_int64s", ()))
    else:
        (output_count,) = given.integers.get("n_targets", (1,)) or (1,)
    if not 1 <= output_count <= OUTPUTS_MAX:
        raise TreeError(f"its trees give {output_count} numbers")
    if given.float_counts.get("base_values", 0) not in (0, output_count):
        raise TreeError("its trees do not begin with as many numbers as they give")
    for tree, node, output in zip(trees, nodes, outputs, strict=True):
        if not is_leaf.get((tree, node), False) or not 0 <= output < output_count:
            raise TreeError("a number of its trees lies in no leaf")
