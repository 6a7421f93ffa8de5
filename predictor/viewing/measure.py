"""Viewing statistics of a log: the same figures, counted the same way, as a measured file holds.

Plays below a minute are left out. A play counts towards "the successor starts within t" only if the
log goes on for t after its end; where it is too short for that, the figure is NaN.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from predictor.logs.plays import PlaysLog
from predictor.viewing.course import Bools, Course, Floats, Ints, course_of, successors
from predictor.viewing.statistics import (
    COMPLETION_BUCKETS,
    COMPLETION_EDGES,
    HOURS_PER_BIN,
    WITHIN,
    WITHIN_S,
    ViewingStatistics,
)

PLAY_S_MIN = 60.0
RUNS = (1, 2, 3, 4, 5, 6, 8, 10)
LAST_SERIES = (1, 2, 3, 5, 10)
KINDS = ("successor", "other_ep_same_series", "same_ep", "other_series", "movie")
_THIRTY_DAYS_S = 30 * 86_400.0
_PLAY_QUANTILES = ("0.5", "0.75", "0.9", "0.95", "0.99")
_MINUTE_QUANTILES = ("0.1", "0.25", "0.5", "0.75", "0.9", "0.99")
_GAP_QUANTILES = ("0.1", "0.25", "0.5", "0.75", "0.9")


def measure(log: PlaysLog) -> ViewingStatistics:
    """All statistics of the log's plays over a minute."""
    return measure_course(course_of(log.take(log.watched_s >= PLAY_S_MIN)))


def measure_course(course: Course) -> ViewingStatistics:
    episode = course.is_episode
    finished = episode & course.is_finished
    seen_for_s = course.end_s.max() - course.end_s
    within = {
        name: _share((course.successor_s <= at_s)[finished & (seen_for_s >= at_s)])
        for name, at_s in zip((*WITHIN, "30d"), (*WITHIN_S, _THIRTY_DAYS_S), strict=True)
    }
    soon = course.successor_s <= WITHIN_S[2]
    bucket = np.searchsorted(np.array(COMPLETION_EDGES[1:-1]), course.completion, side="right")
    hour = course.log.local_s / 3600.0 % 24.0
    two_hours = hour.astype(np.int64) // HOURS_PER_BIN
    kind = next_kinds(course)
    has_next = episode & (kind >= 0)
    next_gap_s = course.next_of(course.gap_s, np.inf)
    completions = _histogram(np.minimum((course.completion[episode] * 20).astype(np.int64), 19), 20)
    follows, resumes = depths(course)
    return ViewingStatistics(
        play_count=len(course),
        finished_count=int(finished.sum()),
        next_within_finished=within,
        next30_by_completion={
            name: _counted(soon[episode & (bucket == at)])
            for at, name in enumerate(COMPLETION_BUCKETS)
        },
        next30_by_run_finished={
            str(run): _counted(soon[finished & (course.run_length == run)]) for run in RUNS
        },
        next30_by_hour_finished={
            str(at * HOURS_PER_BIN): _share(soon[finished & (two_hours == at)]) for at in range(12)
        },
        next_kind_soon=_kind_shares(kind[has_next & finished & (next_gap_s <= WITHIN_S[2])]),
        next_kind_any=_kind_shares(kind[has_next]),
        starts_by_local_hour=tuple(_histogram(hour.astype(np.int64) % 24, 24).tolist()),
        completion_hist_20bins=tuple(completions.tolist()),
        dropoff_hazard_per_5pct=tuple(_hazard(course.completion[episode])),
        coverage_all={str(k): _share(follows <= k) for k in LAST_SERIES},
        coverage_episodes={str(k): _share((follows <= k)[episode]) for k in LAST_SERIES},
        resume_all={str(k): _share(resumes <= k) for k in LAST_SERIES},
        **_sittings(course),  # type: ignore[arg-type]
    )


def next_kinds(course: Course) -> Ints:
    """Position in KINDS of what the viewer plays next; -1 at the end of the log."""
    follows = course.next_of(course.follows, 0).astype(bool)
    next_title = course.next_of(course.log.title, -1)
    next_series = course.next_of(course.log.series, -1)
    kind = np.where(next_series == course.log.series, 1, 3)
    kind = np.where(next_series < 0, 4, kind)
    kind = np.where(next_title == course.log.title, 2, kind)
    kind = np.where(follows, 0, kind)
    return np.where(next_title < 0, -1, kind)


