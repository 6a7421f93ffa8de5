"""The formulas of `predictor.features` over arrays: training makes a million rows at a time.

A property test holds the two together, value for value. `Plays` is what training and measuring
work on: one entry per ended episode play. A play gives one row for each checkpoint it reached,
with what was known then, and one for its end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearcast.units import HOUR_S
from predictor import features

Floats = NDArray[np.float64]

HORIZONS = ("30min", "24h", "7d")
END = "end"  # the row taken when the play has ended, at whatever progress


@dataclass(frozen=True, kw_only=True)
class Plays:
    """Ended episode plays as columns of equal length; units as in `WatchContext`."""

    viewer: NDArray[np.int64]  # whose play, or the closest to it that is known; only for splitting
    completion: Floats  # share watched, may exceed 1
    runtime_s: Floats
    local_hour: Floats
    weekend: Floats
    run_length: Floats
    previous_gap_s: Floats  # NaN where there was no play before
    device_tv: Floats
    device_mobile: Floats
    viewer_rate_30min: Floats
    viewer_series_rate_30min: Floats
    episode_no: Floats
    season_no: Floats
    plays_before_in_session: Floats
    session_before_s: Floats  # from the start of the sitting to the start of this play
    labels: NDArray[np.float32]  # (plays, horizons), 0 or 1

    def __len__(self) -> int:
        return len(self.completion)

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Plays:
        """The plays named by a mask or by positions."""
        columns = {name: getattr(self, name)[chosen] for name in self.__dataclass_fields__}
        return Plays(**columns)


def reached(plays: Plays, checkpoint: float) -> Plays:
    """The plays that were still running at `checkpoint`."""
    return plays.take(plays.completion >= checkpoint)


def rows_at(plays: Plays, checkpoint: float) -> NDArray[np.float32]:
    """Rows (plays, FEATURE_COUNT) as known at `checkpoint`; give only plays that reached it."""
    return _rows(plays, np.full(len(plays), checkpoint), has_ended=False)


def rows_at_end(plays: Plays) -> NDArray[np.float32]:
    """Rows (plays, FEATURE_COUNT) as known when the plays had ended."""
    return _rows(plays, plays.completion, has_ended=True)


def _rows(plays: Plays, progress: Floats, *, has_ended: bool) -> NDArray[np.float32]:
    played_s = progress * plays.runtime_s
    angle = math.tau * (plays.local_hour % features._HOURS_PER_DAY) / features._HOURS_PER_DAY
    gap_s = np.where(
        np.isnan(plays.previous_gap_s), features._PREVIOUS_GAP_S_UNKNOWN, plays.previous_gap_s
    )
    columns = (
        np.clip(progress, 0.0, features._PROGRESS_MAX),
        _log_minutes(played_s, features._WATCHED_S_MAX),
        np.clip(plays.runtime_s, 0.0, features._RUNTIME_S_MAX) / HOUR_S,
        np.sin(angle),
        np.cos(angle),
        plays.weekend,
        np.log(np.clip(plays.run_length, 1, features._RUN_LENGTH_MAX)),
        _log_minutes(gap_s, features._PREVIOUS_GAP_S_MAX) / 2.0,
        plays.device_tv,
        plays.device_mobile,
        _log_odds(plays.viewer_rate_30min),
        _log_odds(plays.viewer_series_rate_30min),
        np.log(np.clip(plays.episode_no, 1, features._EPISODE_NO_MAX)),
        np.log(np.clip(plays.season_no, 1, features._SEASON_NO_MAX)),
        np.log1p(np.clip(plays.plays_before_in_session, 0, features._PLAYS_BEFORE_MAX)),
        _log_minutes(plays.session_before_s + played_s, features._SESSION_S_MAX),
        np.full(len(plays), float(has_ended)),
        _log_minutes((1.0 - progress) * plays.runtime_s, features._RUNTIME_S_MAX),
    )
    return np.stack(columns, axis=1).astype(np.float32)


def _log_minutes(time_s: Floats, max_s: float) -> Floats:
    return np.log1p(np.clip(time_s, 0.0, max_s) / features._S_PER_MIN)


def _log_odds(rate: Floats) -> Floats:
    rate = np.clip(rate, features._RATE_MIN, 1.0 - features._RATE_MIN)
    return np.asarray(np.log(rate / (1.0 - rate)))
