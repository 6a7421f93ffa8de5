"""What the model is told about a viewer at a checkpoint."""

from __future__ import annotations

from typing import Final

from edge.sessions import Session
from edge.successors import Episode
from nearcast.local_time import LocalTime
from nearcast.units import DAY_S, HOUR_S
from predictor.features import WatchContext

_EPOCH_WEEKDAY: Final = 3  # the Unix epoch was a Thursday; Monday is 0
_SATURDAY: Final = 5


def watch_context(
    session: Session,
    episode: Episode | None,
    now_s: float,
    *,
    wall_s: float,
    local_time: LocalTime,
    share: float,
) -> WatchContext:
    """`share` is the checkpoint; at the last one the credits are over. The hour is the one in
    which the play began, as in logs."""
    viewer = session.viewer
    local_s = local_time.local_s(wall_s - (now_s - session.started_s))
    weekday = (int(local_s // DAY_S) + _EPOCH_WEEKDAY) % 7
    return WatchContext(
        progress=share,
        watched_s=session.progress.watched_s(now_s),
        runtime_s=session.progress.runtime_s,
        local_hour=local_s % DAY_S / HOUR_S,
        weekend=weekday >= _SATURDAY,
        run_length=viewer.run_length,
        previous_gap_s=viewer.previous_gap_s,
        device_tv=session.is_tv,
        device_mobile=session.is_mobile,
        viewer_rate_30min=viewer.rate(),
        viewer_series_rate_30min=(
            viewer.series_rate(episode.series) if episode is not None else viewer.rate()
        ),
        episode_no=episode.episode_no if episode is not None else 1,
        season_no=episode.season_no if episode is not None else 1,
        plays_before_in_session=viewer.plays_before,
        session_s=max(now_s - viewer.sitting_start_s, 0.0),
        has_ended=share >= 1.0,
    )
