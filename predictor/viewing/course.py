"""The course of each viewer through a log: sittings, runs, what followed what, and when.

Everything here is known from the log alone, an operator's or a generated one, by array operations;
`predictor.viewing.episodes` makes rows of it and `predictor.viewing.measure` statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictor.features import CONTINUE_WITHIN_S, FINISHED_PROGRESS
from predictor.logs.plays import PlaysLog

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_PER_S = 10.0  # starts are compared in tenths of seconds
_TOLERANCE = 10  # tenths


@dataclass(frozen=True, kw_only=True)
class Course:
    """Plays in order of viewer and time; columns of equal length unless said otherwise."""

    log: PlaysLog
    """The same plays, in this order."""
    is_first: Bools  # of its viewer
    end_s: Floats
    completion: Floats  # watched / run time
    gap_s: Floats  # from the end of the viewer's play before, at least 0; NaN for the first
    sitting: Ints  # counts up over all viewers
    sitting_start_s: Floats
    plays_before: Ints  # in the sitting
    run_length: Ints  # successors in a row in the sitting, this one included; 1 for a film
    is_episode: Bools
    follows: Bools  # it is the successor of the viewer's play before
    successor_s: Floats  # from the end to the viewer's first start of the successor; inf if never
    is_finished: Bools

    def __len__(self) -> int:
        return len(self.end_s)

    def next_of(self, column: NDArray[Any], missing: float) -> NDArray[Any]:
        """The column's value for the viewer's next play."""
        moved = np.append(column[1:], np.array([missing], dtype=column.dtype))
        return np.where(np.append(self.is_first[1:], True), np.array(missing, column.dtype), moved)


def course_of(log: PlaysLog) -> Course:
    order = np.lexsort((log.start_s, log.viewer))
    plays = log.take(order)
    count = len(plays)
    is_first = np.ones(count, dtype=bool)
    is_first[1:] = plays.viewer[1:] != plays.viewer[:-1]
    end_s = plays.start_s + plays.watched_s
    gap_s = np.full(count, np.nan)
    gap_s[1:] = np.maximum(plays.start_s[1:] - end_s[:-1], 0.0)
    gap_s[is_first] = np.nan
    is_new = is_first | (gap_s > CONTINUE_WITHIN_S)
    sitting = np.cumsum(is_new) - 1
    opened = np.flatnonzero(is_new)
    successor = successors(log)
    follows = np.zeros(count, dtype=bool)
    follows[1:] = (successor[plays.title[:-1]] == plays.title[1:]) & ~is_first[1:]
    return Course(
        log=plays,
        is_first=is_first,
        end_s=end_s,
        completion=plays.watched_s / plays.runtime_s,
        gap_s=gap_s,
        sitting=sitting,
        sitting_start_s=plays.start_s[opened][sitting],
        plays_before=np.arange(count) - opened[sitting],
        run_length=_counted_since(~(follows & ~is_new)),
        is_episode=plays.series >= 0,
        follows=follows,
        successor_s=_first_start_after(plays, successor, end_s) - end_s,
        is_finished=plays.watched_s >= FINISHED_PROGRESS * plays.runtime_s,
    )


def successors(log: PlaysLog) -> Ints:
    """(title,) The title of the next episode, as far as the log names it; -1 for none.

    The next number of the same season, or the first of the next season after the last number that
    is known of a season.
    """
    titles, at = np.unique(log.title, return_index=True)
    series, season, episode = log.series[at], log.season[at], log.episode[at]
    known = series >= 0
    titles, series, season, episode = (each[known] for each in (titles, series, season, episode))
    found = np.full(len(log.titles), -1, dtype=np.int64)
    if not len(titles):
        return found
    order = np.lexsort((episode, season, series))
    titles, series, season, episode = (each[order] for each in (titles, series, season, episode))
    same_season = (series[1:] == series[:-1]) & (season[1:] == season[:-1])
    next_season = (series[1:] == series[:-1]) & (season[1:] == season[:-1] + 1)
    is_next = (same_season & (episode[1:] == episode[:-1] + 1)) | (
        next_season & (episode[1:] == 1) & (season[:-1] > 0)
    )
    found[titles[:-1][is_next]] = titles[1:][is_next]
    return found


def _counted_since(is_reset: Bools) -> Ints:
    """1, 2, 3 ... from each reset; the first entry must be one."""
    at = np.arange(len(is_reset))
    return at - np.maximum.accumulate(np.where(is_reset, at, 0)) + 1


def _first_start_after(plays: PlaysLog, successor: Ints, end_s: Floats) -> Floats:
    """When the viewer first starts each play's successor after its end; inf if never."""
    if not len(plays):
        return np.zeros(0)
    titles = np.int64(len(plays.titles))
    pairs = plays.viewer * titles + plays.title
    known, code = np.unique(pairs, return_inverse=True)
    first_s = plays.start_s.min()
    span = np.int64((max(plays.start_s.max(), end_s.max()) - first_s) * _PER_S) + 2
    starts = code * span + ((plays.start_s - first_s) * _PER_S).astype(np.int64)
    order = np.argsort(starts, kind="stable")
    wanted = plays.viewer * titles + successor[plays.title]
    wanted_code = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    is_known = (successor[plays.title] >= 0) & (known[wanted_code] == wanted)
    # A second of tolerance: a start written in whole seconds may lie before the end it follows.
    after = wanted_code * span + np.maximum(
        ((end_s - first_s) * _PER_S).astype(np.int64) - _TOLERANCE, 0
    )
    at = np.searchsorted(starts[order], after)
    at_safe = np.minimum(at, len(order) - 1)
    hit = order[at_safe]
    is_there = is_known & (at < len(order)) & (code[hit] == wanted_code)
    return np.where(is_there, np.maximum(plays.start_s[hit], end_s), np.inf)
