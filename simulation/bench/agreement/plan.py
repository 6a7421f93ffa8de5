"""What is played, live and simulated: a short title, and the beginnings of traces."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from nearcast.errors import ConfigError, InputError
from nearcast.trace import Trace
from nearcast.units import BITS_PER_BYTE
from simulation.sessions.families import Family
from simulation.sessions.study import Choice, Condition
from simulation.sessions.title import SessionTitle

SEGMENT_COUNT = 30
TRACE_S = 120.0
"""Of each trace; it repeats after that, as a stalled session outlasts it."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One viewer on one link."""

    family: str
    trace_id: str
    trace: Trace
    rtt_s: float
    title: SessionTitle

    @property
    def name(self) -> str:
        return f"{self.family}/{self.trace_id}"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    sessions: tuple[Session, ...]
    choice: Choice
    buffer_s_max: float
    can_abandon: bool
    processing_s: float = 0.0
    """What live machines take for a request; simulated ones wait for as long."""


def pick_sessions(conditions: Sequence[Condition], count: int) -> tuple[Session, ...]:
    """`count` sessions, as many from each family as from the others and spread evenly over its
    traces, of those that could play the lowest rung throughout.

    Raises ConfigError when there are not so many.
    """
    choices = [_playable(condition) for condition in conditions]
    shares = [len(part) for part in np.array_split(np.arange(count), len(choices))]
    picked: list[Session] = []
    for found, share, condition in zip(choices, shares, conditions, strict=True):
        if len(found) < share:
            raise ConfigError(
                f"{condition.family.name} has {len(found)} traces that carry its lowest rung for "
                f"{TRACE_S:.0f} s, {share} are needed"
            )
        at = np.linspace(0, len(found) - 1, share).round().astype(np.int64)
        picked += [found[index] for index in at]
    return tuple(picked)


def _playable(condition: Condition) -> list[Session]:
    title = short_title(condition.title)
    family: Family = condition.family
    found = []
    for trace_id, whole in zip(family.trace_ids, family.traces, strict=True):
        try:
            trace = cut_trace(whole, TRACE_S)
        except InputError:
            continue  # nothing gets through
        if trace.mean_kbps >= title.ladder_kbps[0]:
            found.append(
                Session(
                    family=family.name,
                    trace_id=trace_id,
                    trace=trace,
                    rtt_s=condition.latency_s,
                    title=title,
                )
            )
    return found


def short_title(title: SessionTitle) -> SessionTitle:
    """Its first segments, in whole bytes, as files have them."""
    sizes_bytes = np.ceil(title.sizes_bits[:SEGMENT_COUNT] / BITS_PER_BYTE)
    return SessionTitle(title.ladder_kbps, title.segment_s, sizes_bytes * BITS_PER_BYTE)


def cut_trace(trace: Trace, until_s: float) -> Trace:
    """Its first `until_s` seconds; all of a shorter one. Raises InputError if nothing gets through
    in them."""
    if trace.period_s <= until_s:
        return trace
    times_s = [time_s for time_s in trace.times_s if time_s < until_s]
    return Trace([*times_s, until_s], trace.rates_kbps[: len(times_s)])
