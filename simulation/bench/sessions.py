"""How many sessions a second are simulated, against sessions in which nothing is decided.

The baseline plays the same title over the same traces at the lowest rung throughout: what is left
above it is the work of the controllers, and of watching what may be given up.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import msgspec
import numpy as np

from abr.controllers import CONTROLLERS, ControllerSettings, build_controller
from abr.view import GO_ON, Attempt, Controller, Rungs, View
from nearcast.seeds import Seeds
from nearcast.trace import Trace
from simulation.sessions.capacity import Capacity
from simulation.sessions.engine import Settings, play
from simulation.sessions.families import begun_at
from simulation.sessions.generated import generated_title
from simulation.sessions.plain import PlainTransport
from simulation.sessions.title import SessionTitle
from simulation.trace import SHIPPED_NAMES, shipped_trace

SESSION_COUNT = 850
"""As many as the public traces have, in one batch."""
PROBE_COUNT = 2
GROWTH = 21
LONG_S = 12.0
"""Sessions are multiplied by GROWTH as long as that surely takes no longer than this."""
LATENCY_S = 0.04
BASELINE = "lowest rung"


class SessionRate(msgspec.Struct, frozen=True, kw_only=True):
    """One controller, by CPU time on one core. `decision_us` is the time above the baseline for
    each segment of a session, in a batch of that size."""

    controller: str
    session_count: int
    segment_count: int
    sessions_per_s: float
    decision_us: float
    compiled_sessions_per_s: float | None = None
    """By the same rule in simulation.sessions.compiled; None where that is not there."""


class LowestRung:
    """Decides nothing."""

    def choose(self, view: View) -> Rungs:
        return np.zeros(view.row_count, dtype=np.int64)

    def abandon(self, attempt: Attempt) -> Rungs:
        return np.full(attempt.session.size, GO_ON)


def session_rates(
    names: Sequence[str] | None = None, session_count: int = SESSION_COUNT
) -> tuple[SessionRate, ...]:
    """The baseline, then each controller."""
    traces = session_traces(session_count)
    title = generated_title(Seeds(0).stream("bench/title"))

    def cpu_s(controller: Controller, count: int) -> float:
        transport = PlainTransport(Capacity(traces[:count]), LATENCY_S)
        begun_s = time.process_time()
        play(title, controller, transport, count, Settings())
        return max(time.process_time() - begun_s, 1e-9)

    cpu_s(LowestRung(), min(PROBE_COUNT, session_count))  # imports and caches
    idle_s = cpu_s(LowestRung(), session_count) / session_count
    rates = [_rate(BASELINE, session_count, title.segment_count, idle_s, idle_s)]
    for name in CONTROLLERS if names is None else names:
        count = min(PROBE_COUNT, session_count)
        used_s = cpu_s(build_controller(name, None, count), count)
        while count < session_count and used_s * GROWTH < LONG_S:
            count = min(count * GROWTH, session_count)
            used_s = cpu_s(build_controller(name, None, count), count)
        rate = _rate(name, count, title.segment_count, used_s / count, idle_s)
        compiled = _compiled_rate(name, title, traces)
        rates.append(msgspec.structs.replace(rate, compiled_sessions_per_s=compiled))
    return tuple(rates)


def _compiled_rate(name: str, title: SessionTitle, traces: Sequence[Trace]) -> float | None:
    if find_spec("numba") is None:
        return None
    from simulation.sessions.compiled import KERNELS, play_compiled, warm

    if name not in KERNELS:
        return None
    params = getattr(ControllerSettings(), name)
    warm()
    begun_s = time.process_time()
    play_compiled(title, name, params, Capacity(traces), LATENCY_S)
    return len(traces) / max(time.process_time() - begun_s, 1e-9)


def session_traces(count: int) -> list[Trace]:
    """The shipped traces, begun at times spread evenly over each."""
    starts = -(-count // len(SHIPPED_NAMES))
    traces = []
    for name in SHIPPED_NAMES:
        trace = shipped_trace(name)
        traces += [begun_at(trace, trace.period_s * index / starts) for index in range(starts)]
    mixed = [trace for start in range(starts) for trace in traces[start::starts]]
    return mixed[:count]


def _rate(name: str, count: int, segments: int, session_s: float, idle_s: float) -> SessionRate:
    return SessionRate(
        controller=name,
        session_count=count,
        segment_count=segments,
        sessions_per_s=1.0 / session_s,
        decision_us=max(session_s - idle_s, 0.0) / segments * 1e6,
    )


def table(rates: Sequence[SessionRate]) -> Iterator[str]:
    """Lines of at most 80 columns."""
    yield f"sessions of {rates[0].segment_count} segments, by CPU time on one core"
    yield (
        f"  {'controller':<14}{'sessions':>10}{'per second':>12}{'us a decision':>15}"
        f"{'compiled, per s':>17}"
    )
    for rate in rates:
        compiled = rate.compiled_sessions_per_s
        yield (
            f"  {rate.controller:<14}{rate.session_count:>10}{rate.sessions_per_s:>12.0f}"
            f"{rate.decision_us:>15.1f}{'-' if compiled is None else format(compiled, '.0f'):>17}"
        )
