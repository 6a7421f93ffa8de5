"""Throughput while the buffer is low, BOLA-E once it is not."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from abr.controllers.bola_e import BolaE
from abr.controllers.throughput import ThroughputParams, ThroughputRule
from abr.view import ASK_AGAIN, GO_ON, Attempt, Floats, Rungs, View
from nearcast.config import Section


class DynamicDashParams(Section, frozen=True, kw_only=True):
    """`low_buffer_s`: below this BOLA-E hands back to the throughput rule; `high_buffer_s`: above
    this it takes over."""

    low_buffer_s: Annotated[float, msgspec.Meta(ge=0)] = 5.0
    high_buffer_s: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    safety: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.9


class DynamicDash:
    """The throughput rule and BOLA-E, one at a time, by the buffer level with a gap between.

    Source: Spiteri, Sitaraman, Sparacio, MMSys 2018: DYNAMIC in the form that dash.js took up.
    """

    def __init__(self, params: DynamicDashParams | None = None, session_count: int = 1) -> None:
        self._params = params = params or DynamicDashParams()
        self._by_rate = ThroughputRule(ThroughputParams(safety=params.safety), session_count)
        self._bola = BolaE(session_count=session_count)
        self._is_bola = np.zeros(session_count, dtype=np.bool_)

    def choose(self, view: View) -> Rungs:
        was_bola = self._is_bola[view.session]
        level_s = np.where(was_bola, self._params.low_buffer_s, self._params.high_buffer_s)
        is_bola = np.where(was_bola, view.buffer_s >= level_s, view.buffer_s > level_s)
        self._is_bola[view.session] = is_bola
        self._bola.observe(view)
        rung = np.zeros(view.row_count, dtype=np.int64)
        for rows, decide in (
            (np.flatnonzero(is_bola), self._bola.decide),
            (np.flatnonzero(~is_bola), self._by_rate.choose),
        ):
            if rows.size:
                rung[rows] = decide(view.take(rows))
        return rung

    def abandon(self, attempt: Attempt) -> Rungs:
        is_bola = self._is_bola[attempt.session]
        instead = np.full(attempt.rung.size, GO_ON)
        by_bola, by_rate = np.flatnonzero(is_bola), np.flatnonzero(~is_bola)
        if by_bola.size:
            instead[by_bola] = self._bola.abandon(attempt.take(by_bola))
        if by_rate.size:
            some = attempt.take(by_rate)
            rung = self._by_rate.rung_instead(some)
            self._bola.note_given_up(some, rung)
            instead[by_rate] = np.where(rung == GO_ON, GO_ON, ASK_AGAIN)
        return instead

    def patience_s(self, attempt: Attempt) -> Floats:
        """(n,): see abr.view.Patient."""
        by_bola, by_rate = self._bola.patience_s(attempt), self._by_rate.patience_s(attempt)
        return np.where(self._is_bola[attempt.session], by_bola, by_rate)
