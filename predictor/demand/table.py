"""The decay table: next period's amount = level x ratio by age x season x the region's share.

The level of a title is its latest amount, smoothed where the table says so. The ratio is what such
titles had a period later, by category and age (quantiles of what was measured). The share of a
region is its part of the title's recent amounts, shrunk to its part of everything: a title seen
little in a region is expected there as in the others. It needs numpy alone, so it serves where no
runtime for graphs is installed, and it is the base that the trees correct.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import msgspec
import numpy as np

from nearcast.errors import ModelError, SchemaMismatch
from predictor.demand.causal import Causal, causal
from predictor.demand.history import DAYS, DemandHistory, Floats, Ints

QUANTILES: Final = (0.1, 0.5, 0.9)
MEDIAN: Final = 1
OUTPUTS: Final = ("low", "median", "high")
TABLE_FILE: Final = "decay.json"
TABLE_VERSION: Final = 1

AGES: Final = (1, 2, 3, 4, 5, 6, 7, 8, 11, 15, 22, 43)
"""Where the age classes begin; the last has no end."""

Weight = Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]


class DecayTable(msgspec.Struct, frozen=True, kw_only=True):
    """As written to `decay.json`. Fitted by `predictor.train.demand_table`."""

    version: int
    period: str
    is_list: bool
    categories: tuple[str, ...]
    ratios: tuple[tuple[tuple[float, float, float], ...], ...]
    """By category and age class, at QUANTILES; one more row for categories never seen."""
    premieres: tuple[float, ...]
    """By category, and for unknown ones: the median first amount of a title."""
    weekdays: tuple[float, ...]
    """By day from Monday: its amount over the mean day's. All 1 for weeks."""
    level_weight: Weight
    share_weight: Weight
    share_prior: float
    """The amount by which a title's shares lean to the region's share of everything."""
    floor: float
    """An amount too small to matter: ratios are taken of amounts above it."""


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What the table holds of all titles as of one period."""

    level: Floats  # (titles,) 0 where nothing can be said
    share: Floats  # (titles, regions) sums to 1
    now_factor: float  # of the weekday this period was
    next_factor: float  # of the weekday that follows


def age_class(age: Ints) -> Ints:
    """Position in AGES; age 0 counts as 1."""
    return np.maximum(np.searchsorted(AGES, age, side="right") - 1, 0)


def outlooks(
    history: DemandHistory, table: DecayTable, known: Causal | None = None
) -> Iterator[Outlook]:
    """One per period, each from that period and earlier ones."""
    known = known or causal(history)
    titles, regions, periods = history.amounts.shape
    level = np.zeros(titles)
    seen = np.zeros(titles, dtype=bool)
    recent = np.zeros((titles, regions))
    everywhere = np.zeros(regions)
    for at in range(periods):
        factor = weekday_factor(table, history, at)
        current = known.amount[:, at] / factor
        is_known, is_first = known.is_known[:, at], history.age[:, at] == 1
        current = np.where(is_first, current / history.first_share, current)
        goes_on = seen & is_known
        if history.is_list:
            goes_on &= known.run[:, at] > 1
        weight = np.where(goes_on, table.level_weight, 1.0)
        level = np.where(is_known, weight * current + (1.0 - weight) * level, 0.0)
        seen = is_known
        amounts = np.nan_to_num(history.amounts[:, :, at], nan=0.0)
        recent = (1.0 - table.share_weight) * recent + table.share_weight * amounts
        everywhere = (1.0 - table.share_weight) * everywhere + amounts.sum(axis=0)
        yield Outlook(
            level=level,
            share=_shares(recent, everywhere, table.share_prior),
            now_factor=factor,
            next_factor=weekday_factor(table, history, at + 1),
        )


def weekday_factor(table: DecayTable, history: DemandHistory, at: int) -> float:
    """Of the period `at`, which may be the one after the last."""
    if DAYS[history.period] != 1:
        return 1.0
    return table.weekdays[(history.first_day + at + 3) % 7]  # 1970 began on a Thursday


def median_forecast(table: DecayTable, history: DemandHistory, outlook: Outlook, at: int) -> Floats:
    """(titles, regions): what the table expects for the period after `at`."""
    return quantiles_after(table, history, outlook, at)[:, :, MEDIAN]


def quantiles_after(table: DecayTable, history: DemandHistory, outlook: Outlook, at: int) -> Floats:
    """(titles, regions, 3) for the period after `at`, whose outlook is given."""
    expected = (outlook.level * outlook.next_factor)[:, None] * outlook.share
    return expected[:, :, None] * _ratios(table, history, at)[:, None, :]


def table_quantiles(table: DecayTable, history: DemandHistory) -> Floats:
    """(titles, regions, 3) for the period after the last, without trees.

    0 where nothing can be said: a title not seen yet, or not named by the list's last period.
    """
    check_fits(table, history)
    *_, outlook = outlooks(history, table)
    return quantiles_after(table, history, outlook, history.period_count - 1)


def premieres(table: DecayTable, categories: tuple[str, ...]) -> Floats:
    """(categories,) the amount to expect of a title before anything is known of it."""
    return np.array(table.premieres)[_rows(table, categories)]


def check_fits(table: DecayTable, history: DemandHistory) -> None:
    """Raises SchemaMismatch if the table counts other periods or another sort of amounts."""
    if table.period != history.period or table.is_list != history.is_list:
        sort = {True: "a list", False: "a whole log"}
        raise SchemaMismatch(
            f"the demand model foresees the next {table.period} of {sort[table.is_list]}, the "
            f"history counts the {history.period}s of {sort[history.is_list]}"
        )


def decode_table(text: bytes, source: str) -> DecayTable:
    """Raises ModelError, SchemaMismatch."""
    try:
        table = msgspec.json.decode(text, type=DecayTable)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{source} is no decay table: {error}") from error
    rows = len(table.categories) + 1
    if (
        table.version != TABLE_VERSION
        or table.period not in DAYS
        or len(table.ratios) != rows
        or len(table.premieres) != rows
        or len(table.weekdays) != 7
        or any(len(row) != len(AGES) for row in table.ratios)
        or not min(table.weekdays) > 0.0
        or not table.floor > 0.0
    ):
        raise SchemaMismatch(f"the decay table in {source} has another form; train it again")
    return table


def _ratios(table: DecayTable, history: DemandHistory, at: int) -> Floats:
    """(titles, 3)."""
    row = _rows(table, history.categories)[history.category]
    return np.array(table.ratios)[row, age_class(history.age[:, at])]


def _rows(table: DecayTable, categories: tuple[str, ...]) -> Ints:
    """Where the table keeps each of the names; unknown ones find its last row."""
    at = {name: index for index, name in enumerate(table.categories)}
    return np.array([at.get(name, len(at)) for name in categories], dtype=np.int64)


def _shares(recent: Floats, everywhere: Floats, prior: float) -> Floats:
    whole = everywhere.sum()
    usual = everywhere / whole if whole > 0.0 else np.full(len(everywhere), 1.0 / len(everywhere))
    leaning = recent + max(prior, 1e-12) * usual
    return leaning / leaning.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]
