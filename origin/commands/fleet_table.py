"""The fleet as lines of text, 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterator

from nearcast.fleet import EdgeProfile
from nearcast.units import format_size
from origin.control.api import EdgeRow, FleetTotals
from origin.control.rows import group

HEADER = (
    f"{'edge':<20} {'state':<11} {'seen':>6} {'load':>5} {'hit':>5} {'origin':>9} "
    f"{'store':>9} {'plan':>8}"
)


def lines(totals: FleetTotals, rows: tuple[EdgeRow, ...]) -> Iterator[str]:
    if rows:
        yield HEADER
    for row in rows:
        yield line(row)
    yield summary(totals)


def line(row: EdgeRow) -> str:
    recent = row.recent
    plan = f"{row.plan_files_held}/{row.plan_files}" if row.plan_id else "-"
    store = "full" if row.is_failing else _share(row.used_bytes, row.capacity_bytes)
    return (
        f"{_cut(row.edge, 20):<20} {group(row):<11} {_age(row.heartbeat_age_s):>6} "
        f"{row.load_share:>5.0%} {_ratio(recent.hit_ratio):>5} {rate(recent.origin_kbps):>9} "
        f"{store:>9} {_cut(plan, 8):>8}"
    ).rstrip()


def summary(totals: FleetTotals) -> str:
    states = ", ".join(f"{count} {state}" for state, count in totals.by_state.items())
    recent = totals.recent
    text = f"{totals.edge_count} edges ({states})" if states else "no edges"
    if recent.client_kbps:
        text += (
            f"; {rate(recent.client_kbps)} to players, {rate(recent.origin_kbps)} from the origin"
        )
    if totals.is_database_away:
        text += f"; {totals.database_trouble or 'the database is away'}"
    return text


def profile_lines(edge: str, profile: EdgeProfile) -> Iterator[str]:
    """What is known of an edge from its enrolment and from the operator."""
    clocks = profile.time_zone or f"UTC{profile.utc_offset_h:+g} h"
    yield f"{edge} at {profile.url}"
    yield f"  cluster {profile.cluster or '-'}, region {profile.region or '-'}, clocks {clocks}"
    yield f"  {format_size(profile.capacity_bytes)}, {rate(profile.link_kbps)} to players"
    yield f"  near {', '.join(profile.networks) or 'nobody in particular'}"


def rate(kbps: float) -> str:
    for unit, size in (("Gb/s", 1e6), ("Mb/s", 1e3)):
        if kbps >= size:
            count = kbps / size
            return f"{count:.0f} {unit}" if count >= 100 else f"{count:.3g} {unit}"
    return f"{kbps:.0f} kb/s"


def _age(age_s: float | None) -> str:
    if age_s is None:
        return "never"
    if age_s < 100:
        return f"{age_s:.1f} s"
    if age_s < 6_000:
        return f"{age_s / 60:.0f} min"
    return f"{age_s / 3_600:.0f} h"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _share(used: int, of: int) -> str:
    return f"{used / of:.0%}" if of else "-"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
