"""Controllers side by side: the same sessions, on the same links, for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Literal

import msgspec
import numpy as np

from abr.controllers import ControllerSettings, build_controller
from abr.foresight import foreseen
from abr.timeline import ForecastMark
from abr.view import Controller, Flags, Floats, Rungs
from nearcast.errors import ConfigError
from nearcast.seeds import Seeds
from nearcast.trace import Trace
from nearcast.units import KBPS_PER_MBPS
from simulation.sessions.capacity import Capacity
from simulation.sessions.clairvoyant import Clairvoyant
from simulation.sessions.engine import Outcome, Settings, play
from simulation.sessions.estimates import EstimateRule
from simulation.sessions.families import Family
from simulation.sessions.figures import SessionFigures, join, measure
from simulation.sessions.known import KnownSession
from simulation.sessions.optimum import plan_session
from simulation.sessions.plain import PlainTransport
from simulation.sessions.rows import BOUND, Played
from simulation.sessions.tcp import Backhaul, TcpTransport
from simulation.sessions.title import SessionTitle
from simulation.sessions.transport import Transport

TransportName = Literal["plain", "tcp"]
BATCH_SESSIONS = 1000
"""Sessions at a time: some 30 MB, and no faster with more."""

OnProgress = Callable[[str, str, float], None]
"""Controller, family, and the share of its work there that is done."""


class Choice(msgspec.Struct, frozen=True):
    """A controller with its settings, and what to call it."""

    label: str
    name: str
    settings: ControllerSettings
    assignments: tuple[str, ...] = ()
    """The same as `--set` takes them."""


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """A family, and what is played there."""

    family: Family
    title: SessionTitle
    latency_s: float
    """Of a request; for tcp a round trip."""
    stall_penalty: float


class EdgeStore(msgspec.Struct, frozen=True, kw_only=True):
    """An edge that holds each segment with chance `hit_ratio`, at all rungs, and sends it
    `speedup` times as fast. `is_told`: controllers know what it holds. `backhaul_s`: a round trip
    to the origin, for the tcp transport."""

    hit_ratio: float
    speedup: float
    is_told: bool
    backhaul_s: float


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides the figures."""

    conditions: tuple[Condition, ...]
    choices: tuple[Choice, ...]
    buffer_s_max: float
    first_rung: int | None
    """None: the controller chooses."""
    switch_penalty: float
    transport: TransportName
    edge: EdgeStore | None
    can_abandon: bool
    estimate: EstimateRule
    """What controllers are told to expect; see simulation.sessions.estimates."""
    seed: int

    def check(self) -> None:
        """Raises ConfigError for what cannot go together."""
        for condition in self.conditions:
            if (self.first_rung or 0) >= condition.title.rung_count:
                raise ConfigError(
                    f"--first-rung {self.first_rung}: the title for {condition.family.name} has "
                    f"rungs 0 to {condition.title.rung_count - 1}"
                )
        if not any(choice.name == BOUND for choice in self.choices):
            return
        if self.transport != "plain" or self.edge is not None:
            raise ConfigError(f"{BOUND} plans for the plain transport without an edge's store")
        if self.first_rung is None:
            raise ConfigError(f"{BOUND} starts at a rung that is given: leave out --first-rung")


def play_all(
    plan: Plan, now_s: Callable[[], float], on_progress: OnProgress | None = None
) -> Iterator[Played]:
    """Each family under each controller, in batches."""
    if any(is_compiled(plan, choice) for choice in plan.choices):
        from simulation.sessions.compiled import warm

        warm()  # the compiler's time is no session's
    for condition in plan.conditions:
        links: dict[range, Capacity] = {}
        for choice in plan.choices:
            yield _play_family(plan, condition, choice, links, now_s, on_progress)


def _play_family(
    plan: Plan,
    condition: Condition,
    choice: Choice,
    links: dict[range, Capacity],
    now_s: Callable[[], float],
    on_progress: OnProgress | None,
) -> Played:
    """`links` takes each batch's for the next choice: making them takes as long as playing."""
    family = condition.family
    count = len(family.traces)
    begun_s = now_s()
    parts = []
    for first in range(0, count, BATCH_SESSIONS):
        rows = range(first, min(first + BATCH_SESSIONS, count))

        def report(share: float, rows: range = rows) -> None:
            if on_progress is not None:
                done = (rows.start + share * len(rows)) / count
                on_progress(choice.label, family.name, done)

        capacity = links[rows] = links.get(rows) or Capacity(family.traces[rows.start : rows.stop])
        outcome = play_rows(plan, condition, choice, rows, report, capacity=capacity)[0]
        report(1.0)
        parts.append(measure_in(plan, condition, outcome))
    return Played(
        family=family.name,
        controller=choice.label,
        trace_ids=family.trace_ids,
        figures=join(parts),
        stall_penalty=condition.stall_penalty,
        wall_s=now_s() - begun_s,
    )


