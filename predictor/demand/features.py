"""What the trees look at: one row per title and region, as of one period.

The same function makes the rows that trees learn from and those they are asked. What is not known
is `MISSING`, a number no feature can have: a graph then needs no rule for NaN.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from predictor.demand.causal import Causal
from predictor.demand.history import DAYS, DemandHistory, Floats, Ints
from predictor.demand.table import DecayTable, Outlook, median_forecast

FEATURE_VERSION: Final = 1
FEATURE_NAMES: Final = (
    "category",
    "age",
    "run",
    "gap",
    "log_amount",
    "trend_1",
    "trend_2",
    "trend_3",
    "below_peak",
    "above_least",
    "below_most",
    "log_share_of_category",
    "rank",
    "new_in_category",
    "length_h",
    "length_grown_h",
    "first_share",
    "year_part",
    "next_weekday",
    "same_weekday",
    "log_region_share",
    "region_surprise",
)
MISSING: Final = -9.0
AGE_MAX = 400


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Titles and regions of which something can be said."""

    title: Ints
    region: Ints
    features: NDArray[np.float32]  # (rows, features)
    base: Floats  # (rows,) what the decay table expects


def rows_at(
    history: DemandHistory, table: DecayTable, known: Causal, outlook: Outlook, at: int
) -> Rows:
    """All rows as of period `at`; `outlook` is that of the same period."""
    expected = median_forecast(table, history, outlook, at)
    chosen = known.is_known[:, at] & (expected.sum(axis=1) > table.floor)
    of = np.flatnonzero(chosen)
    title_columns = _of_titles(history, table, known, outlook, at, of)
    regions = history.amounts.shape[1]
    title = np.repeat(of, regions)
    region = np.tile(np.arange(regions), len(of))
    amount = np.nan_to_num(history.amounts[of, :, at], nan=0.0).ravel()
    share = outlook.share[of].ravel()
    usual = share * np.repeat(outlook.level[of], regions) * outlook.now_factor
    features = np.empty((len(title), len(FEATURE_NAMES)), dtype=np.float32)
    features[:, : title_columns.shape[1]] = np.repeat(title_columns, regions, axis=0)
    features[:, -2] = np.log(share * regions)
    features[:, -1] = np.log((amount + table.floor) / (usual + table.floor))
    return Rows(title=title, region=region, features=features, base=expected[of].ravel())


def _of_titles(
    history: DemandHistory,
    table: DecayTable,
    known: Causal,
    outlook: Outlook,
    at: int,
    of: Ints,
) -> Floats:
    """(titles, features but those of the region)."""
    amount = known.amount[of, at] + table.floor
    category = history.category[of]
    least, most, whole, rank, new = _within_category(history, known, at, of, amount)
    log = np.log(amount)
    day = history.first_day + at * DAYS[history.period]
    columns = [
        category,
        np.minimum(history.age[of, at], AGE_MAX),
        np.minimum(known.run[of, at], AGE_MAX),
        known.gap[of, at],
        log,
        *_trends(known, table.floor, at, of),
        log - np.log(known.peak[of, at] + table.floor),
        log - least,
        log - most,
        log - whole,
        rank,
        new,
        _or_missing(history.length_h[of, at]),
        _or_missing(history.length_h[of, at] - history.length_h[of, at - 1])
        if at
        else np.full(len(of), MISSING),
        history.first_share[of],
        np.full(len(of), (day % 365.25) / 365.25),
        np.full(len(of), float((day + 4) % 7 if DAYS[history.period] == 1 else 0)),
        _same_weekday(history, known, table, outlook, at, of),
    ]
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)


def _trends(known: Causal, floor: float, at: int, of: Ints) -> list[Floats]:
    """Log ratios of this period to the one before, of that to its own, and once more."""
    found = []
    for back in range(3):
        now, before = at - back, at - back - 1
        if before < 0:
            found.append(np.full(len(of), MISSING))
            continue
        both = known.is_known[of, now] & known.is_known[of, before]
        ratio = np.log((known.amount[of, now] + floor) / (known.amount[of, before] + floor))
        found.append(np.where(both, ratio, MISSING))
    return found


def _same_weekday(
    history: DemandHistory, known: Causal, table: DecayTable, outlook: Outlook, at: int, of: Ints
) -> Floats:
    """The amount on the weekday to come, a week before it, over what the level says."""
    then = at - 6
    if DAYS[history.period] != 1 or then < 0:
        return np.full(len(of), MISSING)
    usual = outlook.level[of] * outlook.next_factor
    ratio = np.log((known.amount[of, then] + table.floor) / (usual + table.floor))
    return np.where(known.is_known[of, then], ratio, MISSING)


def _within_category(
    history: DemandHistory, known: Causal, at: int, of: Ints, amount: Floats
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Logs of the least, the most and the sum in a title's category; its rank; the new ones."""
    least, most, whole, rank, new = np.zeros((5, len(of)))
    category, is_new = history.category[of], history.age[of, at] == 1
    for each in np.unique(category):
        within = category == each
        amounts = amount[within]
        least[within], most[within] = np.log(amounts.min()), np.log(amounts.max())
        whole[within] = np.log(amounts.sum())
        new[within] = is_new[within].sum()
        order = np.argsort(-amounts, kind="stable")
        ranks = np.empty(len(amounts))
        ranks[order] = np.arange(1, len(amounts) + 1)
        rank[within] = ranks
    return least, most, whole, rank, new


def _or_missing(values: Floats) -> Floats:
    return np.where(np.isnan(values), MISSING, values)
