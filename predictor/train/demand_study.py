"""Measures a demand model on periods it was not fitted to, beside what it must beat.

Every period is foreseen from all before it, the model staying as it was: what an origin does that
trains rarely and forecasts each night. Persistence says "as much as last time"; the moving average
smooths a title's own past in a region, as far as suits the training periods best.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from nearcast.errors import InputError
from predictor.demand.causal import Causal, causal
from predictor.demand.features import rows_at
from predictor.demand.history import DAY, DemandHistory, Floats
from predictor.demand.table import age_class, outlooks, quantiles_after
from predictor.train.demand import Trees, take
from predictor.train.demand_scores import (
    Figures,
    Judged,
    figures,
    join,
    median_of,
    pinball,
    wape_by,
)

TREES: Final = "trees"
TABLE: Final = "decay table"
PERSISTENCE: Final = "persistence"
AVERAGE: Final = "moving average"
SAME_WEEKDAY: Final = "same weekday"
_AVERAGE_WEIGHTS: Final = (0.85, 0.7, 0.5, 0.3, 0.15, 0.07)  # 1 would be persistence
_AGE_SHOWN_MAX: Final = 8


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a training run says of a model."""

    model_id: str
    period: str
    seed: int
    size_bytes: int
    titles: int
    regions: int
    training_periods: int
    measured_on: str
    periods: int
    not_foreseen_share: float
    """Of the amounts of those periods: titles that were new, back after a gap, or watched so
    little of late that 0 is foreseen."""
    test: dict[str, dict[str, Figures]]
    """`all` and every region (if there are several) > `float`: the trees, as they are served."""
    baselines: dict[str, Figures]
    pinball: dict[str, float]
    by_age: dict[str, dict[str, float]]
    by_category: dict[str, dict[str, float]]
    by_region: dict[str, dict[str, float]]
    table: dict[str, float]


def judge(history: DemandHistory, trees: Trees, first: int) -> Judged:
    """Forecasts of the periods from `first` on. Raises InputError if there is nothing to judge."""
    known = causal(history)
    weight = _average_weight(history, known, first)
    average = np.zeros(history.amounts.shape[:2])
    parts = []
    for at, outlook in enumerate(outlooks(history, trees.table, known)):
        now = np.nan_to_num(history.amounts[:, :, at])
        average = np.where(known.run[:, at, None] > 1, weight * now + (1.0 - weight) * average, now)
        if at + 1 < first or at + 1 == history.period_count:
            continue
        rows = rows_at(history, trees.table, known, outlook, at)
        chosen = np.flatnonzero((known.is_known[:, at] & known.is_known[:, at + 1])[rows.title])
        rows = take(rows, chosen)
        cell = (rows.title, rows.region)
        by_table = quantiles_after(trees.table, history, outlook, at)[cell]
        by_trees = trees.quantiles(rows)
        points = {PERSISTENCE: now[cell], AVERAGE: average[cell]}
        if history.period == DAY and at >= 6:
            points[SAME_WEEKDAY] = np.nan_to_num(history.amounts[:, :, at - 6])[cell]
        points |= {TABLE: median_of(by_table), TREES: median_of(by_trees)}
        parts.append(
            Judged(
                period=np.full(len(chosen), at + 1),
                title=rows.title,
                region=rows.region,
                age=history.age[rows.title, at],
                category=history.category[rows.title],
                amount=np.nan_to_num(history.amounts[rows.title, rows.region, at + 1]),
                points=points,
                quantiles={TABLE: by_table, TREES: by_trees},
            )
        )
    if sum(float(part.amount.sum()) for part in parts) <= 0.0:
        raise InputError("no title of the periods measured on was seen in the period before")
    return join(parts)


def report(
    history: DemandHistory,
    judged: Judged,
    trees: Trees,
    *,
    first: int,
    measured_on: str,
    model_id: str,
    size_bytes: int,
    seed: int,
) -> Report:
    """All figures of what was judged."""
    found = figures(judged)
    several = len(history.regions) > 1
    test = {"all": {"float": found[TREES]}}
    if several:
        for at, name in enumerate(history.regions):
            own = _of_region(judged, at)
            if own.amount.sum() > 0.0:
                test[name] = {"float": figures(own)[TREES]}
    whole = float(np.nan_to_num(history.amounts[:, :, first:]).sum())
    return Report(
        model_id=model_id,
        period=history.period,
        seed=seed,
        size_bytes=size_bytes,
        titles=len(history.titles),
        regions=len(history.regions),
        training_periods=first,
        measured_on=measured_on,
        periods=history.period_count - first,
        not_foreseen_share=round(1.0 - float(judged.amount.sum()) / whole, 4),
        test=test,
        baselines={name: one for name, one in found.items() if name != TREES},
        pinball={
            name: round(pinball(quantiles, judged.amount), 5)
            for name, quantiles in judged.quantiles.items()
        },
        by_age=wape_by(judged, np.minimum(judged.age, _AGE_SHOWN_MAX), _age_name),
        by_category=wape_by(judged, judged.category, lambda at: history.categories[at]),
        by_region=wape_by(judged, judged.region, lambda at: history.regions[at]) if several else {},
        table={
            "level_weight": trees.table.level_weight,
            "share_weight": trees.table.share_weight,
            "share_prior": round(trees.table.share_prior, 3),
        }
        | {
            f"ratio_age_{age}": trees.table.ratios[-1][int(age_class(np.array(age)))][1]
            for age in range(1, _AGE_SHOWN_MAX + 1)
        },
    )


def _age_name(age: int) -> str:
    return f"{age}" if age < _AGE_SHOWN_MAX else f"{age}+"


def _of_region(judged: Judged, region: int) -> Judged:
    own = judged.region == region
    return msgspec.structs.replace(
        judged,
        amount=judged.amount[own],
        points={name: points[own] for name, points in judged.points.items()},
        quantiles={name: found[own] for name, found in judged.quantiles.items()},
    )


def _average_weight(history: DemandHistory, known: Causal, first: int) -> float:
    """Of the latest amount, with the least absolute error before `first`."""
    errors = []
    for weight in _AVERAGE_WEIGHTS:
        average: Floats = np.zeros(history.amounts.shape[:2])
        error = 0.0
        for at in range(first - 1):
            now = np.nan_to_num(history.amounts[:, :, at])
            goes_on = known.run[:, at, None] > 1
            average = np.where(goes_on, weight * now + (1.0 - weight) * average, now)
            chosen = known.is_known[:, at] & known.is_known[:, at + 1]
            after = np.nan_to_num(history.amounts[chosen, :, at + 1])
            error += float(np.abs(after - average[chosen]).sum())
        errors.append(error)
    return _AVERAGE_WEIGHTS[int(np.argmin(errors))]
