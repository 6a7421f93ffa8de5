"""BOLA: the rung as a function of the buffer level."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from abr.controllers.throughput import sustainable_rung
from abr.view import ASK_AGAIN, GO_ON, Attempt, Floats, Rungs, View
from nearcast.config import Section

SHORT_TITLE_SEGMENTS_MIN = 3
"""Of the title's own length, half of what lies behind and ahead counts, but at least this many."""


class BolaParams(Section, frozen=True, kw_only=True):
    """`gamma_p`: how much an even playback weighs against rate (the paper's gamma x p).
    `safety`: share of the estimate used where throughput has a say."""

    gamma_p: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    safety: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0


class Bola:
    """Maximise (V (utility + gamma p) - buffer) / size: low rungs on a low buffer, high on a full.

    Utility is ln(rung / lowest rung). V follows from the buffer limit, so that the top rung is
    chosen just when one more segment still fits:
    V = (limit - segment) / (top utility + gamma p). Close to the start and the end of a title
    the limit counts as less (BOLA-FINITE), and a step up goes no further than one rung above what
    the throughput sustains, which stops the oscillation between two rungs around the link's rate
    (BOLA-U). A first segment follows the throughput, there being no buffer to go by. A segment
    under way is given up for a lower rung that scores better against the bits still to come, if it
    has fewer of them.
    Source: Spiteri, Urgaonkar, Sitaraman, "BOLA: Near-Optimal Bitrate Adaptation for Online
    Videos", INFOCOM 2016, sections IV and V. Differs in that it never pauses of its own: with this
    V the objective turns negative only above the buffer limit, where the player waits anyway.

    What a step up is measured against is its own last choice: as a part of DYNAMIC it goes on
    deciding while the other rule is obeyed.
    """

    def __init__(self, params: BolaParams | None = None, session_count: int = 1) -> None:
        self._params = params or BolaParams()
        self._last_rung = np.zeros(session_count, dtype=np.int64)
        self._gain_s = np.zeros(session_count)
        """V; 0 before the first choice, when nothing is given up."""

    def choose(self, view: View) -> Rungs:
        by_rate = sustainable_rung(view, self._params.safety)
        rung = self._by_buffer(view)
        last_rung = self._last_rung[view.session]
        # Never above the rung before and what the link sustains at once, but for one step.
        guarded = np.where(last_rung > by_rate, last_rung, by_rate + 1)
        is_leap = (rung > last_rung) & (rung > by_rate)
        rung = np.where(is_leap, np.minimum(rung, guarded), rung)
        has_no_buffer = view.is_startup | (view.last_rung < 0)
        rung = np.where(has_no_buffer, by_rate, rung).astype(np.int64)
        self._last_rung[view.session] = rung
        return rung

    def _by_buffer(self, view: View) -> Rungs:
        duration_s = view.segment_duration_s
        near = np.minimum(view.segment_index, view.segments_left)
        segments = np.maximum(near / 2.0, SHORT_TITLE_SEGMENTS_MIN)
        limit_s = np.minimum(view.buffer_limit_s, segments * duration_s)
        worth = self.worth(view.ladder_kbps)
        gain_s = np.maximum(limit_s - duration_s, 1e-3) / worth[-1]
        self._gain_s[view.session] = gain_s
        scores = (gain_s[:, None] * worth - view.buffer_s[:, None]) / view.ladder_kbps
        rung: Rungs = np.argmax(scores, axis=1).astype(np.int64)
        return rung

    def worth(self, ladder_kbps: Floats) -> Floats:
        """(rungs,): utility + gamma p."""
        worth: Floats = np.log(ladder_kbps / ladder_kbps[0]) + self._params.gamma_p
        return worth

    def abandon(self, attempt: Attempt) -> Rungs:
        gain_s, left = self._gain_s[attempt.session], self._left(attempt)
        worth_s = gain_s[:, None] * self.worth(attempt.ladder_kbps)
        now = gain_s * self.worth(attempt.ladder_kbps)[attempt.rung] - attempt.buffer_s
        share = self._shares(attempt.ladder_kbps)[attempt.rung]
        scores = (worth_s - attempt.buffer_s[:, None]) / share
        is_open = (share < left[:, None]) & (scores > (now / left)[:, None])
        is_open &= ((now >= 0) & (gain_s > 0))[:, None]
        best = np.argmax(np.where(is_open, scores, -np.inf), axis=1)
        given_up = np.flatnonzero(is_open.any(axis=1))
        self._last_rung[attempt.session[given_up]] = best[given_up]
        instead = np.full(best.size, GO_ON)
        instead[given_up] = ASK_AGAIN
        return instead

    def patience_s(self, attempt: Attempt) -> Floats:
        """(n,): see abr.view.Patient."""
        # A lower rung scores better once the buffer is below a level, which more bytes only lower:
        # (left worth - share worth of this) / (left - share), the highest of the rungs' levels.
        worth, share = self.worth(attempt.ladder_kbps), self._shares(attempt.ladder_kbps)
        left = self._left(attempt)[:, None]
        over = left * worth
        over -= (share * worth[:, None])[attempt.rung]
        under = left - share[attempt.rung]
        level = np.divide(over, under, out=np.full(under.shape, -1.0), where=under > 0)
        highest_s = self._gain_s[attempt.session] * level.max(axis=1)
        patience_s = np.maximum(attempt.buffer_s - highest_s, 0.0)
        return np.where(highest_s > 0, patience_s, np.inf)

    @staticmethod
    def _left(attempt: Attempt) -> Floats:
        """(n,): share of the segment's bits that is still to come; above 0."""
        left: Floats = np.maximum(1.0 - attempt.received_bits / attempt.size_bits, 1e-9)
        return left

    @staticmethod
    def _shares(ladder_kbps: Floats) -> Floats:
        """(rungs, rungs): of the bits of each rung (first axis) that the others have. The ones
        that are not lower have no less than all."""
        return ladder_kbps / ladder_kbps[:, None]
