"""Which titles will be in a country's next weekly list, from the lists of all countries.

Lists have ranks and no amounts, so this asks for places: of every title in any country's list, how
likely is it in this country's next week? A fill plan then takes more titles than the list is long.
The answer is a sum of trees on what the lists show: the title's rank and age here, how many other
countries list it and how high, and above all those whose lists look like this one's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.errors import InputError
from nearcast.seeds import Seeds
from predictor.demand.history import Floats, Ints
from predictor.train.demand_boosting import Boosted, BoostSettings, fit_boosted
from predictor.train.demand_data import WeeklyRows, check_once

REPEAT: Final = "this week's list"
WIDESPREAD: Final = "and the most widespread"
TREES: Final = "trees"
SLOTS: Final = (10, 15, 20)
_ABSENT_RANK: Final = 11.0
_SIMILARITY_WEEKS: Final = 8
_SIMILARITY_POWER: Final = 2.0
_MEASURED_MAX: Final = 6
_TRAINING_MIN: Final = 6
_ROWS_MAX: Final = 60_000
_SPREAD: Final = 6  # the column of features: share of the countries that list the title
_SETTINGS: Final = BoostSettings(rounds=150, leaves=16, rate=0.08)


class CountryReport(msgspec.Struct, frozen=True, kw_only=True):
    """Share of the next week's list entries among as many titles as there are slots."""

    measured_on: str
    weeks: int
    lists: int
    recall: dict[str, dict[str, float]]
    """Who chose > number of slots."""


class _Lists(msgspec.Struct, frozen=True, kw_only=True):
    """One category; 0 where a title is not in a list."""

    rank: Ints  # (weeks, countries, titles)
    age: Ints  # the same


class _Candidates(msgspec.Struct, frozen=True, kw_only=True):
    """Titles that may be in a country's next list, as of one week."""

    country: Ints
    title: Ints
    features: NDArray[np.float32]


