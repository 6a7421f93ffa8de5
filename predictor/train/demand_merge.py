"""Two logs of plays as one: the later file has its own numbers for the same names."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from nearcast.errors import InputError
from predictor.logs.plays import COLUMNS, PlaysLog

_TABLES: Final = {
    "viewer": "viewers",
    "title": "titles",
    "series": "series_names",
    "region": "regions",
    "genre": "genres",
}


def merged(log: PlaysLog, later: PlaysLog) -> PlaysLog:
    """All plays of both. Raises InputError unless the second begins after the first ends."""
    if later.start_s[0] <= log.start_s[-1]:
        raise InputError("the plays of --test must all start after those of --data")
    arrays: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    for column in COLUMNS:
        own, other = getattr(log, column.name), getattr(later, column.name)
        if column.name in _TABLES:
            table = _TABLES[column.name]
            names = {name: at for at, name in enumerate(getattr(log, table))}
            codes = [names.setdefault(name, len(names)) for name in getattr(later, table)]
            other = np.array([*codes, -1], dtype=np.int64)[other]
            tables[table] = tuple(names)
        arrays[column.name] = np.concatenate([own, other])
    return PlaysLog(**arrays, **tables)