def measure_in(plan: Plan, condition: Condition, outcome: Outcome) -> SessionFigures:
    """What an outcome is worth by the plan."""
    return measure(
        outcome,
        condition.title,
        stall_penalty=condition.stall_penalty,
        switch_penalty=plan.switch_penalty,
    )


def play_rows(
    plan: Plan,
    condition: Condition,
    choice: Choice,
    rows: range,
    report: Callable[[float], None] | None = None,
    forecasts: list[ForecastMark] | None = None,
    capacity: Capacity | None = None,
) -> tuple[Outcome, Flags | None]:
    """The sessions on these traces of the family, and what the edge held (sessions, segments). They
    are the same whichever others are played with them. `forecasts` takes what the controller
    foresaw in a single one, if it says so. `capacity` is of these traces."""
    traces = condition.family.traces[rows.start : rows.stop]
    capacity = capacity or Capacity(traces)
    hits = _hits(plan, condition)
    if hits is not None:
        hits = hits[rows.start : rows.stop]
    if is_compiled(plan, choice):
        from simulation.sessions.compiled import play_compiled

        outcome = play_compiled(
            condition.title,
            choice.name,
            getattr(choice.settings, choice.name),
            capacity,
            condition.latency_s,
            _settings(plan),
            hits=hits,
            hit_speedup=_speedup(plan),
        )
        return outcome, hits
    controller = _controller(plan, condition, choice, rows, report)
    request_count = len(rows) * condition.title.segment_count
    sent_count = 0

    def on_request(sessions: Rungs, now_s: Floats) -> None:
        nonlocal sent_count
        sent_count += sessions.size
        if report is not None:
            report(min(sent_count / request_count, 1.0))
        if forecasts is not None and (found := foreseen(controller, float(now_s[0]))) is not None:
            forecasts.append(found)

    outcome = play(
        condition.title,
        controller,
        _transport(plan, condition, traces, capacity),
        len(rows),
        _settings(plan),
        hits=hits,
        hits_told=plan.edge is not None and plan.edge.is_told,
        on_request=on_request,
    )
    return outcome, hits


def is_compiled(plan: Plan, choice: Choice) -> bool:
    """The same sessions can be played several times as fast."""
    if plan.transport != "plain" or find_spec("numba") is None:
        return False
    from simulation.sessions.compiled import can_play

    return can_play(choice.name, _settings(plan))


def _settings(plan: Plan) -> Settings:
    return Settings(
        buffer_s_max=plan.buffer_s_max,
        first_rung=plan.first_rung,
        can_abandon=plan.can_abandon,
        estimate=plan.estimate,
    )


def _speedup(plan: Plan) -> float:
    return 1.0 if plan.edge is None else plan.edge.speedup


def _controller(
    plan: Plan,
    condition: Condition,
    choice: Choice,
    rows: range,
    report: Callable[[float], None] | None,
) -> Controller:
    if choice.name != BOUND:
        return build_controller(choice.name, choice.settings, len(rows))
    plans = []
    for row in rows:
        if report is not None:
            report((row - rows.start) / len(rows))
        plans.append(plan_session(_known(plan, condition, condition.family.traces[row])))
    return Clairvoyant(np.array(plans))


def _known(plan: Plan, condition: Condition, trace: Trace) -> KnownSession:
    title = condition.title
    return KnownSession(
        link=Capacity([trace]),
        sizes_bits=title.sizes_bits,
        rates_mbps=title.ladder_kbps / KBPS_PER_MBPS,
        segment_s=title.segment_s,
        latency_s=condition.latency_s,
        buffer_limit_s=max(plan.buffer_s_max, title.segment_s),
        stall_penalty=condition.stall_penalty,
        switch_penalty=plan.switch_penalty,
        first_rung=plan.first_rung or 0,
    )


def _transport(
    plan: Plan, condition: Condition, traces: Sequence[Trace], capacity: Capacity
) -> Transport:
    """With an edge the trace is what a miss finds, and a hit a link that is faster throughout."""
    edge = plan.edge
    if plan.transport == "plain":
        return PlainTransport(capacity, condition.latency_s, hit_speedup=_speedup(plan))
    if edge is None:
        return TcpTransport(capacity, condition.latency_s)
    faster = Capacity(
        [
            Trace(trace.times_s, [rate_kbps * edge.speedup for rate_kbps in trace.rates_kbps])
            for trace in traces
        ]
    )
    backhaul = Backhaul(capacity=capacity, rtt_s=edge.backhaul_s)
    return TcpTransport(faster, condition.latency_s, backhaul=backhaul)


def _hits(plan: Plan, condition: Condition) -> Flags | None:
    """(all sessions of the family, segments): the same for every controller."""
    if plan.edge is None:
        return None
    draw = Seeds(plan.seed).stream(f"simulate/abr/edge/{condition.family.name}")
    shape = (len(condition.family.traces), condition.title.segment_count)
    hits: Flags = draw.random(shape) < plan.edge.hit_ratio
    return hits
