"""What an edge knows of its viewers, and when: starts, checkpoints and ends in order of time.

At a checkpoint or an end there are probabilities that the viewer goes on to the successor within
each horizon. They come from the model's features, made from the viewer's past alone, and depend on
no cache: so they are computed once for all policies. An edge sees that a viewer has left only after
`IDLE_S` without a request; if by then something else has started, the end tells nothing in time
(`LEFT_LATE`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.config import SessionsConfig
from nearcast.units import DAY_S, HOUR_S
from predictor.columns import Plays, rows_at, rows_at_end
from predictor.viewing.course import course_of
from predictor.viewing.episodes import rates_before
from simulation.prefetch.requests import Floats, Ints, Requests

START: Final = 0
CHECKPOINT: Final = 1
LEFT: Final = 2
LEFT_LATE: Final = 3

CHECKPOINTS: Final = (0.5, 0.75, 0.9)
"""Shares of a title at which an edge asks its model; before half-way it fetches nothing."""
IDLE_S: Final = SessionsConfig().idle_s
HORIZON_COUNT: Final = 3
_BATCH: Final = 512
_EPOCH_WEEKDAY: Final = 3  # as predictor.viewing.episodes has it
_SATURDAY: Final = 5

Answers = NDArray[np.float32]  # (plays, horizons)
Scorer = Callable[[NDArray[np.float32]], Answers]
"""(rows, features) -> (rows, horizons): a model."""


class Moments(msgspec.Struct, frozen=True, kw_only=True):
    """In order of time; ends come before what starts at the same time."""

    at_s: Floats
    ends_s: Floats  # when the play is over if it goes on to its end, or when it was
    kind: NDArray[np.int8]
    play: Ints
    share: Floats  # of the title that has been played
    probabilities: Answers  # (moment, horizon); zeros at starts


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """A model's answers about every play, whether it came so far or not."""

    at: tuple[Answers, ...]  # by CHECKPOINTS
    left: Answers


def score(requests: Requests, model: Scorer) -> Scores:
    plays = plays_of(requests)
    return Scores(
        at=tuple(_asked(model, rows_at(plays, share)) for share in CHECKPOINTS),
        left=_asked(model, rows_at_end(plays)),
    )


def moments_of(requests: Requests, scores: Scores, *, idle_s: float = IDLE_S) -> Moments:
    log = requests.log
    every = np.arange(len(log))
    completion = log.watched_s / log.runtime_s
    no_answers = np.zeros((len(log), HORIZON_COUNT), dtype=np.float32)
    is_late = requests.returns_s <= requests.leaves_s + idle_s
    noticed_s = np.minimum(
        requests.leaves_s + idle_s, np.maximum(requests.returns_s, requests.leaves_s)
    )
    parts = [
        (
            log.start_s,
            log.start_s + log.runtime_s,
            np.full(len(log), START),
            every,
            np.zeros(len(log)),
            no_answers,
        ),
        (
            noticed_s,
            requests.leaves_s,
            np.where(is_late, LEFT_LATE, LEFT),
            every,
            completion,
            scores.left,
        ),
    ]
    for checkpoint, answers in zip(CHECKPOINTS, scores.at, strict=True):
        there = np.flatnonzero((completion >= checkpoint) & (requests.successor >= 0))
        parts.append(
            (
                log.start_s[there] + checkpoint * log.runtime_s[there],
                log.start_s[there] + log.runtime_s[there],
                np.full(len(there), CHECKPOINT),
                there,
                np.full(len(there), checkpoint),
                answers[there],
            )
        )
    at_s, ends_s, kind, play, share, probabilities = (
        np.concatenate([part[column] for part in parts]) for column in range(6)
    )
    order = np.lexsort((play, kind == START, at_s))
    return Moments(
        at_s=at_s[order],
        ends_s=ends_s[order],
        kind=kind[order].astype(np.int8),
        play=play[order],
        share=share[order],
        probabilities=np.ascontiguousarray(probabilities[order], dtype=np.float32),
    )


def plays_of(requests: Requests) -> Plays:
    """The model's columns of every play, films included, in the order of the requests."""
    course = course_of(requests.log)
    viewer_rate, series_rate = rates_before(course)
    log = course.log
    local_s = log.local_s
    weekday = ((local_s // DAY_S).astype(np.int64) + _EPOCH_WEEKDAY) % 7
    # `course_of` sorts so; what it gives is put back into the order of time.
    order = np.lexsort((requests.log.start_s, requests.log.viewer))
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    plays = Plays(
        viewer=log.viewer,
        completion=course.completion,
        runtime_s=log.runtime_s,
        local_hour=local_s % DAY_S / HOUR_S,
        weekend=(weekday >= _SATURDAY).astype(np.float64),
        run_length=course.run_length.astype(np.float64),
        previous_gap_s=course.gap_s,
        device_tv=(log.device == 0).astype(np.float64),
        device_mobile=(log.device == 1).astype(np.float64),
        viewer_rate_30min=viewer_rate,
        viewer_series_rate_30min=series_rate,
        episode_no=np.maximum(log.episode, 1).astype(np.float64),
        season_no=np.maximum(log.season, 1).astype(np.float64),
        plays_before_in_session=course.plays_before.astype(np.float64),
        session_before_s=log.start_s - course.sitting_start_s,
        labels=np.zeros((len(log), HORIZON_COUNT), dtype=np.float32),
    )
    return plays.take(back)


def _asked(model: Scorer, rows: NDArray[np.float32]) -> Answers:
    answers = [model(rows[at : at + _BATCH]) for at in range(0, len(rows), _BATCH)]
    return np.concatenate(answers) if answers else np.zeros((0, HORIZON_COUNT), dtype=np.float32)
