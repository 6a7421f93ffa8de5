"""The shape of everything that decides.

A *machine* is synchronous. It is told what happened and when (`handle`), what time it is when
nothing happened (`advance`), says when it wants to be woken (`deadline_s`), and hands out what
should be done about it (`drain`). It never reads a clock, draws a random number of its own, or
touches a socket.

Whoever drives a machine keeps one rhythm:

    machine.handle(event, now_s)         # something happened
    for effect in machine.drain(): ...   # do it; the outcome comes back later as an event
    machine.deadline_s()                 # call advance(now_s) then, at the latest

`nearcast.aio.Pump` keeps it on a real clock and `simulation.scheduler.SimulatedPump` on a virtual
one; both drive the same objects. An effect is a request, not a call: its result is another event,
so a machine can never be re-entered while it is deciding.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar

EventT_contra = TypeVar("EventT_contra", contravariant=True)
EffectT = TypeVar("EffectT")


class Machine(Protocol[EventT_contra, EffectT]):
    """A deciding core. `now_s` never decreases from call to call."""

    def handle(self, event: EventT_contra, now_s: float) -> None:
        """Take in one event. Expected failures are events too; nothing is raised for them."""

    def advance(self, now_s: float) -> None:
        """Do what is due at `now_s`. Calling it early or twice changes nothing."""

    def deadline_s(self) -> float | None:
        """When `advance` is wanted next, or None while nothing is pending."""

    def drain(self) -> list[EffectT]:
        """The effects decided since the last call, in the order they must be started."""


class EffectQueue(Generic[EffectT]):
    """Effects decided and not yet taken; every machine has one."""

    def __init__(self) -> None:
        self._effects: deque[EffectT] = deque()

    def emit(self, effect: EffectT) -> None:
        self._effects.append(effect)

    def drain(self) -> list[EffectT]:
        effects = list(self._effects)
        self._effects.clear()
        return effects


def soonest(*deadlines_s: float | None) -> float | None:
    """The first of these moments; None: there is none."""
    first_s: float | None = None
    for one_s in deadlines_s:  # asked after every event: min() of a list takes thrice as long
        if one_s is not None and (first_s is None or one_s < first_s):
            first_s = one_s
    return first_s
