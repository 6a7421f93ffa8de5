"""Sessions of the peers' rules, compiled. Needs numba: import this module only where that is found.

Only what costs much in arrays and little in a loop is here: rules that look at a few numbers, over
the plain transport, with no say for what an edge holds. Everything else is played by
simulation.sessions.engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from abr.controllers.bola import Bola, BolaParams
from abr.controllers.dynamic import DynamicParams
from abr.controllers.throughput import ThroughputParams
from abr.view import Flags
from nearcast.trace import Trace
from simulation.sessions.capacity import Capacity
from simulation.sessions.engine import Outcome, Settings, empty_outcome
from simulation.sessions.kernels.rules import BOLA, DYNAMIC, THROUGHPUT, Rule
from simulation.sessions.kernels.session import Found, Play, play_sessions
from simulation.sessions.title import SessionTitle
from simulation.sessions.watch import look_moments_s

Parts = tuple[int, ThroughputParams, BolaParams, float]
"""Which rule, the parameters of its two parts, and the buffer below which the first may rule."""


def _of_throughput(params: ThroughputParams) -> Parts:
    return THROUGHPUT, params, BolaParams(), 0.0


def _of_bola(params: BolaParams) -> Parts:
    return BOLA, ThroughputParams(), params, 0.0


def _of_dynamic(params: DynamicParams) -> Parts:
    by_rate = ThroughputParams(safety=params.safety)
    return DYNAMIC, by_rate, BolaParams(gamma_p=params.gamma_p), params.low_buffer_s


KERNELS: Mapping[str, Callable[[Any], Parts]] = {
    "throughput": _of_throughput,
    "bola": _of_bola,
    "dynamic": _of_dynamic,
}
"""By the names of `abr.controllers.CONTROLLERS`."""


def can_play(name: str, settings: Settings) -> bool:
    """The rules go by the published estimate only, to which nothing but time and bytes matters."""
    return name in KERNELS and settings.estimate == "published"


def play_compiled(
    title: SessionTitle,
    name: str,
    params: Any,
    capacity: Capacity,
    latency_s: float,
    settings: Settings | None = None,
    *,
    hits: Flags | None = None,
    hit_speedup: float = 1.0,
) -> Outcome:
    """What simulation.sessions.engine.play finds over the PlainTransport of the same capacity,
    latency and speedup, if it can_play."""
    settings = settings or Settings()
    assert can_play(name, settings)
    shape = (capacity.session_count, title.segment_count)
    found = empty_outcome(*shape)
    speedups = np.ones(shape) if hits is None else np.where(hits, hit_speedup, 1.0)
    play = Play(
        sizes_bits=title.sizes_bits,
        speedups=speedups,
        latency_s=float(latency_s),
        first_rung=-1 if settings.first_rung is None else settings.first_rung,
        can_abandon=settings.can_abandon,
        moments_s=look_moments_s(settings.grace_s),
    )
    arrays = Found(*(getattr(found, name) for name in Found._fields))
    play_sessions(capacity.links, _rule(title, name, params, settings), play, arrays)
    return found


def warm() -> None:
    """Compile now, so that the next sessions are only played."""
    title = SessionTitle(np.array([1000.0]), 1.0, np.array([[1e6]]))
    play_compiled(title, "bola", BolaParams(), Capacity([Trace.constant(1000.0)]), 0.0)


def _rule(title: SessionTitle, name: str, params: Any, settings: Settings) -> Rule:
    kind, by_rate, by_buffer, low_buffer_s = KERNELS[name](params)
    # An int among floats is another type, for which all would be compiled again.
    return Rule(
        kind=kind,
        ladder_kbps=title.ladder_kbps,
        segment_s=float(title.segment_s),
        buffer_s_max=float(settings.buffer_s_max),
        safety=float(by_rate.safety),
        low_buffer_safety_first=float(by_rate.low_buffer_safety_first),
        low_buffer_safety=float(by_rate.low_buffer_safety),
        abandon_ratio=float(by_rate.abandon_ratio),
        worth=Bola(by_buffer).worth(title.ladder_kbps),
        bola_safety=float(by_buffer.safety),
        low_buffer_s=float(low_buffer_s),
    )
