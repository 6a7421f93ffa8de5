"""Files become demand histories: weekly top tens with hours, and logs of plays.

A file is recognised by its columns. A title of a top ten is what the list counts (a film, a season,
in one category); a title of a log is a whole series, or a film, because a period of one episode is
too little to foresee anything from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from nearcast.errors import InputError
from nearcast.units import DAY_S
from predictor.demand.history import DAYS, WEEK, DemandHistory, Floats, Ints
from predictor.logs.columns import Column, Gathered
from predictor.logs.plays import NEEDED as PLAYS_NEEDED
from predictor.logs.plays import PlaysLog, read_plays
from predictor.logs.tables import column_names, pieces_of

TOP_LIST: Final = (
    Column(name="week", kind="name", needed=True),
    Column(name="category", kind="name", needed=True),
    Column(name="weekly_rank", kind="integer", needed=True, low=1.0),
    Column(name="title_id", kind="name", needed=True),
    Column(name="weekly_hours_viewed", kind="number", needed=True, low=0.0, above_low=True),
    Column(name="runtime", kind="number", low=0.0),
    Column(name="cumulative_weeks_in_top_10", kind="integer", low=1.0, high=10_000.0, unknown=0.0),
)
COUNTRIES: Final = (
    Column(name="country_iso2", kind="name", needed=True),
    Column(name="week", kind="name", needed=True),
    Column(name="category", kind="name", needed=True),
    Column(name="weekly_rank", kind="integer", needed=True, low=1.0),
    Column(name="title_id", kind="name", needed=True),
    Column(name="cumulative_weeks_in_top_10", kind="integer", low=1.0, high=10_000.0, unknown=0.0),
)
_UNIX_FROM_S: Final = 1e8  # a log that starts before 1973 counts from a midnight of its own
_MONDAY: Final = 4  # 5 January 1970
_EDGE_H: Final = 2.0
"""A day of a log is whole if the log begins, or ends, within so many hours of its midnight."""


class WeeklyRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of weekly lists, in the order of the file."""

    source: str
    line: Ints
    week: Ints  # days since 1970 of the day that ends it
    category: tuple[str, ...]
    title: tuple[str, ...]
    region: tuple[str, ...]
    rank: Ints
    amount: Floats  # NaN where the list has ranks alone
    age: Ints  # 0 unknown
    length_h: Floats


def kind_of_file(path: Path) -> str:
    """`countries`, `top list` or `plays`. Raises InputError for other columns."""
    names = set(column_names(path))
    kinds = {
        "countries": {column.name for column in COUNTRIES if column.needed},
        "top list": {column.name for column in TOP_LIST if column.needed},
        "plays": set(PLAYS_NEEDED),
    }
    for kind, needed in kinds.items():
        if needed <= names:
            return kind
    known = "; or ".join(f"{', '.join(sorted(needed))}" for needed in kinds.values())
    raise InputError(f"{path} is no demand data: it needs the columns {known}")


def read_weekly(path: Path, columns: Sequence[Column]) -> WeeklyRows:
    """A list of `TOP_LIST` or `COUNTRIES`. Raises InputError naming file and line."""
    gathered = Gathered(columns, str(path))
    lines = [np.zeros(0, dtype=np.int64)]
    needed = [column.name for column in columns if column.needed]
    for first_line, piece in pieces_of(path, [column.name for column in columns], needed=needed):
        if "week" in piece:
            _check_weeks(piece["week"], path, first_line)
        gathered.add(piece, first_line)
        lines.append(first_line + np.arange(len(piece["week"])))
    found, names = gathered.columns()
    count = len(found["week"])
    if count == 0:
        raise InputError(f"{path} holds no rows")

    def texts(name: str) -> tuple[str, ...]:
        return tuple(names[name][code] for code in found[name])

    weeks = [date.fromisoformat(name[:10]).toordinal() - _EPOCH for name in names["week"]]
    nothing = np.full(count, np.nan)
    return WeeklyRows(
        source=str(path),
        line=np.concatenate(lines),
        week=np.array(weeks, dtype=np.int64)[found["week"]],
        category=texts("category"),
        title=texts("title_id"),
        region=texts("country_iso2") if "country_iso2" in found else ("",) * count,
        rank=found["weekly_rank"].astype(np.int64),
        amount=found.get("weekly_hours_viewed", nothing),
        age=found["cumulative_weeks_in_top_10"].astype(np.int64),
        length_h=found.get("runtime", nothing),
    )


def check_once(parts: Sequence[WeeklyRows]) -> None:
    """A list has every title once, and every rank. Raises InputError naming both lines."""
    before: dict[tuple[object, ...], tuple[int, int]] = {}
    for at, part in enumerate(parts):
        lists = zip(part.week.tolist(), part.category, part.region, strict=True)
        entries = zip(lists, part.title, part.rank.tolist(), part.line.tolist(), strict=True)
        for which, title, rank, line in entries:
            for what in (f"title {title!r}", f"rank {rank}"):
                other, first = before.setdefault((which, what), (at, line))
                if (other, first) != (at, line):
                    day = date.fromordinal(which[0] + _EPOCH)
                    named = ", ".join(each for each in (*which[1:], str(day)) if each)
                    raise InputError(
                        f"{part.source}, line {line}: {what} of the list {named} is there "
                        f"already ({parts[other].source}, line {first}); leave one out"
                    )


_EPOCH: Final = date(1970, 1, 1).toordinal()


