"""Whether the viewers here are those that a model was trained on.

A manifest gives the deciles of every feature over the training rows. What an edge asks about is
counted between them, and the population stability index says how far that is from a tenth each:

    PSI = sum over bins of (here - there) * ln(here / there)

below 0.1 nothing has changed, above 0.25 it is another population (the usual reading in credit
scoring). Features that take few values have deciles that coincide, and then only bounds of what
lay between them are known: the share within the bounds that is nearest to ours is taken.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from math import log
from typing import Final

import msgspec

ROWS_MAX: Final = 5_000
ROWS_MIN: Final = 200
"""Fewer rows lie ten bins apart by chance alone: of 200 the index is 0.05 on average."""

ASKED_FOR: Final = frozenset({"progress", "has_ended"})
"""These say when the edge asks, which is its own doing and not the viewers'."""

_SHARE_MIN: Final = 1e-3
_TENTH: Final = 0.1


class FeatureDrift(msgspec.Struct, frozen=True, kw_only=True):
    """How far one feature is from what it was in training."""

    feature: str
    psi: float


class Drift:
    """The last rows asked about, counted between a model's deciles."""

    def __init__(self, names: Sequence[str], deciles: Mapping[str, Sequence[float]]) -> None:
        self._cuts: list[tuple[str, int, list[float], list[tuple[float, float]]]] = []
        for index, name in enumerate(names):
            values = deciles.get(name, ())
            if values and name not in ASKED_FOR:
                cuts = sorted(set(values))
                self._cuts.append((name, index, cuts, _bounds(values, cuts)))
        self._rows: deque[bytes] = deque()
        self._counts = [[0] * (len(cuts) + 1) for _, _, cuts, _ in self._cuts]

    def add(self, row: Sequence[float]) -> None:
        """A row that a model is asked about."""
        if not self._cuts:
            return
        self._rows.append(bytes(bisect_left(cuts, row[at]) for _, at, cuts, _ in self._cuts))
        self._count(self._rows[-1], 1)
        if len(self._rows) > ROWS_MAX:
            self._count(self._rows.popleft(), -1)

    def _count(self, row: bytes, step: int) -> None:
        for counts, place in zip(self._counts, row, strict=True):
            counts[place] += step

    @property
    def row_count(self) -> int:
        return len(self._rows)

    def figures(self) -> tuple[FeatureDrift, ...]:
        """The features, furthest first; empty while there are too few rows to tell."""
        if len(self._rows) < ROWS_MIN:
            return ()
        drifts = []
        for (name, _, _, bounds), counts in zip(self._cuts, self._counts, strict=True):
            shares = [count / len(self._rows) for count in counts]
            drifts.append(FeatureDrift(feature=name, psi=_psi(shares, bounds)))
        return tuple(sorted(drifts, key=lambda one: (-one.psi, one.feature)))


def _bounds(deciles: Sequence[float], cuts: Sequence[float]) -> list[tuple[float, float]]:
    """Between which shares of the training rows lay at or below each cut. Of a feature that takes
    few values each decile may be one of many equal values, the next tenth included."""
    takes_few = len(cuts) < len(deciles)
    bounds = []
    for cut in cuts:
        last = max(place for place, value in enumerate(deciles) if value == cut)
        low = (last + 1) * _TENTH
        bounds.append((low, low + _TENTH if takes_few else low))
    return bounds


def _psi(shares: Sequence[float], bounds: Sequence[tuple[float, float]]) -> float:
    expected = []
    below_here = below_there = 0.0
    for share, (low, high) in zip(shares[:-1], bounds, strict=True):
        below_here += share
        nearest = min(max(below_here, low), high)
        expected.append(max(nearest - below_there, 0.0))
        below_there = max(nearest, below_there)
    expected.append(max(1.0 - below_there, 0.0))
    return sum(
        (max(here, _SHARE_MIN) - max(there, _SHARE_MIN))
        * log(max(here, _SHARE_MIN) / max(there, _SHARE_MIN))
        for here, there in zip(shares, expected, strict=True)
    )
