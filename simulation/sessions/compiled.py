"""Sessions of the peers' rules, compiled. Needs numba: import this module only where that is found.

Only what costs much in arrays and little in a loop is here: rules that look at a few numbers, over
the plain transport, not told what an edge holds. Everything else is played by
simulation.sessions.engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from abr.controllers.bola import Bola, BolaParams
from abr.controllers.bola_e import BolaEParams, Levels
from abr.controllers.dynamic import DynamicParams
from abr.controllers.dynamic_dash import DynamicDashParams
from abr.controllers.hybrid import HybridParams
from abr.controllers.throughput import ThroughputParams
from abr.view import ASK_AGAIN, Flags
from nearcast.config import Section
from nearcast.trace import Trace
from simulation.sessions.capacity import Capacity
from simulation.sessions.engine import Outcome, Settings, empty_outcome
from simulation.sessions.kernels import kinds
from simulation.sessions.kernels.session import Found, Play, play_sessions
from simulation.sessions.title import SessionTitle
from simulation.sessions.watch import look_moments_s


class Parts(Section, frozen=True, kw_only=True):
    """Which rule, and the parameters of all parts that a rule can have."""

    kind: int
    rate: ThroughputParams = ThroughputParams()
    buffer: BolaParams = BolaParams()
    placeholder: BolaEParams = BolaEParams()
    median: HybridParams = HybridParams()
    leave_s: float = 0.0
    enter_s: float = 0.0


def _of_throughput(params: ThroughputParams) -> Parts:
    return Parts(kind=kinds.THROUGHPUT, rate=params)


def _of_bola(params: BolaParams) -> Parts:
    return Parts(kind=kinds.BOLA, buffer=params)


def _of_dynamic(params: DynamicParams) -> Parts:
    return Parts(
        kind=kinds.DYNAMIC,
        rate=ThroughputParams(safety=params.safety),
        buffer=BolaParams(gamma_p=params.gamma_p),
        leave_s=params.low_buffer_s,
        enter_s=params.low_buffer_s,
    )


def _of_bola_e(params: BolaEParams) -> Parts:
    return Parts(kind=kinds.BOLA_E, placeholder=params)


def _of_dynamic_dash(params: DynamicDashParams) -> Parts:
    return Parts(
        kind=kinds.DYNAMIC_DASH,
        rate=ThroughputParams(safety=params.safety),
        leave_s=params.low_buffer_s,
        enter_s=params.high_buffer_s,
    )


def _of_hybrid(params: HybridParams) -> Parts:
    return Parts(kind=kinds.HYBRID, median=params)


KERNELS: Mapping[str, Callable[[Any], Parts]] = {
    "throughput": _of_throughput,
    "bola": _of_bola,
    "dynamic": _of_dynamic,
    "bolae": _of_bola_e,
    "dynamicdash": _of_dynamic_dash,
    "hybrid": _of_hybrid,
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
    play = Play(
        sizes_bits=title.sizes_bits,
        hits=np.zeros(shape, dtype=np.bool_) if hits is None else np.ascontiguousarray(hits),
        hit_speedup=float(hit_speedup),
        latency_s=float(latency_s),
        first_rung=ASK_AGAIN if settings.first_rung is None else settings.first_rung,
        can_abandon=settings.can_abandon,
        abandon_count_max=settings.abandon_count_max,
        moments_s=look_moments_s(settings.grace_s),
    )
    arrays = Found(*(getattr(found, name) for name in Found._fields))
    play_sessions(capacity.links, _rule(title, name, params, settings), play, arrays)
    return found


def warm() -> None:
    """Compile now, so that the next sessions are only played."""
    title = SessionTitle(np.array([1000.0]), 1.0, np.array([[1e6]]))
    play_compiled(title, "bola", BolaParams(), Capacity([Trace.constant(1000.0)]), 0.0)


def _rule(title: SessionTitle, name: str, params: Any, settings: Settings) -> kinds.Rule:
    parts = KERNELS[name](params)
    rate, buffer, placeholder, median = parts.rate, parts.buffer, parts.placeholder, parts.median
    levels = Levels(title.ladder_kbps, settings.buffer_s_max)
    # An int among floats is another type, for which all would be compiled again.
    return kinds.Rule(
        kind=parts.kind,
        ladder_kbps=title.ladder_kbps,
        segment_s=float(title.segment_s),
        buffer_s_max=float(settings.buffer_s_max),
        leave_s=float(parts.leave_s),
        enter_s=float(parts.enter_s),
        rate=kinds.Rate(*_floats(rate, kinds.Rate._fields)),
        buffer=kinds.Buffer(Bola(buffer).worth(title.ladder_kbps), float(buffer.safety)),
        placeholder=kinds.Placeholder(
            levels.lowest_s,
            levels.highest_s,
            float(placeholder.low_buffer_safety_first),
            float(placeholder.low_buffer_safety),
        ),
        median=kinds.Median(*_floats(median, kinds.Median._fields)),
    )


def _floats(params: Section, names: Iterable[str]) -> tuple[float, ...]:
    return tuple(float(getattr(params, name)) for name in names)
