"""How the viewings of a title went, from their sums."""

from __future__ import annotations

from nearcast.units import HOUR_S
from origin.control.api import TitleViewings
from origin.telemetry.ratios import mean, share
from origin.telemetry.sums import SessionSum


def viewings(told: SessionSum) -> TitleViewings:
    """Figures that nothing was told of are None."""
    return TitleViewings(
        session_count=told.session_count,
        watched_share=share(told.watched_s, told.duration_s),
        startup_s=mean(told.startup_s, told.startup_count),
        stalls_per_hour=mean(told.stall_count, told.watched_s / HOUR_S),
        bitrate_kbps=mean(told.bitrate_kbps, told.bitrate_count),
        error_count=told.error_count,
    )