def depths(course: Course) -> tuple[Ints, Ints]:
    """How many series back is the one whose last episode this play follows, or resumes?

    1 is the series watched last; a large number stands for none. Films do not count as series.
    """
    log = course.log
    never = LAST_SERIES[-1] + 1
    follows, resumes = (np.full(len(log), never, dtype=np.int64) for _ in range(2))
    successor = successors(log)
    at = np.flatnonzero(course.is_episode)
    viewer, series, title = log.viewer[at], log.series[at], log.title[at]
    same = np.zeros(len(at), dtype=bool)
    same[1:] = (viewer[1:] == viewer[:-1]) & (series[1:] == series[:-1])
    before = np.append(-1, title[:-1])
    follows[at[same & (successor[before] == title)]] = 1
    resumes[at[same & (before == title)]] = 1
    # Only where the series changes do older ones matter: those few go one by one.
    recent: dict[int, list[int]] = defaultdict(list)  # the viewer's series, last one at the end
    last: dict[tuple[int, int], int] = {}
    changes = np.flatnonzero(~same)
    last_of_run = np.append(changes[1:], len(at)) - 1
    rows = zip(
        at[changes].tolist(),
        viewer[changes].tolist(),
        series[changes].tolist(),
        title[changes].tolist(),
        title[last_of_run].tolist(),
        strict=True,
    )
    for position, who, show, first_title, last_title in rows:
        shows = recent[who]
        if show in shows:
            depth = len(shows) - shows.index(show)
            before_title = last[who, show]
            if successor[before_title] == first_title:
                follows[position] = depth
            elif before_title == first_title:
                resumes[position] = depth
            shows.remove(show)
        shows.append(show)
        del shows[:-never]
        last[who, show] = last_title
    return follows, resumes


def _sittings(course: Course) -> dict[str, object]:
    count = int(course.sitting[-1]) + 1
    opened = np.flatnonzero(np.diff(course.sitting, prepend=-1))
    plays = np.bincount(course.sitting, minlength=count)
    ends_s = np.maximum.reduceat(course.end_s, opened)
    minutes = (ends_s - course.log.start_s[opened]) / 60.0
    runs = np.maximum.reduceat(np.where(course.is_episode, course.run_length, 0), opened)
    runs = runs[runs > 0]  # sittings with films alone have no run
    gaps_s = course.gap_s[opened]
    gaps_s = gaps_s[~np.isnan(gaps_s)]
    is_last = np.append(np.diff(course.log.viewer[opened]) != 0, True)
    away_s = course.end_s.max() - ends_s[is_last]
    return {
        "session_plays": _quantiles(plays, _PLAY_QUANTILES),
        "session_min": _quantiles(minutes, _MINUTE_QUANTILES),
        "session_mean_plays": float(plays.mean()),
        "max_run_dist": {str(run): _share(runs >= run) for run in RUNS},
        "intersession_h": _waits(gaps_s / 3600.0, away_s / 3600.0),
    }


def _quantiles(values: Floats | Ints, names: tuple[str, ...]) -> dict[str, float]:
    if not len(values):
        return dict.fromkeys(names, float("nan"))
    return {name: float(np.quantile(values, float(name))) for name in names}


def _waits(gaps_h: Floats, away_h: Floats) -> dict[str, float]:
    """Quantiles of gaps, of which those that last beyond the log's end are known to be longer than
    `away_h`: without these a log of weeks would show no long ones (Kaplan and Meier, 1958). NaN
    where the log is too short to tell."""
    lasted_h = np.concatenate([gaps_h, away_h])
    is_over = np.arange(len(lasted_h)) < len(gaps_h)
    order = np.lexsort((~is_over, lasted_h))
    waiting = np.arange(len(lasted_h), 0, -1)
    goes_on = np.cumprod(1.0 - is_over[order] / waiting)
    found = {}
    for name in _GAP_QUANTILES:
        is_reached = goes_on <= 1.0 - float(name)
        at = int(np.argmax(is_reached))
        found[name] = float(lasted_h[order][at]) if is_reached.any() else float("nan")
    return found


def _share(outcomes: Bools) -> float:
    return float(outcomes.mean()) if len(outcomes) else float("nan")


def _counted(outcomes: Bools) -> tuple[float, int]:
    return _share(outcomes), len(outcomes)


def _histogram(positions: Ints, bins: int) -> Floats:
    counts = np.bincount(positions, minlength=bins)
    return np.asarray(counts / max(1, counts.sum()))


def _hazard(completion: Floats) -> list[float]:
    """Of those who reached a twentieth of the run time, who stopped within it."""
    ends = np.bincount(np.minimum((completion * 20).astype(np.int64), 20), minlength=21)
    reached = np.cumsum(ends[::-1])[::-1]
    hazard: list[float] = (ends[:20] / np.maximum(1, reached[:20])).tolist()
    return hazard


def _kind_shares(kinds: Ints) -> dict[str, float]:
    shares = _histogram(kinds, len(KINDS)).tolist()
    return dict(zip(KINDS, shares, strict=True))
