"""One line that says how playback is going."""

from __future__ import annotations

from abr.status import PlayerStatus
from nearcast.units import BITS_PER_KBIT

BAR_WIDTH = 5
STATES = {"startup": "wait", "playing": "play", "stalled": "STALL", "ended": "end"}


def clock_text(time_s: float | None) -> str:
    """`1:02`, or `-:--` for an unknown time."""
    if time_s is None:
        return "-:--"
    minutes, seconds = divmod(int(time_s), 60)
    return f"{minutes}:{seconds:02d}"


def rate_text(rate_kbps: float | None) -> str:
    """`850 kbit/s` or `4.2 Mbit/s`."""
    if rate_kbps is None:
        return "-"
    if rate_kbps < BITS_PER_KBIT:
        return f"{rate_kbps:.0f} kbit/s"
    return f"{rate_kbps / BITS_PER_KBIT:.1f} Mbit/s"


def live_line(status: PlayerStatus, now_s: float, buffer_limit_s: float) -> str:
    """At most 79 characters for usual figures; the caller cuts what is longer."""
    position_s = status.position_at(now_s)
    buffer_s = max(0.0, status.buffered_end_s - position_s)
    filled = min(BAR_WIDTH, round(BAR_WIDTH * buffer_s / buffer_limit_s))
    bar = "#" * filled + "." * (BAR_WIDTH - filled)
    rung = "-" if status.rung is None else f"{status.rung + 1}/{status.rung_count}"
    hits = f", {status.edge_hit_count}/{status.response_count} hits"
    return (
        f"{STATES[status.state]} {clock_text(position_s)}/{clock_text(status.duration_s)} "
        f"[{bar}] {buffer_s:.0f} s, rung {rung}, {rate_text(status.throughput_kbps)}, "
        f"{status.stall_count} stalls{hits if status.edge_hit_count else ''}"
    )
