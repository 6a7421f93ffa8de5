"""Weighted rendezvous hashing: even shares, and few keys that move."""

import numpy as np
import pytest

from nearcast.hashing import key_of, keys_of, rank, ranked

NODES = [f"edge-{index}" for index in range(8)]
KEYS = keys_of([f"title-{index}" for index in range(20_000)])


def test_the_hash_is_the_same_everywhere() -> None:
    assert key_of("nearcast") == 0x717C9755CCF42511
    assert rank("title-1", NODES[:3]) == ["edge-2", "edge-0", "edge-1"]


@pytest.mark.parametrize("weights", [[1.0] * 8, [0.25, 0.5, 1.0, 1.0, 2.0, 3.0, 4.0, 8.0]])
def test_nodes_get_the_share_of_their_weight(weights: list[float]) -> None:
    first = ranked(KEYS, NODES, weights)[:, 0]
    share = np.bincount(first, minlength=8) / len(KEYS)
    assert share == pytest.approx(np.array(weights) / sum(weights), rel=0.15)


@pytest.mark.parametrize("gone", range(8))
def test_who_leaves_moves_its_own_keys_and_no_others(gone: int) -> None:
    weights = [1.0, 1.0, 2.0, 2.0, 1.0, 4.0, 1.0, 1.0]
    before = np.array(NODES)[ranked(KEYS, NODES, weights)[:, 0]]
    stay = [index for index in range(8) if index != gone]
    nodes = [NODES[index] for index in stay]
    after = np.array(nodes)[ranked(KEYS, nodes, [weights[index] for index in stay])[:, 0]]
    moved = before != after
    assert (before[moved] == NODES[gone]).all()
    assert moved.mean() <= 1.2 * weights[gone] / sum(weights)


def test_the_order_of_nodes_does_not_matter() -> None:
    back = list(reversed(NODES))
    assert rank("title-7", NODES) == rank("title-7", back)


def test_a_node_without_weight_comes_last() -> None:
    weights = [0.0] + [1.0] * 7
    assert (ranked(KEYS[:500], NODES, weights)[:, -1] == 0).all()