def top_list_history(parts: Sequence[WeeklyRows]) -> DemandHistory:
    """One weekly history of all rows. Raises InputError for rows that are there twice."""
    check_once(parts)
    first = min(int(part.week.min()) for part in parts)
    last = max(int(part.week.max()) for part in parts)
    keys: dict[tuple[str, str], int] = {}
    for part in parts:
        for key in zip(part.title, part.category, strict=True):
            keys.setdefault(key, len(keys))
    categories = tuple(sorted({category for _, category in keys}))
    shape = (len(keys), (last - first) // 7 + 1)
    amounts: Floats = np.full(shape, np.nan)
    length_h: Floats = np.full(shape, np.nan)
    age = np.zeros(shape, dtype=np.int64)
    for part in parts:
        if ((part.week - first) % 7).any():
            raise InputError("the weeks of the lists must end on one day of the week")
        row = np.array([keys[key] for key in zip(part.title, part.category, strict=True)])
        at = (part.week - first) // 7
        amounts[row, at], length_h[row, at] = part.amount, part.length_h
        age[row, at] = part.age
    _fill_ages(age, ~np.isnan(amounts))
    return DemandHistory(
        amounts=amounts[:, None, :],
        age=age,
        category=np.array([categories.index(category) for _, category in keys], dtype=np.int64),
        length_h=length_h,
        first_share=np.ones(len(keys)),
        is_list=True,
        period=WEEK,
        first_day=first - 6,
        titles=tuple(title for title, _ in keys),
        regions=("",),
        categories=categories,
    )


def whole_periods(log: PlaysLog, period: str) -> int:
    """How many days or weeks a log covers."""
    return _whole_days(log)[1] // DAYS[period]


def plays_history(log: PlaysLog, period: str) -> DemandHistory:
    """Hours watched per title, region and whole day or week; weeks are counted back from the end.

    Raises InputError if the log has fewer than four whole periods.
    """
    first_day, day_count = _whole_days(log)
    days = DAYS[period]
    count = day_count // days
    if count < 4:
        raise InputError(f"foreseeing the next {period} needs a log of 4 {period}s, got {count}")
    first_day += day_count - count * days
    is_film = log.series < 0
    unit = np.where(is_film, len(log.series_names) + log.title, log.series)
    units, title = np.unique(unit, return_inverse=True)
    at = (np.floor(log.start_s / DAY_S).astype(np.int64) - first_day) // days
    inside = (at >= 0) & (at < count)
    shape = (len(units), len(log.regions), count)
    flat = (title[inside] * shape[1] + log.region[inside]) * count + at[inside]
    hours = np.bincount(flat, weights=log.watched_s[inside] / 3600.0, minlength=int(np.prod(shape)))
    release = np.full(len(units), np.inf)
    np.fmin.at(release, title, np.where(np.isnan(log.release_s), np.inf, log.release_s))
    first_at = np.full(len(units), count, dtype=np.int64)
    np.minimum.at(first_at, title, np.maximum(at, 0))
    starts_s = (first_day + first_at * days) * float(DAY_S)
    out_share = 1.0 - (release - starts_s) / (days * DAY_S)
    is_new = np.isfinite(release) & (out_share > 0.0) & (out_share < 1.0)
    names = [*log.series_names, *log.titles]
    age = np.maximum(np.arange(count)[None, :] - first_at[:, None] + 1, 0)
    older = np.where(np.isfinite(release), starts_s - release, 0.0) // (days * DAY_S)
    age = np.where(age > 0, age + np.maximum(older, 0.0).astype(np.int64)[:, None], 0)
    return DemandHistory(
        amounts=hours.reshape(shape).astype(np.float64),
        age=age,
        category=(units >= len(log.series_names)).astype(np.int64),
        length_h=np.full((len(units), count), np.nan),
        first_share=np.where(is_new, np.maximum(out_share, 1.0 / 24.0), 1.0),
        is_list=False,
        period=period,
        first_day=first_day + _clock_days(log),
        titles=tuple(names[each] for each in units),
        regions=log.regions,
        categories=("series", "film"),
    )


def period_from(log: PlaysLog, history: DemandHistory, start_s: float) -> int:
    """The first period of the log's history that begins at `start_s` or later."""
    day = start_s / DAY_S + _clock_days(log) - history.first_day
    return int(np.ceil(day / DAYS[history.period] - 1e-9))


def read_log(paths: Sequence[Path]) -> PlaysLog:
    """One log; several files would have to agree on the numbers of titles."""
    if len(paths) != 1:
        raise InputError(f"demand is learnt from one log of plays, got {len(paths)}")
    return read_plays(paths[0])


def sha256_of(paths: Sequence[Path]) -> str:
    """Of all bytes, in the order given. Raises InputError."""
    found = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while piece := file.read(1 << 20):
                    found.update(piece)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    return found.hexdigest()


def _check_weeks(values: Sequence[object], path: Path, first_line: int) -> None:
    for offset, value in enumerate(values):
        try:
            date.fromisoformat(str(value)[:10])
        except ValueError as error:
            raise InputError(
                f"{path}, line {first_line + offset}: week {value!r} is no date like 2024-01-28"
            ) from error


def _fill_ages(age: Ints, is_known: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> None:
    """Where the list does not count the weeks, they are counted here."""
    counted = np.cumsum(is_known, axis=1)
    np.copyto(age, counted, where=is_known & (age == 0))


def _clock_days(log: PlaysLog) -> int:
    """From the zero of the log's clock to 1970; a clock of its own begins on a Monday."""
    return 0 if log.start_s[0] >= _UNIX_FROM_S else _MONDAY


def _whole_days(log: PlaysLog) -> tuple[int, int]:
    """The first whole day of the log (days from the zero of its clock), and how many there are."""
    first_h, last_h = log.start_s[0] / 3600.0, log.start_s[-1] / 3600.0
    first = int(first_h // 24) + (1 if first_h % 24 > _EDGE_H else 0)
    last = int(last_h // 24) - (1 if last_h % 24 < 24.0 - _EDGE_H else 0)
    return first, max(0, last - first + 1)
