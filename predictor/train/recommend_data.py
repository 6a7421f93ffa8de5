"""Logs of plays or of ratings as histories of first plays, the form all title models learn from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.errors import InputError
from predictor.logs.columns import Column, Gathered
from predictor.logs.plays import PlaysLog, read_plays
from predictor.logs.tables import column_names, pieces_of
from predictor.recommend.history import Floats, Ints

PLAY_S_MIN: Final = 60.0  # below a minute it was a preview
RATINGS: Final = (
    Column(name="userId", kind="name", needed=True),
    Column(name="movieId", kind="name", needed=True),
    Column(name="rating", kind="number"),
    Column(name="timestamp", kind="number", needed=True),
)


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """First plays in order of time: who took up which title; events that stand at one second
    keep the file's order."""

    viewer: Ints
    title: Ints
    at_s: Floats
    viewers: tuple[str, ...]
    titles: tuple[str, ...]
    genre: Ints  # (titles,), -1 where unknown
    genres: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.viewer)

    def take(self, chosen: NDArray[np.bool_] | slice) -> Listing:
        """Some of the events, under the same numbers."""
        return msgspec.structs.replace(
            self, viewer=self.viewer[chosen], title=self.title[chosen], at_s=self.at_s[chosen]
        )


def read_listing(path: Path) -> tuple[Listing, str]:
    """First plays of a log of plays or of ratings, and the file's SHA-256. Raises InputError."""
    found = column_names(path)
    if "movieId" in found:
        listing = _of_ratings(path)
    elif "title" in found:
        listing = of_plays(read_plays(path))
    else:
        raise InputError(
            f"{path} has the columns {', '.join(found[:8])}; needed is a log of plays (viewer, "
            "start_s, watched_s, runtime_s, title) or of ratings (userId, movieId, rating, "
            "timestamp)"
        )
    if not len(listing):
        raise InputError(f"{path} holds no plays of a minute or more")
    with path.open("rb") as file:
        return listing, hashlib.file_digest(file, "sha256").hexdigest()


def of_plays(log: PlaysLog) -> Listing:
    """A series is one title, taken up with its first episode."""
    log = log.take(log.watched_s >= PLAY_S_MIN)
    films = len(log.series_names)
    title = np.where(log.series >= 0, log.series, films + log.title)
    names = tuple(f"series:{name}" for name in log.series_names) + log.titles
    genre = np.full(len(names), -1, dtype=np.int64)
    genre[title] = log.genre
    return _first_plays(log.viewer, title, log.start_s, log.viewers, names, genre, log.genres)


def _of_ratings(path: Path) -> Listing:
    gathered = Gathered(RATINGS, str(path))
    names = [column.name for column in RATINGS]
    needed = [column.name for column in RATINGS if column.needed]
    for first_line, piece in pieces_of(path, names, needed=needed):
        gathered.add(piece, first_line)
    columns, tables = gathered.columns()
    order = np.argsort(columns["timestamp"], kind="stable")
    viewer, title, at_s = (columns[name][order] for name in needed)
    titles = tables["movieId"]
    unknown = np.full(len(titles), -1, dtype=np.int64)
    return _first_plays(viewer, title, at_s, tables["userId"], titles, unknown, ())


def _first_plays(
    viewer: Any,
    title: Any,
    at_s: Any,
    viewers: tuple[str, ...],
    titles: tuple[str, ...],
    genre: Ints,
    genres: tuple[str, ...],
) -> Listing:
    _, first = np.unique(viewer * len(titles) + title, return_index=True)
    first = np.sort(first)
    return Listing(
        viewer=viewer[first],
        title=title[first],
        at_s=at_s[first],
        viewers=viewers,
        titles=titles,
        genre=genre,
        genres=genres,
    )
