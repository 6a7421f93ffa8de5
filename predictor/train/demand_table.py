"""Fits the decay table: weighted quantiles of what happened a period later, by category and age.

Weights are the levels themselves: the median of ratios weighted so is what makes the sum of
absolute errors, counted in amounts, least. How far levels and shares are smoothed is chosen from a
few values by that error.
"""

from __future__ import annotations

import itertools
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from predictor.demand.causal import Causal, causal
from predictor.demand.history import DAYS, DemandHistory, Floats
from predictor.demand.table import (
    AGES,
    QUANTILES,
    TABLE_VERSION,
    DecayTable,
    age_class,
    median_forecast,
    outlooks,
)

LEVEL_WEIGHTS: Final = (1.0, 0.7, 0.5, 0.3, 0.15)
SHARE_WEIGHTS: Final = (0.3, 0.1)
SHARE_PRIORS: Final = (0.3, 1.0, 3.0, 10.0)
"""In mean amounts of a title and period."""

_SHRINK_ROWS = 12.0
"""A category's ratio counts as much as that of all categories once it has so many rows. From 2
to 50 it moves the mean error of rolling origins on a weekly top ten by .001."""
_FLOOR_SHARE = 1e-3  # of the mean amount


def weighted_quantile(values: Floats, weights: Floats, at: float) -> float:
    """The least value below or at which lies the share `at` of the weights."""
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[order])
    position = int(np.searchsorted(running, at * running[-1]))
    return float(values[order][min(position, len(values) - 1)])


def fit_table(history: DemandHistory) -> DecayTable:
    """From all pairs of one period and the next."""
    known = causal(history)
    amounts = known.amount[known.is_known]
    mean = float(amounts[amounts > 0.0].mean()) if (amounts > 0.0).any() else 1.0
    count = len(history.categories) + 1
    table = DecayTable(
        version=TABLE_VERSION,
        period=history.period,
        is_list=history.is_list,
        categories=history.categories,
        ratios=((((1.0, 1.0, 1.0),) * len(AGES)),) * count,
        premieres=_premieres(history, known, count),
        weekdays=_weekdays(history),
        level_weight=1.0,
        share_weight=SHARE_WEIGHTS[0],
        share_prior=mean,
        floor=_FLOOR_SHARE * mean,
    )
    found = [
        _with_ratios(msgspec.structs.replace(table, level_weight=weight), history, known)
        for weight in LEVEL_WEIGHTS
    ]
    table = _best(found, history, known)
    if len(history.regions) == 1:
        return table
    shares = [
        msgspec.structs.replace(table, share_weight=weight, share_prior=prior * mean)
        for weight, prior in itertools.product(SHARE_WEIGHTS, SHARE_PRIORS)
    ]
    return _with_spread(_best(shares, history, known), history, known)


def outcomes(history: DemandHistory, known: Causal, at: int) -> NDArray[np.bool_]:
    """(titles,) where the period after `at` says what the forecast should have been."""
    return known.is_known[:, at] & known.is_known[:, at + 1]


def _with_ratios(table: DecayTable, history: DemandHistory, known: Causal) -> DecayTable:
    rows: list[NDArray[np.float64]] = []
    for at, outlook in enumerate(outlooks(history, table, known)):
        if at + 1 == history.period_count:
            break
        level = outlook.level * outlook.next_factor
        chosen = outcomes(history, known, at) & (level > table.floor)
        ratio = known.amount[chosen, at + 1] / level[chosen]
        age = age_class(history.age[chosen, at])
        rows.append(np.stack([history.category[chosen], age, ratio, level[chosen]]))
    category, age, ratio, weight = np.concatenate(rows, axis=1)
    everything = _quantiles(ratio, weight, (1.0, 1.0, 1.0))
    pooled = [
        _quantiles(ratio[age == each], weight[age == each], everything) for each in range(len(AGES))
    ]
    by_category = [
        tuple(
            _quantiles(ratio[own], weight[own], pooled[each])
            for each in range(len(AGES))
            for own in [(age == each) & (category == row)]
        )
        for row in range(len(history.categories))
    ]
    return msgspec.structs.replace(table, ratios=(*by_category, tuple(pooled)))


