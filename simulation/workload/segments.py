"""Segment requests of a log of plays: what an edge is asked for, in order of time.

Each play asks for one segment after the other, `SEGMENT_S` apart, at a rung of the ladder drawn for
the viewer's link and left now and then for the one below. An episode that is taken up again goes on
where it was left. A segment's size is its rung times a complexity of its own, the same whoever asks
and at every rung. Requests are made a window at a time, so memory holds a few hours of them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from nearcast.errors import InputError
from nearcast.seeds import Seeds
from nearcast.text_file import open_text
from nearcast.units import bytes_per_s_from_kbps
from predictor.logs.plays import PlaysLog
from predictor.viewing.course import Floats, Ints
from simulation.replay.requests import COLUMNS

SEGMENT_S: Final = 4.0
RUNGS_KBPS: Final = (400.0, 1000.0, 2500.0, 5000.0)
_WINDOW_S = 2 * 3600.0
_PLAY_S_MAX = 12 * 3600.0  # a longer play is cut: it bounds how far back a window must look
_SIZE_SPREAD = 0.25  # of the log of a segment's size around its rung's
_DROP_SHARE = 0.08  # of the time spent a rung below one's own
_DROP_SEGMENTS = 15  # how long such a time lasts
# Which rung links of televisions, phones and others sustain; assumed.
_RUNG_SHARES = ((0.02, 0.08, 0.30, 0.60), (0.15, 0.45, 0.30, 0.10), (0.05, 0.20, 0.45, 0.30))


class SegmentRequests(msgspec.Struct, frozen=True, kw_only=True):
    """A window of requests, sorted by time; columns of equal length."""

    t_s: Floats
    title: Ints
    rung: Ints  # position in RUNGS_KBPS
    segment_no: Ints  # from 1
    size_bytes: Ints


def segment_requests(log: PlaysLog, seed: int) -> Iterator[SegmentRequests]:
    """Windows of requests in order; the same log and seed give the same ones."""
    seeds = Seeds(seed)
    rung = _rungs_of(log, seeds)
    first = _first_segments(log)
    watched_s = np.minimum(log.watched_s, _PLAY_S_MAX)
    counts = np.ceil(watched_s / SEGMENT_S).astype(np.int64)
    until_s = float((log.start_s + watched_s).max()) if len(log) else 0.0
    window_s = float(log.start_s[0]) if len(log) else 0.0
    while window_s < until_s:
        low, high = np.searchsorted(log.start_s, [window_s - _PLAY_S_MAX, window_s + _WINDOW_S])
        plays = np.arange(low, high)
        # Of each play the segments whose time lies within the window.
        since_s = window_s - log.start_s[plays]
        begin = np.clip(np.ceil(since_s / SEGMENT_S), 0, counts[plays]).astype(np.int64)
        end = np.ceil((since_s + _WINDOW_S) / SEGMENT_S)
        end = np.clip(end, begin, counts[plays]).astype(np.int64)
        number = end - begin
        play = np.repeat(plays, number)
        opened = np.cumsum(number) - number
        at = np.arange(len(play)) - np.repeat(opened, number) + np.repeat(begin, number)
        t_s = log.start_s[play] + SEGMENT_S * at
        segment = first[play] + at
        drops = _hashed(play, at // _DROP_SEGMENTS, seed) < _DROP_SHARE
        chosen = np.maximum(rung[play] - drops, 0)
        order = np.argsort(t_s, kind="stable")
        title, segment, chosen = log.title[play][order], segment[order], chosen[order]
        if len(order):
            yield SegmentRequests(
                t_s=t_s[order],
                title=title,
                rung=chosen,
                segment_no=segment + 1,
                size_bytes=segment_bytes(title, segment, chosen, seed),
            )
        window_s += _WINDOW_S


def segment_bytes(title: Ints, segment: Ints, rung: Ints, seed: int) -> Ints:
    """Sizes that depend on the title, the segment and the rung alone."""
    # The sum of four uniform draws is normal enough for a complexity.
    draws = sum(_hashed(title, segment, seed + 1 + part) for part in range(4))
    normal = (np.asarray(draws) - 2.0) * np.sqrt(3.0)
    rates = np.array([bytes_per_s_from_kbps(rate) for rate in RUNGS_KBPS])
    factor = np.exp(_SIZE_SPREAD * normal - _SIZE_SPREAD**2 / 2)
    return np.asarray(np.maximum((rates[rung] * SEGMENT_S * factor).astype(np.int64), 1))


def write_segments(path: Path, log: PlaysLog, seed: int) -> int:
    """As CSV (plain, .gz, .xz) for `nearcast simulate cache`; returns how many requests."""
    count = 0
    try:
        with open_text(path, "wt") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(COLUMNS)
            for window in segment_requests(log, seed):
                count += len(window.t_s)
                columns = zip(
                    window.t_s.tolist(),
                    window.title.tolist(),
                    window.rung.tolist(),
                    window.segment_no.tolist(),
                    window.size_bytes.tolist(),
                    strict=True,
                )
                file.writelines(
                    f"{t_s:.3f},{log.titles[title]}/v{RUNGS_KBPS[rung]:g}/{no},{size}\n"
                    for t_s, title, rung, no, size in columns
                )
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    return count


def _rungs_of(log: PlaysLog, seeds: Seeds) -> Ints:
    """(play,) The rung each play sustains: by the viewer's link, and by device."""
    draw = seeds.stream("workload/links").random(len(log.viewers))
    cumulative = np.cumsum(_RUNG_SHARES, axis=1)
    cumulative[:, -1] = 1.0
    found = (draw[log.viewer][:, None] >= cumulative[log.device]).sum(axis=1)
    return np.asarray(np.minimum(found, len(RUNGS_KBPS) - 1))


def _first_segments(log: PlaysLog) -> Ints:
    """(play,) Where each play begins: where the viewer left the title, unless it was near the end.

    Positions are in segments, and a play never runs past the title's end.
    """
    order = np.lexsort((log.start_s, log.title, log.viewer))
    viewer, title = log.viewer[order], log.title[order]
    follows = np.zeros(len(order), dtype=bool)
    follows[1:] = (viewer[1:] == viewer[:-1]) & (title[1:] == title[:-1])
    runtime_s, watched_s = log.runtime_s[order], log.watched_s[order]
    left_s = np.append(0.0, watched_s[:-1])
    left_s = np.where(follows & (left_s < 0.95 * runtime_s), left_s, 0.0)
    start_s = np.clip(np.minimum(left_s, runtime_s - watched_s), 0.0, None)
    first = np.empty(len(order), dtype=np.int64)
    first[order] = (start_s / SEGMENT_S).astype(np.int64)
    return first


def _hashed(first: Ints, second: Ints, salt: int) -> Floats:
    """Uniform in [0, 1) by two numbers: splitmix64, so that no draw depends on another's order."""
    mixed = first.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed += second.astype(np.uint64) * np.uint64(0xBF58476D1CE4E5B9)
    mixed += np.uint64(salt * 0x94D049BB133111EB % 2**64)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return np.asarray((mixed >> np.uint64(11)).astype(np.float64) / 2.0**53)
