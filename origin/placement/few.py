"""Better answers where files are few: what a greedy pass leaves is large then.

With ten thousand files the one that did not fit is nothing; with fifty it may be a quarter of what
could be saved. So where the greedy answer falls short of its bound and there are few files, other
ways of filling the same budgets are tried: greedy passes with other weights of the budgets, then
each file forced in or out of the best answer so far and the rest filled up again. The best that is
found is taken, never a worse one. All is counted in steps, so the same problem has the same answer.

Only edges that stand alone are looked at; what clusters fetch is left as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

FILES_MAX: Final = 3_000
"""Of all edges together; beyond that, one file is too little to matter."""
STEPS_MAX: Final = 250_000
"""Looks at a file: a fifth of a second. With more, no small catalogue tried came nearer."""
WEIGHTS: Final = (0.0, 0.1, 0.25, 0.5, 1.0)
"""Of storage, an edge's fills and all edges' fills against each other."""
STARTS_MAX: Final = 4
"""From which files are forced in and out: the best one need not lead furthest."""
TINY: Final = 1e-9


class Unit(NamedTuple):
    """What is taken together: one row, or a head and its rest."""

    rows: tuple[int, ...]
    edge: int
    after: int
    """The row that must be there before, or -1."""
    size_bytes: int
    fill_bytes: int
    gain: float
    gone: tuple[int, ...]
    """What goes when this does: these rows and those that follow them."""


class Few:
    """Rows are the items of all edges. `after`: the row that must be taken before, or -1; it comes
    right before its own."""

    def __init__(
        self,
        *,
        edge: NDArray[np.int64],
        size_bytes: NDArray[np.int64],
        fill_bytes: NDArray[np.int64],
        gain: NDArray[np.float64],
        after: NDArray[np.int64],
        storage_bytes: Sequence[int],
        edge_fill_bytes: Sequence[int],
        common_fill_bytes: int,
    ) -> None:
        self._edge: list[int] = edge.tolist()
        self._size: list[int] = size_bytes.tolist()
        self._fill: list[int] = fill_bytes.tolist()
        self._gain: list[float] = gain.tolist()
        self._after: list[int] = after.tolist()
        count = len(self._edge)
        self._storage, self._fills = list(storage_bytes), list(edge_fill_bytes)
        self._common = common_fill_bytes
        # A rest may pay for its head: the two are also offered as one.
        self._follower = [-1] * count
        for row, head in enumerate(self._after):
            if head >= 0:
                self._follower[head] = row
        several = [(head, row) for row, head in enumerate(self._after) if head >= 0]
        units = [self._unit(rows) for rows in (*((row,) for row in range(count)), *several)]
        self._units = sorted(unit for unit in units if unit.gain > 0)
        self._steps = 0

    def _unit(self, rows: tuple[int, ...]) -> Unit:
        followers = (self._follower[row] for row in rows)
        return Unit(
            rows=rows,
            edge=self._edge[rows[0]],
            after=self._after[rows[0]],
            size_bytes=sum(self._size[row] for row in rows),
            fill_bytes=sum(self._fill[row] for row in rows),
            gain=sum(self._gain[row] for row in rows),
            gone=tuple(dict.fromkeys((*rows, *(row for row in followers if row >= 0)))),
        )

    def best(self, taken: NDArray[np.bool_], costs: Sequence[float]) -> NDArray[np.bool_]:
        """At least as good as `taken`. `costs`: of each row, its bytes at the prices so far."""
        best = frozenset(np.flatnonzero(taken).tolist())
        best_order = self._ordered(list(costs))
        found = [(best, best_order), (self._filled(best, best_order), best_order)]
        for each in product(WEIGHTS, repeat=3):
            if max(each) != 1.0 or self._steps > STEPS_MAX // 2:
                continue
            order = self._ordered(self._costs(*each))
            found.append((self._filled(frozenset(), order), order))
        found.sort(key=lambda one: -self._worth(one[0]))
        seen: set[frozenset[int]] = set()
        for start, order in found:
            if start in seen or len(seen) == STARTS_MAX:
                continue
            seen.add(start)
            improved = self._improved(start, order)
            if len(seen) == 1 or self._worth(improved) > self._worth(best) + TINY:
                best = improved
        answer = np.zeros(len(taken), dtype=np.bool_)
        answer[sorted(best)] = True
        return answer

    def _improved(self, best: frozenset[int], order: list[Unit]) -> frozenset[int]:
        """Forces each unit in, or out, for as long as that helps."""
        is_better = True
        while is_better:
            is_better = False
            for unit in order:
                if self._steps > STEPS_MAX:
                    return best
                if best.issuperset(unit.rows):
                    others = [one for one in order if one is not unit]
                    found = self._filled(best.difference(unit.gone), others)
                else:
                    found = self._forced(best, unit, order)
                if self._worth(found) > self._worth(best) + TINY:
                    best, is_better = found, True
        return best

    def _forced(self, base: frozenset[int], unit: Unit, order: list[Unit]) -> frozenset[int]:
        """With this unit, and as little less of the others as makes room for it."""
        kept = {*unit.rows, *([unit.after] if unit.after >= 0 else [])}
        now = {*base, *kept}
        storage, fills, common = self._left(now)
        edge = unit.edge
        for one in reversed(order):
            if storage[edge] >= 0 and fills[edge] >= 0 and common >= 0:
                break
            self._steps += 1
            at = one.edge
            if at != edge and common >= 0:
                continue
            gone = now.intersection(one.gone)
            if not gone or not gone.isdisjoint(kept):
                continue
            freed = sum(self._fill[row] for row in gone)
            helps = (at == edge and (storage[edge] < 0 or (fills[edge] < 0 < freed))) or (
                common < 0 < freed
            )
            if not helps:
                continue
            now -= gone
            storage[at] += sum(self._size[row] for row in gone)
            fills[at] += freed
            common += freed
        if min(storage[edge], fills[edge], common) < 0:
            return base
        return self._filled(frozenset(now), order)

    def _filled(self, base: frozenset[int], order: list[Unit]) -> frozenset[int]:
        """What else fits, in this order; a rest whose head comes later has a second chance."""
        now = set(base)
        storage, fills, common = self._left(now)
        for _ in range(2):
            self._steps += len(order)
            # Unpacked: most of a plan's time is spent in this loop.
            for rows, edge, after, size, fill, _, _ in order:
                if rows[0] in now or (after >= 0 and after not in now):
                    continue
                if size <= storage[edge] and fill <= fills[edge] and fill <= common:
                    now.update(rows)
                    storage[edge] -= size
                    fills[edge] -= fill
                    common -= fill
        return frozenset(now)

    def _left(self, now: set[int]) -> tuple[list[int], list[int], int]:
        storage, fills, common = list(self._storage), list(self._fills), self._common
        for row in now:
            edge = self._edge[row]
            storage[edge] -= self._size[row]
            fills[edge] -= self._fill[row]
            common -= self._fill[row]
        return storage, fills, common

    def _costs(self, of_storage: float, of_fills: float, of_common: float) -> list[float]:
        """Of each row: the share of the budgets that it takes."""
        return [
            of_storage * size / max(1, self._storage[edge])
            + of_fills * fill / max(1, self._fills[edge])
            + of_common * fill / max(1, self._common)
            for edge, size, fill in zip(self._edge, self._size, self._fill, strict=True)
        ]

    def _ordered(self, costs: list[float]) -> list[Unit]:
        """By gain for what it costs; equal ones by their rows, as the units already are."""
        return sorted(
            self._units,
            key=lambda unit: -unit.gain / max(1e-30, sum(costs[row] for row in unit.rows)),
        )

    def _worth(self, rows: frozenset[int]) -> float:
        return math.fsum(self._gain[row] for row in rows)
