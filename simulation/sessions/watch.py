"""Looking in on segments that are under way, and giving them up if the controller says so.

A player asks when bytes arrive; here it is asked at moments. They are LOOK_S apart at first, and
each gap is a little longer than the one before, so that an outage of minutes is not looked at
thousands of times. A controller may also say for how long it would go on even if nothing more came
(Patient): until then nobody needs to ask, which changes no answer and spares nearly all of them.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from abr.view import GO_ON, Attempt, Controller, Flags, Floats, Rungs
from simulation.sessions.title import SessionTitle
from simulation.sessions.transport import Flight

LOOK_S = 0.1
LOOK_GROWTH = 1.05
FIRST_BYTES_S = 0.001
"""So long after the first byte there is something to judge by."""
ASK_AGAIN_COUNT_MAX = 1000
"""Of one segment. A controller that is asked again may well decide the same, as the peers' do while
an outage lasts; only a bound that nobody reaches leaves them as they are."""


@runtime_checkable
class Patient(Protocol):
    """What a controller that gives segments up may have besides."""

    def patience_s(self, attempt: Attempt) -> Floats:
        """(n,): `abandon`, which has just said to go on, will say so for this long if no more bytes
        come, and certainly if some do. 0 when that is not known, inf for ever."""


class Watch:
    """`grace_s`: no segment is given up earlier; `count_max`: of one segment, so many are for a
    rung that the controller names."""

    def __init__(
        self, controller: Controller, title: SessionTitle, grace_s: float, count_max: int
    ) -> None:
        self._controller = controller
        self._patient = controller if isinstance(controller, Patient) else None
        self._title = title
        self._grace_s = grace_s
        self._count_max = count_max

    def decide(
        self,
        flight: Flight,
        *,
        sent_s: Floats,
        session: Rungs,
        segment_index: Rungs,
        rung: Rungs,
        buffer_s: Floats,
        is_hit: Flags,
        tries: Rungs,
    ) -> tuple[Rungs, Floats]:
        """(n,) each: what to fetch instead, or GO_ON; and when that was decided, or the segment was
        here. `buffer_s` is at `sent_s`; `tries` were given up before."""
        instead = np.full(rung.size, GO_ON)
        end_s = flight.end_s.copy()
        next_s = np.maximum(sent_s + self._grace_s, flight.first_s + FIRST_BYTES_S)
        is_open = (rung > 0) & (tries < ASK_AGAIN_COUNT_MAX) & (next_s < end_s)
        rows = np.flatnonzero(is_open & (segment_index > 0))
        now_s = next_s[rows]
        while rows.size:
            elapsed_s = now_s - sent_s[rows]
            left_s = np.maximum(buffer_s[rows] - elapsed_s, 0.0)
            attempt = Attempt(
                session=session[rows],
                ladder_kbps=self._title.ladder_kbps,
                rung=rung[rows],
                elapsed_s=elapsed_s,
                ttfb_s=flight.first_s[rows] - sent_s[rows],
                received_bits=flight.received_bits(rows, now_s),
                sizes_bits=self._title.sizes_bits[segment_index[rows]],
                duration_s=np.full(rows.size, self._title.segment_s),
                buffer_s=left_s,
                is_hit=is_hit[rows],
                is_waiting=left_s <= 0,
            )
            patience_s, chosen = self._ask(attempt)
            is_final = (chosen >= 0) & (tries[rows] >= self._count_max)
            is_given_up = (chosen != GO_ON) & ~is_final
            if is_given_up.any():
                at = rows[is_given_up]
                instead[at] = chosen[is_given_up]
                end_s[at] = now_s[is_given_up]
            now_s = sent_s[rows] + self._next_look_s(elapsed_s, patience_s)
            goes_on = ~is_given_up & (now_s < end_s[rows])
            rows, now_s = rows[goes_on], now_s[goes_on]
        return instead, end_s

    def _ask(self, attempt: Attempt) -> tuple[Floats, Rungs]:
        """How long nobody needs to ask, and the answer; a silent transfer is not asked about."""
        has_some = attempt.received_bits > 0
        if not has_some.all():
            some = np.flatnonzero(has_some)
            patience_s = np.zeros(has_some.size)
            chosen = np.full(has_some.size, GO_ON)
            if some.size:
                patience_s[some], chosen[some] = self._ask(attempt.take(some))
            return patience_s, chosen
        chosen = self._controller.abandon(attempt)
        if self._patient is None:
            return np.zeros(chosen.size), chosen
        return self._patient.patience_s(attempt), chosen

    def _next_look_s(self, elapsed_s: Floats, patience_s: Floats) -> Floats:
        """(n,): the next of the moments, but not before the patience is used up; from the request.
        The k-th moment is grace + LOOK_S (growth ** k - 1) / (growth - 1)."""
        scale = (LOOK_GROWTH - 1.0) / LOOK_S
        # What was asked late, for want of a first byte, counts as asked at the moment before.
        done_s = np.maximum(elapsed_s - self._grace_s, 0.0)
        done = np.floor(np.log1p(done_s * scale) / np.log(LOOK_GROWTH) + 1e-6)
        due = np.ceil(np.log1p((done_s + patience_s) * scale) / np.log(LOOK_GROWTH) - 1e-6)
        look = np.maximum(done + 1.0, due)
        at_s: Floats = self._grace_s + np.expm1(look * np.log(LOOK_GROWTH)) / scale
        return at_s
