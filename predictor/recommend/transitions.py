"""Which titles are watched near which: weighted counts of pairs, as sparse rows.

A pair of plays `lag` plays apart counts `1 / lag ** power` forwards, and a share of that backwards:
viewers who took A after B are evidence for B after A, and with few viewers that halves the noise.
Rows are divided by their sum plus a shrinkage, so that a title seen twice does not speak as loudly
as one seen a thousand times.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from predictor.recommend.history import Floats, Ints

_PENDING_PAIRS_MAX = 8_000_000  # 128 MB of codes and weights before they are merged


class Transitions(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a (titles, titles) matrix: from `starts[i]` to `starts[i + 1]` stand row i's."""

    starts: Ints  # (titles + 1,)
    to: Ints
    weight: Floats

    @property
    def title_count(self) -> int:
        return len(self.starts) - 1

    def add_row(self, scores: Floats, title: int, factor: float) -> None:
        """Add `factor` times a row to `scores`, in place."""
        chosen = slice(self.starts[title], self.starts[title + 1])
        scores[self.to[chosen]] += factor * self.weight[chosen]


def count_pairs(
    histories: Sequence[Ints],
    title_count: int,
    *,
    lag_weights: Sequence[float],
    backward_share: float = 0.0,
) -> Transitions:
    """Weighted counts of pairs at lags 1, 2, ... of `lag_weights`."""
    codes = np.zeros(0, dtype=np.int64)
    weights = np.zeros(0)
    pending: list[tuple[Ints, float]] = []
    pending_count = 0
    for history in histories:
        for lag, weight in enumerate(lag_weights, start=1):
            before, after = history[:-lag], history[lag:]
            if not len(after):
                break
            pending.append((before * title_count + after, weight))
            if backward_share:
                pending.append((after * title_count + before, weight * backward_share))
            pending_count += 2 * len(after)
        if pending_count > _PENDING_PAIRS_MAX:
            codes, weights = _merged(codes, weights, pending)
            pending, pending_count = [], 0
    codes, weights = _merged(codes, weights, pending)
    rows = codes // title_count
    starts = np.searchsorted(rows, np.arange(title_count + 1))
    return Transitions(starts=starts, to=codes - rows * title_count, weight=weights)


def shrunk(counts: Transitions, shrinkage: float) -> Transitions:
    """Rows divided by their sum plus `shrinkage`: nearly probabilities of what comes next."""
    sums = np.add.reduceat(np.append(counts.weight, 0.0), counts.starts[:-1])
    lengths = np.diff(counts.starts)
    sums = np.where(lengths > 0, sums, 0.0)
    return msgspec.structs.replace(
        counts, weight=counts.weight / np.repeat(sums + shrinkage, lengths)
    )


def discounted(rows: Transitions, plays: Floats, power: float) -> Transitions:
    """Weights divided by `(1 + plays / mean plays) ** power` of the title gone to.

    What everyone watches stands near everything; `plays` is (titles,).
    """
    factor = (1.0 + plays / max(1e-9, plays.mean())) ** -power
    return msgspec.structs.replace(rows, weight=rows.weight * factor[rows.to])


def strongest(rows: Transitions, kept_counts: Ints) -> Transitions:
    """Only the `kept_counts[i]` largest entries of row i, largest first; (titles,) counts."""
    titles = np.repeat(np.arange(rows.title_count), np.diff(rows.starts))
    order = np.lexsort((rows.to, -rows.weight, titles))
    place = np.arange(len(order)) - rows.starts[titles[order]]
    kept = order[place < kept_counts[titles[order]]]
    starts = np.searchsorted(titles[kept], np.arange(rows.title_count + 1))
    return Transitions(starts=starts, to=rows.to[kept], weight=rows.weight[kept])


def _merged(
    codes: Ints, weights: Floats, pending: Sequence[tuple[Ints, float]]
) -> tuple[Ints, Floats]:
    if not pending:
        return codes, weights
    all_codes = np.concatenate([codes, *(pairs for pairs, _ in pending)])
    all_weights = np.concatenate(
        [weights, np.repeat([w for _, w in pending], [len(pairs) for pairs, _ in pending])]
    )
    unique, place = np.unique(all_codes, return_inverse=True)
    summed = np.bincount(place, weights=all_weights, minlength=len(unique))
    return unique, np.asarray(summed, dtype=np.float64)
