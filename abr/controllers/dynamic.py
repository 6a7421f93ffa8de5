"""Throughput while the buffer is low, BOLA once it is not."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from abr.controllers.bola import Bola, BolaParams
from abr.controllers.throughput import ThroughputParams, ThroughputRule
from abr.view import Rungs, View
from nearcast.config import Section


class DynamicParams(Section, frozen=True, kw_only=True):
    """`low_buffer_s`: below this the throughput rule decides alone."""

    low_buffer_s: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    safety: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.9
    gamma_p: Annotated[float, msgspec.Meta(gt=0)] = 5.0


class Dynamic:
    """The throughput rule below a buffer level, and above it the higher of that and BOLA.

    Source: DYNAMIC of Spiteri, Sitaraman, Sparacio, "From Theory to Practice: Improving Bitrate
    Adaptation in the DASH Reference Player", MMSys 2018. Differs in that the choice between the
    two is made afresh each time rather than with memory: BOLA decides exactly where both of the
    paper's conditions for entering it (buffer above the level, BOLA not below throughput) hold.
    """

    def __init__(self, params: DynamicParams | None = None) -> None:
        params = params or DynamicParams()
        self._low_buffer_s = params.low_buffer_s
        self._by_rate = ThroughputRule(ThroughputParams(safety=params.safety))
        self._bola = Bola(BolaParams(gamma_p=params.gamma_p, safety=params.safety))

    def choose(self, view: View) -> Rungs:
        by_rate = self._by_rate.choose(view)
        by_buffer = self._bola.choose(view)
        is_high = view.buffer_s > self._low_buffer_s
        return np.where(is_high, np.maximum(by_rate, by_buffer), by_rate).astype(np.int64)
