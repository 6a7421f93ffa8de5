"""Rows of ended episode plays from any log: what the next-episode model is trained on.

Features are made from a viewer's past alone, as an edge would have had them (`edge.viewers`):
rates count finished episodes of the last weeks and which of them were followed by their successor
within half an hour. Labels look ahead: plays too near the end of the log to tell are left out.
"""

from __future__ import annotations

import numpy as np

from nearcast.units import DAY_S, HOUR_S
from predictor.columns import Floats, Plays
from predictor.features import (
    CONTINUE_WITHIN_S,
    HISTORY_S,
    SERIES_PRIOR_WEIGHT,
    smoothed_rate,
)
from predictor.logs.plays import PlaysLog
from predictor.viewing.course import Bools, Course, Ints, course_of

HORIZONS_S = (1800.0, 86_400.0, 604_800.0)
_EPOCH_WEEKDAY = 3  # the Unix epoch was a Thursday; Monday is 0
_SATURDAY = 5


def episodes_of(log: PlaysLog) -> Plays:
    """One entry per ended episode play, in order of viewer and time."""
    return episodes_in(course_of(log))


def episodes_in(course: Course) -> Plays:
    """As `episodes_of`, of a course already made."""
    log = course.log
    seen_until_s = float(course.end_s.max()) if len(course) else 0.0
    chosen = course.is_episode & (course.end_s + HORIZONS_S[-1] <= seen_until_s)
    if not chosen.any():
        # A log shorter than the longest horizon cannot tell; it is taken as all there is.
        chosen = course.is_episode
    viewer_rate, series_rate = rates_before(course)
    local_s = log.local_s
    weekday = ((local_s // DAY_S).astype(np.int64) + _EPOCH_WEEKDAY) % 7
    columns = {
        "completion": course.completion,
        "runtime_s": log.runtime_s,
        "local_hour": local_s % DAY_S / HOUR_S,
        "weekend": (weekday >= _SATURDAY).astype(np.float64),
        "run_length": course.run_length.astype(np.float64),
        "previous_gap_s": course.gap_s,
        "device_tv": (log.device == 0).astype(np.float64),
        "device_mobile": (log.device == 1).astype(np.float64),
        "viewer_rate_30min": viewer_rate,
        "viewer_series_rate_30min": series_rate,
        "episode_no": np.maximum(log.episode, 1).astype(np.float64),
        "season_no": np.maximum(log.season, 1).astype(np.float64),
        "plays_before_in_session": course.plays_before.astype(np.float64),
        "session_before_s": log.start_s - course.sitting_start_s,
    }
    labels = course.successor_s[:, None] <= np.array(HORIZONS_S)
    return Plays(
        viewer=log.viewer[chosen],
        labels=labels[chosen].astype(np.float32),
        **{name: column[chosen] for name, column in columns.items()},
    )


def rates_before(course: Course) -> tuple[Floats, Floats]:
    """Each play's viewer's rate of going on, over all series and in this one, before the play.

    Counted as an edge does (`edge.viewers.Viewer`), which forgets: what was known when a play
    began, of the stretch of HISTORY_S / 2 that it lies in and the one before; stretches begin with
    the viewer's first play. That an edge keeps only the latest thirty series is not followed.
    """
    log = course.log
    follows_soon = course.next_of(course.follows, 0).astype(bool) & (
        course.next_of(course.gap_s, np.inf) <= CONTINUE_WITHIN_S
    )
    # After a longer pause an edge knows nothing of the play before.
    finished = course.is_episode & course.is_finished
    finished &= course.next_of(course.gap_s, np.inf) <= HISTORY_S
    continued = finished & follows_soon
    # A play's outcome is known when the next one begins, and belongs to that one's stretch.
    since = _remembered_from(course) - 1
    by_viewer = _counted_between(log.viewer, since, finished, continued)
    series = log.viewer * np.int64(len(log.series_names) + 1) + log.series + 1
    by_series = _counted_between(series, since, finished, continued)
    viewer_rate = np.asarray(smoothed_rate(by_viewer[1], by_viewer[0]))  # type: ignore[arg-type]
    series_rate = smoothed_rate(
        by_series[1],  # type: ignore[arg-type]
        by_series[0],  # type: ignore[arg-type]
        prior=viewer_rate,  # type: ignore[arg-type]
        prior_weight=SERIES_PRIOR_WEIGHT,
    )
    return viewer_rate, np.asarray(series_rate)


def _remembered_from(course: Course) -> Ints:
    """The position of the viewer's first play in each play's stretch or the one before."""
    start_s = course.log.start_s
    viewer = np.cumsum(course.is_first) - 1
    first_s = start_s[course.is_first][viewer]
    stretch = np.floor_divide(start_s - first_s, HISTORY_S / 2.0).astype(np.int64)
    span = np.int64(stretch.max(initial=0) + 2)
    earlier = viewer * span + np.maximum(stretch - 1, 0)
    return np.asarray(np.searchsorted(viewer * span + stretch, earlier))


def _counted_between(group: Ints, since: Ints, *outcomes: Bools) -> tuple[Floats, ...]:
    """How often each outcome was true of the same group, at positions from `since` to before."""
    count = np.int64(len(group) + 1)
    position = np.arange(len(group))
    named = np.unique(group, return_inverse=True)[1] * count
    order = np.argsort(named, kind="stable")
    keys = named[order] + order
    low = np.searchsorted(keys, named + np.maximum(since, 0))
    high = np.searchsorted(keys, named + position)
    found = []
    for outcome in outcomes:
        before = np.concatenate([[0], np.cumsum(outcome[order])])
        found.append((before[high] - before[low]).astype(np.float64))
    return tuple(found)
