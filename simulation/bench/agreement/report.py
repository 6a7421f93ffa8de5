"""Rows of live against simulated, and their table."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

import msgspec

from abr.report import SessionReport
from simulation.bench.agreement.live import LiveFigures
from simulation.bench.agreement.plan import Plan
from simulation.bench.agreement.simulated import Played

BITRATE_GAP_GOAL = 0.05
STALL_GAP_GOAL = 0.5
"""Seconds a minute of media."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One session both ways. Gaps are live minus simulated."""

    family: str
    trace_id: str
    live: Played
    simulated: Played
    bitrate_gap: float
    """Share of the simulated one."""
    stall_gap_s_per_min: float


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    controller: str
    rows: tuple[Row, ...]
    bitrate_gap: float
    """Of the means over all sessions."""
    bitrate_gap_abs_mean: float
    """Mean of the sessions' own gaps, without sign."""
    stall_gap_s_per_min: float
    stall_gap_abs_mean: float
    within_count: int
    """Sessions within both goals."""
    player_cpu_share: float | None


def compare(plan: Plan, live: LiveFigures, simulated: Sequence[Played]) -> Agreement:
    rows = tuple(
        _row(session.family, session.trace_id, session.title.duration_s, _said(report), played)
        for session, report, played in zip(plan.sessions, live.reports, simulated, strict=True)
    )
    live_kbps = statistics.fmean(row.live.bitrate_kbps for row in rows)
    simulated_kbps = statistics.fmean(row.simulated.bitrate_kbps for row in rows)
    return Agreement(
        controller=plan.choice.label,
        rows=rows,
        bitrate_gap=live_kbps / simulated_kbps - 1.0,
        bitrate_gap_abs_mean=statistics.fmean(abs(row.bitrate_gap) for row in rows),
        stall_gap_s_per_min=statistics.fmean(row.stall_gap_s_per_min for row in rows),
        stall_gap_abs_mean=statistics.fmean(abs(row.stall_gap_s_per_min) for row in rows),
        within_count=sum(_is_within(row) for row in rows),
        player_cpu_share=live.cpu_share,
    )


def _said(report: SessionReport) -> Played:
    assert report.bitrate_kbps is not None, "a session that was played to its end"
    assert report.startup_s is not None, "a session that was played to its end"
    return Played(
        bitrate_kbps=report.bitrate_kbps,
        stalled_s=report.stalled_s,
        startup_s=report.startup_s,
        switch_count=report.switch_count,
        abandon_count=report.abandon_count,
    )


def _row(family: str, trace_id: str, media_s: float, live: Played, simulated: Played) -> Row:
    return Row(
        family=family,
        trace_id=trace_id,
        live=live,
        simulated=simulated,
        bitrate_gap=live.bitrate_kbps / simulated.bitrate_kbps - 1.0,
        stall_gap_s_per_min=(live.stalled_s - simulated.stalled_s) / media_s * 60.0,
    )


def _is_within(row: Row) -> bool:
    return (
        abs(row.bitrate_gap) <= BITRATE_GAP_GOAL and abs(row.stall_gap_s_per_min) <= STALL_GAP_GOAL
    )


def table(found: Agreement) -> Iterator[str]:
    """Lines of at most 100 columns."""
    yield f"{found.controller}: live / simulated"
    yield (
        f"{'trace':<32}{'kbit/s':>17}{'gap':>7}{'stalled s':>13}{'start s':>13}{'switch':>8}"
        f"{'given up':>9}"
    )
    for row in found.rows:
        name = f"{row.family} {row.trace_id}"
        live, made = row.live, row.simulated
        yield (
            f"{name[:31]:<32}{live.bitrate_kbps:>8.0f} /{made.bitrate_kbps:>7.0f}"
            f"{row.bitrate_gap:>+7.1%}{live.stalled_s:>6.1f} /{made.stalled_s:>5.1f}"
            f"{live.startup_s:>6.2f} /{made.startup_s:>5.2f}"
            f"{live.switch_count:>4} /{made.switch_count:>2}"
            f"{live.abandon_count:>5} /{made.abandon_count:>2}"
        )
    yield (
        f"mean bitrate {found.bitrate_gap:+.1%} (each by {found.bitrate_gap_abs_mean:.1%} on "
        f"average; goal {BITRATE_GAP_GOAL:.0%})"
    )
    yield (
        f"stalled {found.stall_gap_s_per_min:+.2f} s a minute (each by "
        f"{found.stall_gap_abs_mean:.2f}; goal {STALL_GAP_GOAL:g})"
    )
    yield f"{found.within_count} of {len(found.rows)} sessions within both goals"
    if found.player_cpu_share is not None:
        yield f"the players took {found.player_cpu_share:.0%} of a core"
