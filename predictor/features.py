"""What the next-episode model sees: one function for training and for serving.

A row describes one viewer in one episode at one moment, with what an edge can know then. Everything
is clipped into a stated range and scaled to order one, and unknowns have a neutral value, so a row
never holds a NaN, an infinity or a number the model has not met. Pure Python: the edge's core
builds single rows without arrays; `predictor.columns` holds the same formulas over arrays.

The label is "the successor episode starts within the horizon after this play ends". A row taken
while the episode still plays (`has_ended` false) therefore asks more than one taken at the end:
at progress 0.3 a viewer who is still watching will probably finish, one who has left will not go
on. Without that flag one model could serve only one of the two.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from nearcast.units import HOUR_S

# Raised whenever a feature changes its meaning, order or scaling: a model names the version it was
# trained on, and is refused by any other.
FEATURE_VERSION: Final = 2

FEATURE_NAMES: Final = (
    "progress",
    "watched_log_min",
    "runtime_h",
    "hour_sin",
    "hour_cos",
    "weekend",
    "run_length_log",
    "previous_gap_log_min",
    "device_tv",
    "device_mobile",
    "viewer_rate_log_odds",
    "viewer_series_rate_log_odds",
    "episode_no_log",
    "season_no_log",
    "plays_before_log",
    "session_log_min",
    "has_ended",
    "remaining_log_min",
)
FEATURE_COUNT: Final = len(FEATURE_NAMES)

# Where a viewer's past is asked about: going on within 30 minutes of a finished episode, as far
# back as an edge remembers: at least half of this, at most all of it.
HISTORY_S: Final = 30 * 86_400.0
CONTINUE_WITHIN_S: Final = 30 * 60.0
FINISHED_PROGRESS: Final = 0.9
RATE_PRIOR: Final = 0.70  # share of finished episodes followed within 30 minutes, all viewers
RATE_PRIOR_WEIGHT: Final = 10.0  # in episodes
SERIES_PRIOR_WEIGHT: Final = 3.0

# The model is asked at these shares of an episode.
CHECKPOINTS: Final = (0.10, 0.25, 0.50, 0.75, 0.90, 1.00)

# Beyond 1 where an episode is longer than was thought: those who stay past the credits go on less.
_PROGRESS_MAX: Final = 1.1
_WATCHED_S_MAX: Final = 4 * 3600.0
_RUNTIME_S_MAX: Final = 3 * 3600.0
_RUN_LENGTH_MAX: Final = 12
_PREVIOUS_GAP_S_MAX: Final = 7 * 86400.0
_PREVIOUS_GAP_S_UNKNOWN: Final = 10.3 * 3600.0  # median gap between two sessions
_RATE_MIN: Final = 0.02
_EPISODE_NO_MAX: Final = 60
_SEASON_NO_MAX: Final = 15
_PLAYS_BEFORE_MAX: Final = 12
_SESSION_S_MAX: Final = 600 * 60.0
_S_PER_MIN: Final = 60.0
_HOURS_PER_DAY: Final = 24.0


class WatchContext(msgspec.Struct, frozen=True, kw_only=True):
    """A viewer in an episode, now."""

    progress: float  # share of the episode played, 0..1, above if it is longer than was thought
    watched_s: float  # media time played of this episode, this sitting
    runtime_s: float  # duration of the episode
    local_hour: float  # 0 <= local_hour < 24 where the viewer is
    weekend: bool  # local Saturday or Sunday
    run_length: int  # consecutive episodes of the series in this sitting, this one included
    previous_gap_s: float | None  # from the end of the viewer's last play to the start of this one
    device_tv: bool
    device_mobile: bool
    viewer_rate_30min: float  # `smoothed_rate` of all this viewer's finished episodes before now
    viewer_series_rate_30min: float  # the same for this series, shrunk to the viewer's rate
    episode_no: int
    season_no: int
    plays_before_in_session: int
    session_s: float  # since the first play of the sitting began, this play included
    has_ended: bool = False  # the viewer stopped here (left, or the credits are over)


def smoothed_rate(
    continued_count: float,
    finished_count: float,
    *,
    prior: float = RATE_PRIOR,
    prior_weight: float = RATE_PRIOR_WEIGHT,
) -> float:
    """Share of finished episodes that were followed within 30 minutes, shrunk to `prior`.

    For the rate within one series give the viewer's own rate as `prior` and
    `SERIES_PRIOR_WEIGHT`.
    """
    return (continued_count + prior_weight * prior) / (finished_count + prior_weight)


def vector(context: WatchContext) -> tuple[float, ...]:
    """The model's row, in the order of FEATURE_NAMES; every value lies within [-4, 7]."""
    angle = math.tau * (_finite(context.local_hour, 0.0) % _HOURS_PER_DAY) / _HOURS_PER_DAY
    gap_s = context.previous_gap_s
    gap_s = _PREVIOUS_GAP_S_UNKNOWN if gap_s is None or math.isnan(gap_s) else gap_s
    return (
        _clip(context.progress, 0.0, _PROGRESS_MAX),
        _log_minutes(context.watched_s, _WATCHED_S_MAX),
        _clip(context.runtime_s, 0.0, _RUNTIME_S_MAX) / HOUR_S,
        math.sin(angle),
        math.cos(angle),
        float(context.weekend),
        math.log(_clip(context.run_length, 1, _RUN_LENGTH_MAX)),
        _log_minutes(gap_s, _PREVIOUS_GAP_S_MAX) / 2.0,  # 0..4.6: the widest range of all
        float(context.device_tv),
        float(context.device_mobile),
        _log_odds(context.viewer_rate_30min),
        _log_odds(context.viewer_series_rate_30min),
        math.log(_clip(context.episode_no, 1, _EPISODE_NO_MAX)),
        math.log(_clip(context.season_no, 1, _SEASON_NO_MAX)),
        math.log1p(_clip(context.plays_before_in_session, 0, _PLAYS_BEFORE_MAX)),
        _log_minutes(context.session_s, _SESSION_S_MAX),
        float(context.has_ended),
        _log_minutes((1.0 - context.progress) * context.runtime_s, _RUNTIME_S_MAX),
    )


def _finite(value: float, otherwise: float) -> float:
    return value if math.isfinite(value) else otherwise


def _clip(value: float, low: float, high: float) -> float:
    """NaN becomes `low`: `max(low, nan)` is `low` in Python, whose comparison with NaN is false."""
    return min(max(low, value), high)


def _log_minutes(time_s: float, max_s: float) -> float:
    return math.log1p(_clip(time_s, 0.0, max_s) / _S_PER_MIN)


def _log_odds(rate: float) -> float:
    rate = RATE_PRIOR if math.isnan(rate) else _clip(rate, _RATE_MIN, 1.0 - _RATE_MIN)
    return math.log(rate / (1.0 - rate))
