"""Throughput while the buffer is low, BOLA once it is not."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from abr.controllers.bola import Bola, BolaParams
from abr.controllers.throughput import ThroughputParams, ThroughputRule
from abr.view import Attempt, Floats, Rungs, View
from nearcast.config import Section


class DynamicParams(Section, frozen=True, kw_only=True):
    """`low_buffer_s`: below this the throughput rule may take over from BOLA."""

    low_buffer_s: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    safety: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.9
    gamma_p: Annotated[float, msgspec.Meta(gt=0)] = 5.0


class Dynamic:
    """Begin with the throughput rule; follow BOLA from a full enough buffer on.

    BOLA takes over when the buffer is above the level and it asks for no less than throughput does,
    and hands back when the buffer is below the level and it asks for less. Both decide all the
    time, and segments are given up by the throughput rule.
    Source: DYNAMIC of Spiteri, Sitaraman, Sparacio, "From Theory to Practice: Improving Bitrate
    Adaptation in the DASH Reference Player", MMSys 2018.
    """

    def __init__(self, params: DynamicParams | None = None, session_count: int = 1) -> None:
        params = params or DynamicParams()
        self._low_buffer_s = params.low_buffer_s
        self._by_rate = ThroughputRule(ThroughputParams(safety=params.safety), session_count)
        self._bola = Bola(BolaParams(gamma_p=params.gamma_p), session_count)
        self._is_bola = np.zeros(session_count, dtype=np.bool_)

    def choose(self, view: View) -> Rungs:
        by_rate = self._by_rate.choose(view)
        by_buffer = self._bola.choose(view)
        enters = (view.buffer_s > self._low_buffer_s) & (by_buffer >= by_rate)
        leaves = (view.buffer_s < self._low_buffer_s) & (by_buffer < by_rate)
        is_bola = np.where(self._is_bola[view.session], ~leaves, enters)
        self._is_bola[view.session] = is_bola
        return np.where(is_bola, by_buffer, by_rate).astype(np.int64)

    def abandon(self, attempt: Attempt) -> Rungs:
        return self._by_rate.abandon(attempt)

    def patience_s(self, attempt: Attempt) -> Floats:
        return self._by_rate.patience_s(attempt)
