"""What a history says up to each period, for all periods at once.

Every array here is a running one (sums, maxima, counts from the left), so that the column of a
period holds nothing of later ones; a test changes the future and compares.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from predictor.demand.history import DemandHistory, Floats, Ints

GAP_MAX = 60
"""Periods; a title that comes back after longer is a new one."""


class Causal(msgspec.Struct, frozen=True, kw_only=True):
    """All (titles, periods); amounts are summed over regions."""

    amount: Floats  # 0 where not known
    is_known: NDArray[np.bool_]  # a list named it; in whole histories: seen before or now
    peak: Floats  # the largest amount so far
    run: Ints  # periods known without a gap, this one included
    gap: Ints  # periods between this run and the one before, 0 if there is none


def causal(history: DemandHistory) -> Causal:
    """Linear in the size of the history."""
    is_known: NDArray[np.bool_] = history.age > 0
    if history.is_list:
        is_known = np.asarray(~np.isnan(history.amounts).all(axis=1))
    amount = np.nan_to_num(history.amounts, nan=0.0).sum(axis=1)
    run = np.zeros_like(history.age)
    gap = np.zeros_like(history.age)
    last_seen = np.full(len(run), -1, dtype=np.int64)
    for at in range(run.shape[1]):
        known = is_known[:, at]
        goes_on = known & (last_seen == at - 1) & (at > 0)
        comes_back = known & (last_seen >= 0) & ~goes_on
        if at:
            run[:, at] = np.where(goes_on, run[:, at - 1] + 1, known)
            gap[:, at] = np.where(goes_on, gap[:, at - 1], 0)
        else:
            run[:, at] = known
        gap[comes_back, at] = np.minimum(at - last_seen[comes_back] - 1, GAP_MAX)
        last_seen[known] = at
    return Causal(
        amount=amount,
        is_known=is_known,
        peak=np.maximum.accumulate(amount, axis=1),
        run=run,
        gap=gap,
    )
