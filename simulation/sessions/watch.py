"""Looking in on segments that are under way, and giving them up if the controller says so.

A player asks when bytes arrive; here it is asked at moments. They are LOOK_S apart at first, and
each gap is a little longer than the one before, so that an outage of minutes is not looked at
thousands of times. A controller may also say for how long it would go on even if nothing more came
(abr.view.Patient): until then nobody needs to ask, which changes no answer and spares nearly all
of them.
"""

from __future__ import annotations

import numpy as np

from abr.view import (
    ASK_AGAIN_COUNT_MAX,
    GO_ON,
    Attempt,
    Controller,
    Flags,
    Floats,
    Patient,
    Rungs,
)
from simulation.sessions.title import SessionTitle
from simulation.sessions.transport import Flight

LOOK_S = 0.1
LOOK_GROWTH = 1.1
MOMENT_COUNT = 160
"""More than a day's worth."""
TIME_S_TOLERANCE = 1e-9
FIRST_BYTES_S = 0.001
"""So long after the first byte there is something to judge by."""


def look_moments_s(grace_s: float) -> Floats:
    """When to look in on a segment, from its request; rising, the last one is inf."""
    gaps_s = LOOK_S * LOOK_GROWTH ** np.arange(MOMENT_COUNT)
    moments_s: Floats = np.append(grace_s + np.cumsum(gaps_s) - LOOK_S, np.inf)
    return moments_s


class Watch:
    """`grace_s`: no segment is given up earlier; `count_max`: of one segment, so many are for a
    rung that the controller names."""

    def __init__(
        self, controller: Controller, title: SessionTitle, grace_s: float, count_max: int
    ) -> None:
        self._controller = controller
        self._patient = controller if isinstance(controller, Patient) else None
        self._title = title
        self._moments_s = look_moments_s(grace_s)
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
        durations_s = np.full(rung.size, self._title.segment_s)
        # A rule's own times are compared with this: it is not a difference of clock readings.
        first_look_s = np.maximum(self._moments_s[0], flight.first_s - sent_s + FIRST_BYTES_S)
        is_open = (rung > 0) & (tries < ASK_AGAIN_COUNT_MAX) & (sent_s + first_look_s < end_s)
        rows = np.flatnonzero(is_open & (segment_index > 0))
        elapsed_s = first_look_s[rows]
        while rows.size:
            now_s = sent_s[rows] + elapsed_s
            left_s = np.maximum(buffer_s[rows] - elapsed_s, 0.0)
            attempt = Attempt(
                session=session[rows],
                ladder_kbps=self._title.ladder_kbps,
                rung=rung[rows],
                elapsed_s=elapsed_s,
                ttfb_s=flight.first_s[rows] - sent_s[rows],
                received_bits=flight.received_bits(rows, now_s),
                sizes_bits=self._title.sizes_bits[segment_index[rows]],
                duration_s=durations_s[: rows.size],
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
            elapsed_s = self._next_look_s(elapsed_s, patience_s)
            goes_on = ~is_given_up & (sent_s[rows] + elapsed_s < end_s[rows])
            rows, elapsed_s = rows[goes_on], elapsed_s[goes_on]
        return instead, end_s

    def _ask(self, attempt: Attempt) -> tuple[Floats, Rungs]:
        """How long nobody needs to ask, and the answer."""
        patience_s = np.zeros(attempt.rung.size)
        chosen = np.full(attempt.rung.size, GO_ON)
        if self._patient is not None:
            patience_s = self._patient.patience_s(attempt)
        # A transfer that has brought nothing yet is nothing to judge by.
        some = np.flatnonzero((patience_s <= 0) & (attempt.received_bits > 0))
        if some.size == chosen.size:
            chosen = self._controller.abandon(attempt)
        elif some.size:
            chosen[some] = self._controller.abandon(attempt.take(some))
        return patience_s, chosen

    def _next_look_s(self, elapsed_s: Floats, patience_s: Floats) -> Floats:
        """(n,): the next of the moments, but not before the patience is used up; from the request.
        What was asked between two, for want of a first byte, counts as asked at the one before."""
        after = np.searchsorted(self._moments_s, elapsed_s + TIME_S_TOLERANCE, side="right")
        due = np.searchsorted(self._moments_s, elapsed_s + patience_s)
        look_s: Floats = self._moments_s[np.maximum(after, due)]
        return look_s
