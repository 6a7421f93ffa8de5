"""One simulated session as a timeline."""

from __future__ import annotations

from collections.abc import Sequence

from abr.timeline import ForecastMark, SegmentMark, Timeline
from nearcast.errors import ConfigError
from nearcast.trace import Trace
from simulation.sessions.engine import STALL_S_MIN, Outcome
from simulation.sessions.rows import BOUND, Played
from simulation.sessions.study import Choice, Condition, Plan, measure_in, play_rows

FAVOURITE = "nearcast"
LINK_POINTS_MAX = 4000
"""More steps than this are not seen in a picture."""


def drawn_session(plan: Plan, played: Sequence[Played], trace_id: str | None) -> Timeline:
    """Our own controller, else the first that is not the bound, on this trace; by default on the
    one of median QoE in the first family. Raises ConfigError for a trace that was not played."""
    choice = _drawn_choice(plan.choices)
    condition, index = _drawn_trace(plan, played, choice, trace_id)
    return timeline_of(plan, condition, choice, index)


def _drawn_choice(choices: Sequence[Choice]) -> Choice:
    real = [each for each in choices if each.name != BOUND] or list(choices)
    return next((each for each in real if each.name == FAVOURITE), real[0])


def _drawn_trace(
    plan: Plan, played: Sequence[Played], choice: Choice, trace_id: str | None
) -> tuple[Condition, int]:
    if trace_id is not None:
        return find_trace(plan, trace_id)
    condition = plan.conditions[0]
    one = next(
        each
        for each in played
        if (each.family, each.controller) == (condition.family.name, choice.label)
    )
    order = one.figures.qoe_linear.argsort(kind="stable")
    return condition, int(order[order.size // 2])


def find_trace(plan: Plan, trace_id: str) -> tuple[Condition, int]:
    """Where it is. Raises ConfigError when it is not there."""
    for condition in plan.conditions:
        if trace_id in condition.family.trace_ids:
            return condition, condition.family.trace_ids.index(trace_id)
    some = plan.conditions[0].family.trace_ids[0]
    raise ConfigError(f"--plot-session {trace_id}: there is no such trace; one is {some}")


def timeline_of(plan: Plan, condition: Condition, choice: Choice, index: int) -> Timeline:
    """The session on trace `index` of the family, played once more alone."""
    forecasts: list[ForecastMark] = []
    outcome, hits = play_rows(plan, condition, choice, range(index, index + 1), forecasts=forecasts)
    title = condition.title
    figures = measure_in(plan, condition, outcome)
    trace_id = condition.family.trace_ids[index]
    return Timeline(
        caption=(
            f"{choice.label} on {trace_id}: QoE {figures.qoe_linear[0]:.3f}, "
            f"{figures.bitrate_kbps[0]:.0f} kbit/s, {figures.stalled_s[0]:.1f} s stalled, "
            f"{figures.switches[0]} switches"
        ),
        ladder_kbps=tuple(title.ladder_kbps.tolist()),
        buffer_s_max=plan.buffer_s_max,
        startup_s=float(outcome.startup_s[0]),
        segments=tuple(
            SegmentMark(
                asked_s=float(outcome.asked_s[0, segment]),
                here_s=float(outcome.here_s[0, segment]),
                duration_s=title.segment_s,
                rung=int(outcome.rungs[0, segment]),
                kbps=float(outcome.kbps[0, segment]),
                is_hit=hits is not None and bool(hits[0, segment]),
                abandon_count=int(outcome.abandoned[0, segment]),
            )
            for segment in range(title.segment_count)
        ),
        stalls=_stalls(outcome),
        link=_link(condition.family.traces[index], float(outcome.here_s[0, -1])),
        forecasts=tuple(forecasts),
    )


def _stalls(outcome: Outcome) -> tuple[tuple[float, float], ...]:
    """A stall ends with the segment that was waited for, whatever was given up before."""
    ends_s, lengths_s = outcome.here_s[0].tolist(), outcome.stalled_s[0].tolist()
    return tuple(
        (end_s - length_s, end_s)
        for end_s, length_s in zip(ends_s, lengths_s, strict=True)
        if length_s > STALL_S_MIN
    )


def _link(trace: Trace, end_s: float) -> tuple[tuple[float, float], ...]:
    points: list[tuple[float, float]] = []
    turn_s = 0.0
    while turn_s < end_s and len(points) < LINK_POINTS_MAX:
        points += [
            (turn_s + time_s, kbps)
            for time_s, kbps in zip(trace.times_s, trace.rates_kbps, strict=False)
            if turn_s + time_s < end_s
        ]
        turn_s += trace.period_s
    return (*points, (end_s, points[-1][1]))
