"""A log of plays: who watched what, when and for how long; one row a play.

The schema is the same for an operator's own log and for generated ones. CSV (plain, .gz or .xz,
with a header) or Parquet, rows in any order:

| column | meaning | |
|---|---|---|
| `viewer` | who, text or a number | needed |
| `start_s` | seconds, since 1970 or since any midnight UTC | needed |
| `watched_s` | seconds watched | needed |
| `runtime_s` | seconds the whole of it lasts | needed |
| `title` | an episode or a film, text or a number | needed |
| `series` | empty for films | |
| `season`, `episode` | numbers from 1; 0 or empty where unknown | |
| `device` | `tv`, `mobile`, or anything else for other | |
| `region` | where the viewer is | |
| `release_s` | when the title appeared, on the clock of `start_s` | |
| `genre` | one name | |
| `utc_offset_h` | of the viewer's clock | |

A title has one series; where rows differ in that, the file is refused. Rows that say the same of
viewer, title, start and time watched are one play, logged twice: it counts once. Plays of one
viewer that overlap are kept, as two may share an account: the wait between them counts as none.
Both are told of in the log, with their number.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.errors import InputError
from predictor.logs.columns import Column, Gathered
from predictor.logs.tables import pieces_of, write_table

_logger = logging.getLogger(__name__)
_OVERLAP_S_MIN = 60.0  # less is how clocks and players round

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

DEVICES: Final = ("tv", "mobile", "other")
COLUMNS: Final = (
    Column(name="viewer", kind="name", needed=True),
    Column(name="start_s", kind="number", needed=True),
    Column(name="watched_s", kind="number", needed=True, low=0.0),
    Column(name="runtime_s", kind="number", needed=True, low=0.0, above_low=True),
    Column(name="title", kind="name", needed=True),
    Column(name="series", kind="name"),
    Column(name="season", kind="integer", low=0.0, high=10_000.0, unknown=0.0),
    Column(name="episode", kind="integer", low=0.0, high=1_000_000.0, unknown=0.0),
    Column(name="device", kind="name"),
    Column(name="region", kind="name"),
    Column(name="release_s", kind="number"),
    Column(name="genre", kind="name"),
    Column(name="utc_offset_h", kind="number", low=-14.0, high=14.0, unknown=0.0),
)
NEEDED: Final = tuple(column.name for column in COLUMNS if column.needed)


class PlaysLog(msgspec.Struct, frozen=True, kw_only=True):
    """Plays sorted by start; arrays of one length, names by number in order of first play."""

    viewer: Ints
    start_s: Floats
    watched_s: Floats
    runtime_s: Floats
    title: Ints
    series: Ints  # -1 for a film
    season: Ints  # 0 where unknown, as for films
    episode: Ints
    device: Ints  # position in DEVICES
    region: Ints
    release_s: Floats  # NaN where unknown
    genre: Ints  # -1 where unknown
    utc_offset_h: Floats
    viewers: tuple[str, ...]
    titles: tuple[str, ...]
    series_names: tuple[str, ...]
    regions: tuple[str, ...]
    genres: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.start_s)

    @property
    def local_s(self) -> Floats:
        """The viewers' own clocks: an hour of the day is `local_s / 3600 % 24`."""
        return self.start_s + 3600.0 * self.utc_offset_h

    def take(self, chosen: NDArray[np.bool_] | Ints) -> PlaysLog:
        """The plays named by a mask or by rising positions, under the same numbers."""
        columns = {name: getattr(self, name)[chosen] for name in _ARRAYS}
        return msgspec.structs.replace(self, **columns)


_ARRAYS: Final = tuple(column.name for column in COLUMNS)
_NAMES: Final = {
    "viewer": "viewers",
    "title": "titles",
    "series": "series_names",
    "region": "regions",
    "genre": "genres",
}


def read_plays(path: Path) -> PlaysLog:
    """All plays of the file. Raises InputError naming file and line of what makes no sense."""
    gathered = Gathered(COLUMNS, str(path))
    for first_line, piece in pieces_of(path, _ARRAYS, needed=NEEDED):
        gathered.add(piece, first_line)
    columns, names = gathered.columns()
    if len(columns["start_s"]) == 0:
        raise InputError(f"{path} holds no plays")
    _check_one_series(columns["title"], columns["series"], names["title"], path)
    devices = [DEVICES.index(name) if name in DEVICES else 2 for name in names["device"]]
    columns["device"] = np.array([*devices, 2], dtype=np.int64)[columns["device"]]
    order = _once(columns, path)
    arrays: dict[str, Any] = {name: column[order] for name, column in columns.items()}
    tables: dict[str, Any] = {}
    for name, table in _NAMES.items():
        arrays[name], tables[table] = _in_order_of_play(arrays[name], names[name])
    if not tables["regions"]:
        tables["regions"] = ("",)
    arrays["region"] = np.maximum(arrays["region"], 0)
    return PlaysLog(**arrays, **tables)


def _once(columns: dict[str, NDArray[Any]], path: Path) -> Ints:
    """Positions of the plays by start, without those that repeat another."""
    keys = [columns[name] for name in ("watched_s", "title", "start_s", "viewer")]
    order = np.lexsort(keys)
    same = np.all([np.diff(key[order]) == 0 for key in keys], axis=0)
    order = order[np.append(True, ~same)]
    if same.any():
        _logger.warning("plays.repeated file=%s dropped=%d", path, int(same.sum()))
    start_s, viewer = columns["start_s"][order], columns["viewer"][order]
    ends_s = start_s + columns["watched_s"][order]
    overlap = (np.diff(viewer) == 0) & (start_s[1:] < ends_s[:-1] - _OVERLAP_S_MIN)
    if overlap.any():
        _logger.warning(
            "plays.overlap file=%s plays=%d of=%d", path, int(overlap.sum()), len(order)
        )
    order = np.sort(order)
    return np.asarray(order[np.argsort(columns["start_s"][order], kind="stable")])


def write_plays(path: Path, log: PlaysLog) -> None:
    """CSV (plain, .gz, .xz) or Parquet, by the name's ending. Raises InputError."""
    columns: dict[str, Floats | tuple[Ints, tuple[str, ...]]] = {}
    for column in COLUMNS:
        values = getattr(log, column.name)
        if column.name == "device":
            columns["device"] = (values, DEVICES)
        elif column.name in _NAMES:
            columns[column.name] = (values, getattr(log, _NAMES[column.name]))
        else:
            columns[column.name] = values
    write_table(path, columns)


def _check_one_series(title: Ints, series: Ints, titles: tuple[str, ...], path: Path) -> None:
    series_of = np.full(len(titles), -1, dtype=np.int64)
    series_of[title] = series
    differs = np.flatnonzero(series_of[title] != series)
    if len(differs):
        name = titles[title[differs[0]]]
        raise InputError(f"{path}: title {name!r} belongs to more than one series")


def _in_order_of_play(codes: Ints, names: tuple[str, ...]) -> tuple[Ints, tuple[str, ...]]:
    """The same names renumbered, so that the order of rows in the file leaves no trace."""
    used, first = np.unique(codes, return_index=True)
    used, first = used[used >= 0], first[used >= 0]
    ordered = used[np.argsort(first)]
    new = np.full(len(names) + 1, -1, dtype=np.int64)  # the last entry is that of -1
    new[ordered] = np.arange(len(ordered))
    return new[codes], tuple(names[old] for old in ordered)
