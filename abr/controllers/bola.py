"""BOLA: the rung as a function of the buffer level."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from abr.controllers.throughput import sustainable_rung
from abr.view import Floats, Rungs, View
from nearcast.config import Section

SHORT_TITLE_SEGMENTS_MIN = 3
"""Of the title's own length, half of what lies behind and ahead counts, but at least this many."""


class BolaParams(Section, frozen=True, kw_only=True):
    """`gamma_p`: how much an even playback weighs against rate (the paper's gamma x p).
    `safety`: share of the estimate used where throughput has a say."""

    gamma_p: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    safety: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.9


class Bola:
    """Maximise (V (utility + gamma p) - buffer) / size: low rungs on a low buffer, high on a full.

    Utility is ln(rung / lowest rung). V follows from the buffer limit, so that the top rung is
    chosen just when one more segment still fits:
    V = (limit - segment) / (top utility + gamma p). Close to the start and the end of a title
    the limit counts as less (BOLA-FINITE), and a step up goes no further than one rung above what
    the throughput sustains, which stops the oscillation between two rungs around the link's rate
    (BOLA-U). A first segment follows the throughput, there being no buffer to go by.
    Source: Spiteri, Urgaonkar, Sitaraman, "BOLA: Near-Optimal Bitrate Adaptation for Online
    Videos", INFOCOM 2016, sections IV and V. Differs in that it never pauses of its own: with this
    V the objective turns negative only above the buffer limit, where the player waits anyway.
    """

    def __init__(self, params: BolaParams | None = None) -> None:
        self._params = params or BolaParams()

    def choose(self, view: View) -> Rungs:
        by_rate = sustainable_rung(view, self._params.safety)
        rung = self._by_buffer(view)
        # Never above the rung before and what the link sustains at once, but for one step.
        guarded = np.where(view.last_rung > by_rate, view.last_rung, by_rate + 1)
        is_leap = (rung > view.last_rung) & (rung > by_rate)
        rung = np.where(is_leap, np.minimum(rung, guarded), rung)
        has_no_buffer = view.is_startup | (view.last_rung < 0)
        return np.where(has_no_buffer, by_rate, rung).astype(np.int64)

    def _by_buffer(self, view: View) -> Rungs:
        utilities = np.log(view.ladder_kbps / view.ladder_kbps[0])  # (rungs,)
        duration_s = view.segment_duration_s
        limit_s = self._limit_s(view)
        gain_s = np.maximum(limit_s - duration_s, 1e-3) / (utilities[-1] + self._params.gamma_p)
        worth = gain_s[:, None] * (utilities + self._params.gamma_p) - view.buffer_s[:, None]
        rung: Rungs = np.argmax(worth / view.ladder_kbps, axis=1).astype(np.int64)
        return rung

    @staticmethod
    def _limit_s(view: View) -> Floats:
        near = np.minimum(view.segment_index, view.segments_left)
        segments = np.maximum(near / 2.0, SHORT_TITLE_SEGMENTS_MIN)
        return np.minimum(view.buffer_limit_s, segments * view.segment_duration_s)
