"""Who looks at whom: each edge has three observers, drawn by rendezvous hashing.

Edges of other clusters come before its own: they fail less often together. An edge that joins or
leaves changes only the draws that it wins or won, so lists stay as they are for nearly everybody.
Joining costs one vectorised draw over all edges, leaving one for each edge it looked at (three on
average): below a millisecond at 1,000 edges.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nearcast.hashing import draws, key_of

OBSERVER_COUNT: Final = 3
_NOBODY: Final[frozenset[str]] = frozenset()
_CHUNK: Final = 256
"""Edges drawn for at a time when many join: bounds the table to a few megabytes."""


class Observers:
    """The lists, kept up to date as edges come and go."""

    def __init__(self) -> None:
        self._clusters: dict[str, str] = {}
        self._keys: dict[str, tuple[int, int, int]] = {}  # as observed, as observer, of its cluster
        self._draws: dict[str, list[tuple[float, str]]] = {}  # of an edge: (draw, observer)
        self._watched: dict[str, set[str]] = {}

    def __contains__(self, edge: str) -> bool:
        return edge in self._clusters

    def __len__(self) -> int:
        return len(self._clusters)

    def of(self, edge: str) -> tuple[str, ...]:
        """Who looks at `edge`, the first choice first."""
        return tuple(observer for _, observer in self._draws.get(edge, ()))

    def watched_by(self, edge: str) -> Set[str]:
        """Whom `edge` looks at: about three, seldom more than ten."""
        return self._watched.get(edge, _NOBODY)

    def put(self, joining: dict[str, str]) -> None:
        """Take in edges (with their clusters), or take note of another cluster."""
        for edge, cluster in joining.items():
            if self._clusters.get(edge, cluster) != cluster:
                self.remove(edge)
        new = {edge: cluster for edge, cluster in joining.items() if edge not in self._clusters}
        if not new:
            return
        before = list(self._clusters)
        self._clusters.update(new)
        for edge, cluster in new.items():
            # "watched/": the draw of a for b must not be that of b for a. An edge without a
            # cluster is one of its own.
            alike = f"cluster/{cluster}" if cluster else f"edge/{edge}"
            self._keys[edge] = (key_of(f"watched/{edge}"), key_of(edge), key_of(alike))
            self._draws[edge] = []
            self._watched[edge] = set()
        self._draw(before, list(new))
        self._draw(list(new), list(self._clusters))

    def remove(self, edge: str) -> None:
        if self._clusters.pop(edge, None) is None:
            return
        for observer in self.of(edge):
            self._watched[observer].discard(edge)
        del self._draws[edge], self._keys[edge]
        left = sorted(self._watched.pop(edge))
        for other in left:
            for observer in self.of(other):
                if observer != edge:
                    self._watched[observer].discard(other)
            self._draws[other] = []
        self._draw(left, list(self._clusters))

    def _draw(self, edges: list[str], observers: list[str]) -> None:
        """Let `observers` draw for `edges`, against those that have them."""
        _, lookers, clusters = self._columns(observers)
        for start in range(0, len(edges), _CHUNK):
            some = edges[start : start + _CHUNK]
            watched, _, own = self._columns(some)
            drawn = draws(watched[:, None] ^ lookers[None, :], 1.0)
            # In (0, 1), in the same order; another cluster comes before every draw of the own.
            drawn = drawn / (1.0 + drawn) + (own[:, None] != clusters[None, :])
            for edge, line in zip(some, drawn, strict=True):
                self._keep(edge, line, observers)

    def _columns(self, edges: list[str]) -> NDArray[np.uint64]:  # (3, edge)
        return np.array([self._keys[edge] for edge in edges], dtype=np.uint64).reshape(-1, 3).T

    def _keep(self, edge: str, line: NDArray[np.float64], observers: list[str]) -> None:
        before = self._draws[edge]
        count = min(len(observers), OBSERVER_COUNT + 1)  # one may be itself
        if count == 1 and len(before) == OBSERVER_COUNT and line[0] < before[-1][0]:
            return
        best = np.argpartition(-line, count - 1)[:count]
        found = {(float(line[index]), observers[index]) for index in best}
        candidates = sorted(found.union(before), reverse=True)
        kept = [one for one in candidates if one[1] != edge][:OBSERVER_COUNT]
        self._draws[edge] = kept
        for _, observer in before:
            self._watched[observer].discard(edge)
        for _, observer in kept:
            self._watched[observer].add(edge)
