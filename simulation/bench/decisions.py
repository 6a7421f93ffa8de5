"""How long one player waits for its controller: a row at a time, on one thread."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from abr.controllers import CONTROLLERS, build_controller
from abr.view import Attempt, Controller, Floats, Rungs, View
from nearcast.seeds import Seeds
from nearcast.trace import Trace
from simulation.bench.sessions import LATENCY_S, session_traces
from simulation.sessions.capacity import Capacity
from simulation.sessions.engine import Settings, play
from simulation.sessions.generated import generated_title
from simulation.sessions.plain import PlainTransport
from simulation.sessions.title import SessionTitle

PLAY_COUNT = 14
"""Sessions, each alone; the first only fills caches. Some thousand choices."""
RUNG_COUNT = 10
RATE_KBPS_MIN, RATE_KBPS_MAX = 235.0, 16_800.0
BUFFER_S_MAX = 25.0


class DecisionTime(msgspec.Struct, frozen=True, kw_only=True):
    """CPU time of one call for one session. `abandon` is asked when a segment may be late; None
    where it never was."""

    controller: str
    choice_count: int
    choose_p50_s: float
    choose_p99_s: float
    abandon_p50_s: float | None
    abandon_p99_s: float | None


class _Timed:
    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.choose_s: list[float] = []
        self.abandon_s: list[float] = []

    def choose(self, view: View) -> Rungs:
        begun_s = time.thread_time()
        rung = self._controller.choose(view)
        self.choose_s.append(time.thread_time() - begun_s)
        return rung

    def abandon(self, attempt: Attempt) -> Rungs:
        begun_s = time.thread_time()
        rung = self._controller.abandon(attempt)
        self.abandon_s.append(time.thread_time() - begun_s)
        return rung


def decision_times(
    names: Sequence[str] | None = None, play_count: int = PLAY_COUNT
) -> tuple[DecisionTime, ...]:
    """Of each controller, over the same sessions: ten rungs and a buffer of 25 s."""
    title = _title()
    traces = session_traces(play_count)
    return tuple(_timed(name, title, traces) for name in (CONTROLLERS if names is None else names))


def _title() -> SessionTitle:
    base = generated_title(Seeds(0).stream("bench/title"))
    ladder_kbps = np.geomspace(RATE_KBPS_MIN, RATE_KBPS_MAX, RUNG_COUNT)
    share = base.sizes_bits[:, :1] / base.ladder_kbps[0]
    return SessionTitle(ladder_kbps, base.segment_s, share * ladder_kbps)


def _timed(name: str, title: SessionTitle, traces: Sequence[Trace]) -> DecisionTime:
    choose_s: list[float] = []
    abandon_s: list[float] = []
    for index, trace in enumerate([traces[0], *traces]):
        timed = _Timed(build_controller(name, None, 1))
        transport = PlainTransport(Capacity([trace]), LATENCY_S)
        play(title, timed, transport, 1, Settings(buffer_s_max=BUFFER_S_MAX))
        if index > 0:
            choose_s += timed.choose_s
            abandon_s += timed.abandon_s
    choices = np.percentile(choose_s, [50, 99])
    asked: Floats | list[None] = np.percentile(abandon_s, [50, 99]) if abandon_s else [None, None]
    return DecisionTime(
        controller=name,
        choice_count=len(choose_s),
        choose_p50_s=float(choices[0]),
        choose_p99_s=float(choices[1]),
        abandon_p50_s=None if asked[0] is None else float(asked[0]),
        abandon_p99_s=None if asked[1] is None else float(asked[1]),
    )


def table(times: Sequence[DecisionTime]) -> Iterator[str]:
    """Lines of at most 80 columns."""
    yield f"one decision of one session, {RUNG_COUNT} rungs, CPU milliseconds"
    heads = ("choose p50", "p99", "abandon p50", "p99")
    yield f"  {'controller':<14}" + "".join(f"{head:>13}" for head in heads)
    for each in times:
        figures = (each.choose_p50_s, each.choose_p99_s, each.abandon_p50_s, each.abandon_p99_s)
        cells = ("-" if one is None else f"{one * 1000:.3f}" for one in figures)
        yield f"  {each.controller:<14}" + "".join(f"{cell:>13}" for cell in cells)