def _with_spread(table: DecayTable, history: DemandHistory, known: Causal) -> DecayTable:
    """The outer ratios as regions see them: a region's amount varies more than all regions' sum."""
    parts: list[NDArray[np.float64]] = []
    for at, outlook in enumerate(outlooks(history, table, known)):
        if at + 1 == history.period_count:
            break
        title = np.flatnonzero(outcomes(history, known, at))
        expected = median_forecast(table, history, outlook, at)[title]
        is_some = expected > table.floor
        ratio = history.amounts[title, :, at + 1][is_some] / expected[is_some]
        row = np.broadcast_to(title[:, None], expected.shape)[is_some]
        age = age_class(history.age[row, at])
        parts.append(np.stack([history.category[row], age, ratio, expected[is_some]]))
    category, age, ratio, weight = np.concatenate(parts, axis=1)
    everything = _quantiles(ratio, weight, (1.0, 1.0, 1.0))
    ratios = []
    for number, own_ratios in enumerate(table.ratios):
        spread = []
        for each, (_, middle, _) in enumerate(own_ratios):
            own = (age == each) & ((category == number) | (number == len(table.categories)))
            low, _, high = _quantiles(ratio[own], weight[own], everything)
            spread.append((middle * min(low, 1.0), middle, middle * max(high, 1.0)))
        ratios.append(tuple(spread))
    return msgspec.structs.replace(table, ratios=tuple(ratios))


def _quantiles(
    ratio: Floats, weight: Floats, wider: tuple[float, ...]
) -> tuple[float, float, float]:
    """Shrunk to those of a wider class."""
    if len(ratio) == 0:
        return wider[0], wider[1], wider[2]
    trust = len(ratio) / (len(ratio) + _SHRINK_ROWS)
    low, middle, high = (
        round(trust * weighted_quantile(ratio, weight, at) + (1.0 - trust) * other, 5)
        for at, other in zip(QUANTILES, wider, strict=True)
    )
    return low, middle, high


def _best(tables: list[DecayTable], history: DemandHistory, known: Causal) -> DecayTable:
    return min(tables, key=lambda table: _error(table, history, known))


def _error(table: DecayTable, history: DemandHistory, known: Causal) -> float:
    """The sum of absolute errors of the medians."""
    error = 0.0
    for at, outlook in enumerate(outlooks(history, table, known)):
        if at + 1 == history.period_count:
            break
        chosen = outcomes(history, known, at)
        expected = median_forecast(table, history, outlook, at)[chosen]
        error += float(np.abs(np.nan_to_num(history.amounts[chosen, :, at + 1]) - expected).sum())
    return error


def _premieres(history: DemandHistory, known: Causal, count: int) -> tuple[float, ...]:
    first = (history.age == 1) & known.is_known
    first[:, 0] &= history.is_list  # a whole history begins with titles that are not new
    title = np.nonzero(first)[0]
    amounts, category = known.amount[first], history.category[title]
    everything = round(float(np.median(amounts)), 3) if len(amounts) else 0.0
    found = [
        round(float(np.median(amounts[category == row])), 3) if (category == row).any() else None
        for row in range(count - 1)
    ]
    return (*(everything if each is None else each for each in found), everything)


def _weekdays(history: DemandHistory) -> tuple[float, ...]:
    """Each weekday's mean total over that of all days; all 1 where a weekday is missing."""
    totals = np.nan_to_num(history.amounts).sum(axis=(0, 1))
    day = (history.first_day + np.arange(history.period_count) + 3) % 7
    if DAYS[history.period] != 1 or len(np.unique(day[totals > 0.0])) < 7:
        return (1.0,) * 7
    means = np.array([totals[day == each].mean() for each in range(7)])
    return tuple(round(float(factor), 4) for factor in means / means.mean())