def foresee_lists(
    data: Sequence[WeeklyRows], test: Sequence[WeeklyRows], *, seed: int
) -> CountryReport:
    """Fitted on the weeks before those measured: the test's, or the last of the data.

    Raises InputError if too few weeks are left to learn from, or a list has a title twice.
    """
    parts = [*data, *test]
    check_once(parts)
    weeks = np.unique(np.concatenate([part.week for part in parts]))
    if test:
        first = int(np.searchsorted(weeks, min(int(part.week.min()) for part in test)))
    else:
        first = len(weeks) - min(_MEASURED_MAX, len(weeks) // 4)
    if first < _TRAINING_MIN:
        raise InputError(
            f"{first} weeks of the countries' lists lie before what is measured on; "
            f"needed are {_TRAINING_MIN}"
        )
    lists = _lists_of(parts, weeks)
    found: dict[str, list[Floats]] = {REPEAT: [], WIDESPREAD: [], TREES: []}
    count = 0
    for at, each in enumerate(lists):
        model = _fit(each, first, Seeds(seed).stream(f"demand/countries/{at}"))
        for week in range(first - 1, len(weeks) - 1):
            rows = _candidates(each, week)
            places = (each.rank[week + 1] > 0).sum(axis=1)
            count += int((places > 0).sum())
            is_here = rows.features[:, 0] < _ABSENT_RANK
            spread = rows.features[:, _SPREAD] + 1e-3 * rows.features[:, _SPREAD + 1]
            scores = {
                REPEAT: np.where(is_here, 1.0, -np.inf),
                WIDESPREAD: np.where(is_here, 100.0, spread),
                TREES: model.predict(rows.features),
            }
            for name, score in scores.items():
                found[name].append(_hits(each, rows, score, week + 1))
    total = sum(int((each.rank[first:] > 0).sum()) for each in lists)
    return CountryReport(
        measured_on="the test file" if test else f"the last {len(weeks) - first} weeks, left out",
        weeks=len(weeks) - first,
        lists=count,
        recall={
            name: {
                str(slots): round(float(hits / total), 4)
                for slots, hits in zip(SLOTS, np.sum(parts_of, axis=0), strict=True)
            }
            for name, parts_of in found.items()
        },
    )


def _lists_of(parts: Sequence[WeeklyRows], weeks: Ints) -> list[_Lists]:
    """By category, in order of name."""
    categories = sorted({name for part in parts for name in part.category})
    countries = sorted({name for part in parts for name in part.region})
    country_at = {name: at for at, name in enumerate(countries)}
    found = []
    for category in categories:
        title_at: dict[str, int] = {}
        cells: list[tuple[int, int, int, int, int]] = []
        for part in parts:
            week_at = np.searchsorted(weeks, part.week)
            cells += [
                (
                    int(week_at[row]),
                    country_at[part.region[row]],
                    title_at.setdefault(part.title[row], len(title_at)),
                    int(part.rank[row]),
                    max(1, int(part.age[row])),
                )
                for row, name in enumerate(part.category)
                if name == category
            ]
        shape = (len(weeks), len(countries), len(title_at))
        rank, age = np.zeros((2, *shape), dtype=np.int64)
        week, country, title, ranks, ages = np.array(cells).T
        rank[week, country, title], age[week, country, title] = ranks, ages
        found.append(_Lists(rank=rank, age=age))
    return found


def _fit(lists: _Lists, first: int, rng: np.random.Generator) -> Boosted:
    """On the pairs of weeks before `first`."""
    features, labels = [], []
    for week in range(1, first - 1):
        rows = _candidates(lists, week)
        features.append(rows.features)
        labels.append(lists.rank[week + 1][rows.country, rows.title] > 0)
    table, label = np.concatenate(features), np.concatenate(labels).astype(np.float64)
    # Every list entry, and of the many titles that are in few lists a part.
    weight = np.ones(len(label))
    if len(label) > _ROWS_MAX:
        is_sure = (table[:, 0] >= _ABSENT_RANK) & (label == 0.0)
        share = min(1.0, max(0.02, (_ROWS_MAX - (~is_sure).sum()) / is_sure.sum()))
        kept = ~is_sure | (rng.random(len(label)) < share)
        weight = np.where(is_sure, 1.0 / share, 1.0)[kept]
        table, label = table[kept], label[kept]
    return fit_boosted(table, label, weight, quantile=None, settings=_SETTINGS, rng=rng)


def _candidates(lists: _Lists, week: int) -> _Candidates:
    """Every title that any country lists in `week`, for every country."""
    rank, age = lists.rank[week], lists.age[week]
    title = np.flatnonzero((rank > 0).any(axis=0))
    countries = len(rank)
    now = (rank > 0)[:, title].astype(np.float64)
    before_rank = lists.rank[week - 1][:, title] if week else np.zeros_like(rank[:, title])
    before = (before_rank > 0).astype(np.float64)
    points = np.where(now > 0, 11.0 - rank[:, title], 0.0)
    alike = _likeness(lists, week)
    first = np.argmax((lists.rank[: week + 1] > 0).any(axis=1), axis=0)[title]
    active = max(1.0, float((rank > 0).any(axis=1).sum()))
    spread = now.sum(axis=0) / active
    columns = [
        np.where(now > 0, rank[:, title], _ABSENT_RANK),
        np.where(before > 0, before_rank, _ABSENT_RANK),
        age[:, title],
        alike @ now,
        alike @ points,
        alike @ (now - before),
        np.broadcast_to(spread, now.shape),
        np.broadcast_to(points.sum(axis=0) / active, now.shape),
        np.broadcast_to(spread - before.sum(axis=0) / active, now.shape),
        np.broadcast_to(week - first, now.shape),
        np.broadcast_to(age[:, title].max(axis=0), now.shape),
    ]
    features = np.stack([np.asarray(column).ravel() for column in columns], axis=1)
    return _Candidates(
        country=np.repeat(np.arange(countries), len(title)),
        title=np.tile(title, countries),
        features=features.astype(np.float32),
    )


def _likeness(lists: _Lists, week: int) -> Floats:
    """(countries, countries) how much two have listed the same; rows sum to 1, 0 to oneself."""
    recent = lists.rank[max(0, week + 1 - _SIMILARITY_WEEKS) : week + 1] > 0
    flat = recent.transpose(1, 0, 2).reshape(recent.shape[1], -1).astype(np.float64)
    norm = np.sqrt(np.maximum(flat.sum(axis=1), 1.0))
    alike = (flat @ flat.T) / np.outer(norm, norm)
    np.fill_diagonal(alike, 0.0)
    alike **= _SIMILARITY_POWER
    return alike / np.maximum(alike.sum(axis=1, keepdims=True), 1e-12)  # type: ignore[no-any-return]


def _hits(lists: _Lists, rows: _Candidates, score: Floats, week: int) -> Floats:
    """(slots,) entries of the week's lists among the best scores of each country."""
    came = (lists.rank[week][rows.country, rows.title] > 0) & np.isfinite(score)
    order = np.lexsort((rows.title, -score, rows.country))
    countries = lists.rank.shape[1]
    per_country = came[order].reshape(countries, -1)
    return np.array([per_country[:, :slots].sum() for slots in SLOTS], dtype=np.float64)
