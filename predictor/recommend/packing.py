"""A blend's numbers as the tables of a graph: as they are, or in eight bits.

Row 0 of every table is padding: the title no. 0 of a graph is nobody's, title i has row i + 1.
Transitions stand in tiers: every title has a few, the most watched titles have more, and the rows
of a tier are equally long. Their weights span decades within a row, so what is rounded to eight
bits is the square root, which keeps small ones apart; each row has its own scale. Rows stand with
the largest weight first, so the roots fall slowly: past a row's first few only some are written,
and those between lie on a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from predictor.recommend.blend import Blend
from predictor.recommend.history import Ints
from predictor.recommend.transitions import Transitions

SIZE_BYTES_MAX: Final = 1_150_000
"""What the tables are made to fit, where the catalogue lets them."""
TITLES_MAX: Final = 65_000
"""Their numbers are written in 16 bits."""

# Transitions of every title at least, and how the rest of the bytes goes to the most watched:
# (share of the titles, share of the bytes).
_KEPT_MIN: Final = 8
_TIERS: Final = ((1.0, 0.45), (0.25, 0.28), (0.07, 0.27))
_KEPT_MAX: Final = 400
_NUMBER_BYTES: Final = 2
_TITLE_BYTES: Final = 12
# Places of a row whose weights are written: the first four, then each 1.3 times as far. 1.4
# times would make a file of MovieLens .295 of the float one's size for .298, and agree with it in
# .976 of the first ten titles for .980.
_WRITTEN: Final = np.unique(np.r_[0:4, np.rint(4 * 1.3 ** np.arange(20)).astype(np.int64)])


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Where a tier's weights lie: (kept,) between which two of those written, and how far on."""

    left: NDArray[np.int32]
    right: NDArray[np.int32]
    share: NDArray[np.float32]


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """Transitions of the titles up to `title_count`, padded with weight 0 to row 0."""

    title_count: int
    to: NDArray[Any]  # (title_count + 1, kept)
    weight: NDArray[Any]  # (title_count + 1, kept), or roots where packed: (title_count + 1, few)
    scale: NDArray[Any] | None = None  # (title_count + 1,)
    line: Line | None = None


def tiers_of(title_count: int, taste_rank: int) -> tuple[tuple[int, int], ...]:
    """(titles, transitions of each in this tier) that fit `SIZE_BYTES_MAX`, largest tier first."""
    left = SIZE_BYTES_MAX - title_count * (_TITLE_BYTES + taste_rank)
    tiers: list[tuple[int, int]] = []
    for title_share, byte_share in _TIERS:
        titles = max(1, round(title_count * title_share))
        kept = _fitting(left * byte_share / titles, first=sum(count for _, count in tiers))
        kept = max(_KEPT_MIN if not tiers else 0, min(kept, title_count - 1))
        if kept > 0:
            tiers.append((titles, kept))
    return tuple(tiers)


def written_places(first: int, kept: int) -> Ints:
    """Which of a packed tier's places are written, its first and last among them; `first` is how
    many transitions of a row stand in the tiers before."""
    within = (
        _WRITTEN[np.searchsorted(_WRITTEN, first) : np.searchsorted(_WRITTEN, first + kept)] - first
    )
    return np.unique(np.concatenate([[0, kept - 1], within]))


def _fitting(row_bytes: float, first: int) -> int:
    """How many transitions of a row, up to the most that are kept, go into so many bytes."""
    kept = np.arange(1, _KEPT_MAX + 1)
    within = np.searchsorted(_WRITTEN, first + kept) - np.searchsorted(_WRITTEN, first)
    ends = int(first not in _WRITTEN) + ~np.isin(first + kept - 1, _WRITTEN) * (kept > 1)
    sizes = _NUMBER_BYTES * kept + within + ends
    return int(np.searchsorted(sizes, row_bytes, side="right"))


def kept_counts(tiers: Sequence[tuple[int, int]], title_count: int) -> Ints:
    """(titles,) how many transitions each keeps."""
    kept = np.zeros(title_count, dtype=np.int64)
    for titles, count in tiers:
        kept[:titles] += count
    return kept


def padded(
    rows: Transitions, tiers: Sequence[tuple[int, int]]
) -> tuple[tuple[Ints, NDArray[np.float32]], ...]:
    """Numbers and weights of each tier, row 0 and unused places zero."""
    found = []
    first = 0
    lengths = np.diff(rows.starts)
    for titles, kept in tiers:
        to = np.zeros((titles + 1, kept), dtype=np.int64)
        weight = np.zeros((titles + 1, kept), dtype=np.float32)
        places = rows.starts[:titles, None] + first + np.arange(kept)[None, :]
        is_there = first + np.arange(kept)[None, :] < lengths[:titles, None]
        used = places[is_there]
        to[1:][is_there] = rows.to[used] + 1
        weight[1:][is_there] = rows.weight[used]
        found.append((to, weight))
        first += kept
    return tuple(found)


def float_tiers(blend: Blend, tiers: Sequence[tuple[int, int]]) -> tuple[Tier, ...]:
    """32-bit numbers and weights: no wider than a runtime needs, for sizes to be compared."""
    return tuple(
        Tier(title_count=len(to) - 1, to=to.astype(np.int32), weight=weight)
        for to, weight in padded(blend.transitions, tiers)
    )


def packed_tiers(blend: Blend, tiers: Sequence[tuple[int, int]]) -> tuple[Tier, ...]:
    """16-bit numbers, 8-bit roots of some weights, a 16-bit scale for each row."""
    found = []
    first = 0
    for to, own in padded(blend.transitions, tiers):
        kept = to.shape[1]
        places = written_places(first, kept)
        first += kept
        # A place past the row's end is never asked for; the line to it must not fall to nothing.
        last = np.maximum((own > 0.0).sum(axis=1) - 1, 0)
        weight = np.take_along_axis(own, np.minimum(places[None, :], last[:, None]), axis=1)
        scale = weight.max(axis=1).astype(np.float16)
        root = np.sqrt(weight / np.maximum(scale.astype(np.float32), 1e-8)[:, None])
        found.append(
            Tier(
                title_count=len(to) - 1,
                to=to.astype(np.uint16),
                weight=np.clip(np.rint(255.0 * root), 0, 255).astype(np.uint8),
                scale=(scale.astype(np.float32) / 255.0**2 * SCALE_UNIT).astype(np.float16),
                line=line_through(places, kept),
            )
        )
    return tuple(found)


def line_through(places: Ints, kept: int) -> Line:
    """For every place up to `kept` the two written ones it lies between."""
    at = np.arange(kept)
    left = np.searchsorted(places, at, side="right") - 1
    right = np.minimum(left + 1, len(places) - 1)
    gap = np.maximum(places[right] - places[left], 1)
    return Line(
        left=left.astype(np.int32),
        right=right.astype(np.int32),
        share=((at - places[left]) / gap).astype(np.float32),
    )


SCALE_UNIT: Final = 65_536.0
"""Scales are written times this: 16-bit floats end near 6e-8."""


def packed_vectors(vectors: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """(rows, d) as int8 and a scale for each row."""
    scale = (np.abs(vectors).max(axis=1) / 127.0 * SCALE_UNIT).astype(np.float16)
    unit = np.maximum(scale.astype(np.float32) / SCALE_UNIT, 1e-12)[:, None]
    return np.clip(np.rint(vectors / unit), -127, 127).astype(np.int8), scale
