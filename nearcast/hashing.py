"""Weighted rendezvous hashing: which nodes hold a key, so that few keys move when nodes change.

Every node draws a number for every key; the greatest holds it, the next ones hold its further
copies. A node that leaves takes nothing along but its own keys, which go to their second choices;
one that comes takes from each node only what it wins. A node of twice the weight wins twice as
many keys.

Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998; weights by
-weight / ln(u) as in Schindelhauer and Schomaker, 2005.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def key_of(text: str) -> int:
    """64 bits of a name, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def keys_of(texts: Sequence[str]) -> NDArray[np.uint64]:
    return np.array([key_of(text) for text in texts], dtype=np.uint64)


def scores(
    keys: NDArray[np.uint64], nodes: Sequence[str], weights: Sequence[float]
) -> NDArray[np.float64]:  # (key, node)
    """How much each node wants each key: the greatest score holds it. A node of weight 0 comes
    after all others."""
    assert len(nodes) == len(weights)
    found = np.empty((len(keys), len(nodes)))
    for column, (node, weight) in enumerate(zip(nodes, weights, strict=True)):
        found[:, column] = draws(keys ^ np.uint64(key_of(node)), weight)
    return found


def draws(words: NDArray[np.uint64], weights: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """The scores of pairs of key and node, each pair given as `key ^ key_of(node)`."""
    # 53 bits, in the middle of their steps: never 0, never 1.
    drawn = ((_mix(words) >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    return weights / -np.log(drawn)


def ranked(
    keys: NDArray[np.uint64], nodes: Sequence[str], weights: Sequence[float]
) -> NDArray[np.int64]:  # (key, rank) -> index of node
    """The nodes of each key, its first choice first."""
    return np.argsort(-scores(keys, nodes, weights), axis=1, kind="stable")


def rank(key: str, nodes: Sequence[str], weights: Sequence[float] | None = None) -> list[str]:
    """The nodes of one key, its first choice first; by default of equal weight."""
    even = [1.0] * len(nodes) if weights is None else weights
    return [nodes[index] for index in ranked(keys_of([key]), nodes, even)[0]]


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finalizer: every bit of the input moves half of those of the output."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
