"""Segment requests of a viewing log, made into chunks: what an edge misses of them in bytes.

The log has a row per session (`start_s`, `edge`, `user`, `item`, `rep`, `first_seg`, `n_seg`), its
catalogue one per item. Segment i of a session is asked for at `start_s + i * seg_s`. Some dozen
million such requests are grouped: a *chunk* is `CHUNK_SEGMENTS` segments of one item at one
rendition, asked for and kept as a whole by every policy alike. With one segment a chunk the replay
is exact; docs/results/segments.md says what the grouping changes.
"""

from __future__ import annotations

import csv
import gzip
import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.errors import InputError
from nearcast.units import DAY_S
from predictor.logs.plays import PlaysLog

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CHUNK_SEGMENTS: Final = 15
"""A minute of segments of 4 s."""
RENDITIONS: Final = 5
_SESSION_COLUMNS: Final = ("start_s", "edge", "user", "item", "rep", "first_seg", "n_seg")
_ITEM_COLUMNS: Final = (
    *("item", "title", "episode", "episodes", "n_seg", "seg_s", "launch_day"),
    *(f"kbps_{rendition}" for rendition in range(RENDITIONS)),
)
_BYTES_PER_KBPS_S: Final = 125.0


class SegmentLog(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions in order of start, and the items they read."""

    start_s: Floats
    edge: Ints
    viewer: Ints
    item: Ints
    rendition: Ints
    segments: Ints  # read, from the first on
    title: Ints  # (item,)
    episode: Ints  # (item,) from 0
    episodes: Ints  # (item,) of its title
    item_segments: Ints  # (item,)
    segment_s: float
    launch_s: Floats  # (item,) NaN: there from the start
    kbps: Floats  # (item, rendition)

    @property
    def catalogue_bytes(self) -> int:
        """All items at all renditions."""
        per_segment = self.kbps * self.segment_s * _BYTES_PER_KBPS_S
        return int((per_segment.sum(axis=1) * self.item_segments).sum())


class Chunks(msgspec.Struct, frozen=True, kw_only=True):
    """What an item is cut into; numbered item by item, rendition by rendition."""

    segments: int  # of one chunk
    count: Ints  # (item,) of one rendition
    first: Ints  # (item,) number of the first
    sizes_bytes: Ints  # (chunk,)
    copy_of: NDArray[np.int32]  # (chunk,) item * RENDITIONS + rendition


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """The chunks one edge is asked for, in order of time."""

    sessions: Ints  # positions in the log of this edge's sessions
    at_s: Floats
    session: NDArray[np.int32]  # (request,) position in `sessions`
    chunk: NDArray[np.int32]  # (request,) position in the copy
    number: NDArray[np.int32]  # (request,) of the chunk


def read_segment_log(sessions: Path, catalogue: Path) -> SegmentLog:
    """Raises InputError naming file and line of what makes no sense."""
    items = read_columns(catalogue, _ITEM_COLUMNS)
    rows = read_columns(sessions, _SESSION_COLUMNS)
    count = len(items["item"])
    if count == 0 or not np.array_equal(items["item"], np.arange(count)):
        raise InputError(f"{catalogue}: items must be numbered 0, 1, 2 ... in this order")
    if len(rows["item"]) == 0:
        raise InputError(f"{sessions} holds no sessions")
    item = rows["item"].astype(np.int64)
    whole = items["n_seg"].astype(np.int64)
    unknown = (item < 0) | (item >= count)
    bad = unknown | (rows["rep"] < 0) | (rows["rep"] >= RENDITIONS) | (rows["n_seg"] < 1)
    bad |= (rows["first_seg"] != 0) | (rows["user"] < 0) | (rows["edge"] < 0)
    bad |= rows["n_seg"] > whole[np.where(unknown, 0, item)]
    if bad.any():
        line = int(np.argmax(bad)) + 2
        raise InputError(
            f"{sessions}, line {line}: needed are an item of the catalogue, a rendition below "
            f"{RENDITIONS}, first_seg 0 and an n_seg from 1 to the item's"
        )
    if len(np.unique(items["seg_s"])) != 1 or (whole < 1).any():
        raise InputError(f"{catalogue}: items need segments, of one length")
    order = np.argsort(rows["start_s"], kind="stable")
    return SegmentLog(
        start_s=rows["start_s"][order],
        edge=rows["edge"].astype(np.int64)[order],
        viewer=np.unique(rows["user"][order], return_inverse=True)[1].astype(np.int64),
        item=item[order],
        rendition=rows["rep"].astype(np.int64)[order],
        segments=rows["n_seg"].astype(np.int64)[order],
        title=items["title"].astype(np.int64),
        episode=items["episode"].astype(np.int64),
        episodes=items["episodes"].astype(np.int64),
        item_segments=whole,
        segment_s=float(items["seg_s"][0]),
        launch_s=np.where(items["launch_day"] < 0, np.nan, items["launch_day"] * DAY_S),
        kbps=np.stack([items[f"kbps_{each}"] for each in range(RENDITIONS)], axis=1),
    )


def chunks_of(log: SegmentLog, segments: int = CHUNK_SEGMENTS) -> Chunks:
    """The whole catalogue, cut."""
    count = -(-log.item_segments // segments)
    first = np.concatenate([[0], np.cumsum(count * RENDITIONS)])
    total = int(first[-1])
    item = np.repeat(np.arange(len(count)), count * RENDITIONS)
    at = np.arange(total) - first[item]
    rendition, position = at // count[item], at % count[item]
    inside = np.minimum(segments, log.item_segments[item] - position * segments)
    per_segment = log.kbps[item, rendition] * log.segment_s * _BYTES_PER_KBPS_S
    return Chunks(
        segments=segments,
        count=count,
        first=first[:-1],
        sizes_bytes=np.maximum(inside * per_segment, 1.0).astype(np.int64),
        copy_of=(item * RENDITIONS + rendition).astype(np.int32),
    )


def demand_of(log: SegmentLog, chunks: Chunks, edge: int) -> Demand:
    """All chunk requests at one edge."""
    sessions = np.flatnonzero(log.edge == edge)
    count = -(-log.segments[sessions] // chunks.segments)
    session = np.repeat(np.arange(len(sessions)), count)
    position = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    own = sessions[session]
    at_s = log.start_s[own] + position * (chunks.segments * log.segment_s)
    item = log.item[own]
    number = chunks.first[item] + log.rendition[own] * chunks.count[item] + position
    order = np.argsort(at_s, kind="stable")
    return Demand(
        sessions=sessions,
        at_s=at_s[order],
        session=session[order].astype(np.int32),
        chunk=position[order].astype(np.int32),
        number=number[order].astype(np.int32),
    )


def plays_log(log: SegmentLog) -> PlaysLog:
    """The sessions as plays of episodes and films, for a model's features."""
    is_series = log.episodes[log.item] > 1
    count = len(log.item)
    return PlaysLog(
        viewer=log.viewer,
        start_s=log.start_s,
        watched_s=log.segments.astype(np.float64) * log.segment_s,
        runtime_s=log.item_segments[log.item].astype(np.float64) * log.segment_s,
        title=log.item,
        series=np.where(is_series, log.title[log.item], -1),
        season=is_series.astype(np.int64),
        episode=np.where(is_series, log.episode[log.item] + 1, 0),
        device=np.full(count, 2, dtype=np.int64),
        region=log.edge,
        release_s=log.launch_s[log.item],
        genre=np.full(count, -1, dtype=np.int64),
        utc_offset_h=np.zeros(count),
        viewers=_names(int(log.viewer.max()) + 1),
        titles=_names(len(log.title)),
        series_names=_names(int(log.title.max()) + 1),
        regions=_names(int(log.edge.max()) + 1),
        genres=(),
    )


def _names(count: int) -> tuple[str, ...]:
    return tuple(str(each) for each in range(count))


def read_columns(path: Path, columns: Sequence[str]) -> dict[str, Floats]:
    """The named columns of a CSV file, all of numbers. Raises InputError naming file and line."""
    try:
        with _open(path) as lines:
            rows = csv.reader(lines)
            header = [name.strip() for name in next(rows, [])]
            missing = [name for name in columns if name not in header]
            if missing:
                raise InputError(f"{path} lacks the columns {', '.join(missing)}")
            at = [header.index(name) for name in columns]
            values: list[Any] = []
            for line_no, row in enumerate(rows, start=2):
                try:
                    values.append([float(row[column]) for column in at])
                except (ValueError, IndexError) as error:
                    raise InputError(f"{path}, line {line_no}: {error}") from error
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot read {path}: {reason}") from error
    table = np.array(values, dtype=np.float64).reshape(-1, len(columns))
    bad = ~np.isfinite(table).all(axis=1)
    if bad.any():
        raise InputError(f"{path}, line {int(np.argmax(bad)) + 2}: not a number")
    return {name: table[:, index] for index, name in enumerate(columns)}


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")
