"""How far off forecasts are: summed absolute error over summed amounts, and covered shares.

WAPE (weighted absolute percentage error) is what a fill plan pays for: an hour too much or too
little costs the same whichever title it is of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from predictor.demand.history import Floats, Ints
from predictor.demand.table import MEDIAN, QUANTILES


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """Forecasts beside what came; one row per title, region and period."""

    period: Ints
    title: Ints
    region: Ints
    age: Ints  # of the period foreseen from
    category: Ints
    amount: Floats  # what came
    points: dict[str, Floats]  # by who foretold
    quantiles: dict[str, Floats]  # (rows, 3)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Of one forecaster. The shares of quantiles are None for one that gives a single number."""

    wape: float
    rows: int
    below: tuple[float, ...] | None = None
    """Share of outcomes at or below the 10, 50 and 90 % quantile."""
    inside: float | None = None
    """Share of outcomes between the outer two; .8 is meant."""
    inside_by_amount: float | None = None


def wape(points: Floats, amounts: Floats) -> float:
    """NaN if nothing was watched."""
    whole = float(amounts.sum())
    return float(np.abs(points - amounts).sum()) / whole if whole > 0.0 else float("nan")


def figures(judged: Judged) -> dict[str, Figures]:
    """By forecaster."""
    found = {}
    for name, points in judged.points.items():
        one = Figures(wape=round(wape(points, judged.amount), 5), rows=len(points))
        if name in judged.quantiles:
            one = _with_quantiles(one, judged.quantiles[name], judged.amount)
        found[name] = one
    return found


def wape_by(
    judged: Judged, groups: Ints, names: Callable[[int], str]
) -> dict[str, dict[str, float]]:
    """WAPE of every forecaster within each group."""
    found = {}
    for group in np.unique(groups):
        own = groups == group
        row = {
            name: round(wape(points[own], judged.amount[own]), 4)
            for name, points in judged.points.items()
        }
        found[names(int(group))] = row | {"rows": int(own.sum())}
    return found


def join(parts: Sequence[Judged]) -> Judged:
    """All rows of several."""

    def all_of(name: str) -> Ints:
        return np.concatenate([getattr(part, name) for part in parts])

    def each_of(name: str) -> dict[str, Floats]:
        whos = getattr(parts[0], name)
        return {who: np.concatenate([getattr(part, name)[who] for part in parts]) for who in whos}

    return Judged(
        period=all_of("period"),
        title=all_of("title"),
        region=all_of("region"),
        age=all_of("age"),
        category=all_of("category"),
        amount=np.concatenate([part.amount for part in parts]),
        points=each_of("points"),
        quantiles=each_of("quantiles"),
    )


def pinball(quantiles: Floats, amount: Floats) -> float:
    """Mean over QUANTILES of the summed pinball loss over the summed amounts."""
    error = amount[:, None] - quantiles
    levels = np.array(QUANTILES)
    loss = np.maximum(levels * error, (levels - 1.0) * error).sum(axis=0)
    return float(loss.mean() / amount.sum())


def _with_quantiles(one: Figures, quantiles: Floats, amount: Floats) -> Figures:
    # Of whole logs many amounts are 0, and so are quantiles: equal counts as below.
    below = (amount[:, None] <= quantiles).mean(axis=0)
    inside = (amount >= quantiles[:, 0]) & (amount <= quantiles[:, 2])
    return msgspec.structs.replace(
        one,
        below=tuple(round(float(share), 4) for share in below),
        inside=round(float(inside.mean()), 4),
        inside_by_amount=round(float(amount[inside].sum() / amount.sum()), 4),
    )


def median_of(quantiles: Floats) -> Floats:
    """(rows,)."""
    return quantiles[:, MEDIAN]
