"""A viewing log made into what a replay needs: requests by edge, and what each hour would report.

The segment log of simulation/prefetch/segments.py, with genres. What an edge would tell the origin
of an hour (`hour_demand`) is only what was over or had begun by its end: a viewing counts from its
start, how far it went from its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.errors import InputError
from origin.placement.demand import WATCHED_BINS, HourDemand, Titles
from simulation.placement.residency import HOUR_S
from simulation.prefetch.segments import (
    RENDITIONS,
    Chunks,
    Floats,
    Ints,
    SegmentLog,
    chunks_of,
    read_columns,
    read_segment_log,
)

DAY_HOURS: Final = 24
HALF: Final = 0.5
"""Of an episode: who saw so much is about to want the next one (nearcast.telemetry)."""
DAYS_MAX: Final = 1_000
GENRES_MAX: Final = 10_000


class Requests(msgspec.Struct, frozen=True, eq=False):
    """One edge's, in order of time."""

    at_s: Floats
    chunk: NDArray[np.int32]
    segments: NDArray[np.int16]  # of the chunk, from its first


class Trace(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    log: SegmentLog
    chunks: Chunks
    chunk_segments: Ints  # (chunk,)
    segment_bytes: Floats  # (chunk,)
    chunk_bytes: Floats  # (chunk,)
    titles: Titles
    edges: tuple[int, ...]
    """Numbers of the log's edges; positions count below."""
    requests: tuple[Requests, ...]
    hours: int
    """Until the last viewing began: there is a plan for these."""
    flow_hours: int
    """Until the last of them was served: viewings go on after the log's end."""
    _hourly: tuple[HourDemand, ...]

    @property
    def days(self) -> int:
        return -(-self.hours // DAY_HOURS)

    @property
    def copy_bytes(self) -> Floats:  # (title * RENDITIONS + rendition,)
        return self.titles.size_bytes.ravel()

    def hour_demand(self, hour: int) -> HourDemand:
        """What all edges together reported of this hour."""
        return self._hourly[hour]


def read_trace(sessions: Path, catalogue: Path) -> Trace:
    """Raises InputError naming file and line of what makes no sense."""
    log = read_segment_log(sessions, catalogue)
    genre = _genres(catalogue, len(log.title))
    if (log.start_s < 0).any():
        raise InputError(
            f"{sessions}: start_s counts from the first day's midnight, so none is < 0"
        )
    if not (log.start_s < DAYS_MAX * DAY_HOURS * HOUR_S).all():
        raise InputError(
            f"{sessions}: start_s {log.start_s.max():g} is more than {DAYS_MAX} days; it counts "
            "from the first day's midnight, not from 1970"
        )
    if not (np.isfinite(log.kbps).all() and (log.kbps > 0).all()):
        item = int(np.flatnonzero(~(np.isfinite(log.kbps) & (log.kbps > 0)).all(axis=1))[0])
        raise InputError(f"{catalogue}: item {item} has a rate of {log.kbps[item].min():g} kbit/s")
    return trace_of(log, genre)


def trace_of(log: SegmentLog, genre: Ints) -> Trace:
    chunks = chunks_of(log)
    copy = chunks.copy_of.astype(np.int64)
    item, rendition = copy // RENDITIONS, copy % RENDITIONS
    position = np.arange(len(copy)) - chunks.first[item] - rendition * chunks.count[item]
    inside = np.minimum(chunks.segments, log.item_segments[item] - position * chunks.segments)
    segment_bytes = (log.kbps * log.segment_s * 125.0)[item, rendition]
    edges = tuple(int(each) for each in np.unique(log.edge))
    hours = int(log.start_s.max() // HOUR_S) + 1
    titles = _titles(log, genre)
    requests = tuple(_requests(log, chunks, edge) for edge in edges)
    return Trace(
        log=log,
        chunks=chunks,
        chunk_segments=inside,
        segment_bytes=segment_bytes,
        chunk_bytes=inside * segment_bytes,
        titles=titles,
        edges=edges,
        requests=requests,
        hours=hours,
        flow_hours=max(int(each.at_s[-1] // HOUR_S) + 1 for each in requests),
        _hourly=tuple(_hourly(log, titles.successor, edges, hours)),
    )


def _genres(catalogue: Path, count: int) -> Ints:
    try:
        genre = read_columns(catalogue, ("genre",))["genre"]
    except InputError:
        return np.zeros(count, dtype=np.int64)  # a catalogue without genres: tastes are all alike
    if (genre < 0).any() or (genre >= GENRES_MAX).any():
        raise InputError(f"{catalogue}: genres are numbered from 0, below {GENRES_MAX}")
    return genre.astype(np.int64)


def _titles(log: SegmentLog, genre: Ints) -> Titles:
    duration_s = log.item_segments.astype(np.float64) * log.segment_s
    return Titles(
        genre=genre,
        is_film=log.episodes == 1,
        episode=log.episode,
        series=np.unique(log.title, return_inverse=True)[1].astype(np.int64),
        successor=_followers(log),
        release_hour=np.where(
            np.isnan(log.launch_s), -np.inf, np.nan_to_num(log.launch_s) / HOUR_S
        ),
        duration_s=duration_s,
        size_bytes=log.kbps * 125.0 * duration_s[:, None],
    )


def _requests(log: SegmentLog, chunks: Chunks, edge: int) -> Requests:
    sessions = np.flatnonzero(log.edge == edge)
    count = -(-log.segments[sessions] // chunks.segments)
    own = np.repeat(sessions, count)
    position = np.arange(len(own)) - np.repeat(np.cumsum(count) - count, count)
    at_s = log.start_s[own] + position * (chunks.segments * log.segment_s)
    item = log.item[own]
    order = np.argsort(at_s, kind="stable")
    number = chunks.first[item] + log.rendition[own] * chunks.count[item] + position
    asked = np.minimum(chunks.segments, log.segments[own] - position * chunks.segments)
    return Requests(
        at_s[order],
        number[order].astype(np.int32),
        asked[order].astype(np.int16),
    )


def _hourly(log: SegmentLog, successor: Ints, edges: Sequence[int], hours: int) -> list[HourDemand]:
    edge = np.searchsorted(np.array(edges), log.edge)
    began = (log.start_s // HOUR_S).astype(np.int64)
    ended = ((log.start_s + log.segments * log.segment_s) // HOUR_S).astype(np.int64)
    fraction = log.segments / log.item_segments[log.item]
    follower = successor[log.item]
    is_film = (log.episodes[log.item] == 1).astype(np.int64)
    part = np.minimum((fraction * WATCHED_BINS).astype(np.int64), WATCHED_BINS - 1)
    by_end = np.argsort(ended, kind="stable")
    starts = np.searchsorted(began, np.arange(hours + 1))
    ends = np.searchsorted(ended[by_end], np.arange(hours + 1))
    found = []
    for hour in range(hours):
        new = slice(starts[hour], starts[hour + 1])
        over = by_end[ends[hour] : ends[hour + 1]]
        going_on = over[(fraction[over] >= HALF) & (follower[over] >= 0)]
        watched = np.zeros((2, WATCHED_BINS))
        np.add.at(watched, (is_film[over], part[over]), 1.0)
        found.append(
            HourDemand(
                edge=edge[new],
                title=log.item[new],
                rendition=log.rendition[new],
                sessions=np.ones(new.stop - new.start),
                next_edge=edge[going_on],
                next_title=follower[going_on],
                next_sessions=np.ones(len(going_on)),
                watched=watched,
            )
        )
    return found


def _followers(log: SegmentLog) -> Ints:  # (item,) -1: none
    order = np.lexsort((log.episode, log.title))
    follows = (log.title[order][1:] == log.title[order][:-1]) & (
        log.episode[order][1:] == log.episode[order][:-1] + 1
    )
    found = np.full(len(order), -1, dtype=np.int64)
    found[order[:-1][follows]] = order[1:][follows]
    return found
