"""BOLA-E: BOLA that imagines a fuller buffer where a low one is nobody's fault."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from abr.controllers.throughput import LOW_BUFFER_SAFETY_KEEP, sustainable_rung
from abr.view import ASK_AGAIN, GO_ON, Attempt, Floats, Rungs, View, highest_within
from nearcast.config import Section
from nearcast.units import BITS_PER_KBIT

BUFFER_S_MIN = 10.0
"""Below this level the lowest rung is chosen for its own sake."""
BUFFER_S_PER_RUNG = 2.0
"""A rung needs some room between its neighbours' levels."""


class BolaEParams(Section, frozen=True, kw_only=True):
    """`low_buffer_safety_first`, falling to `low_buffer_safety`: share of what the link brings
    while the buffer lasts that one segment may take."""

    low_buffer_safety_first: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.9
    low_buffer_safety: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5


class BolaE:
    """BOLA over the buffer and a placeholder: seconds that are not there but count as if they were.

    The placeholder is what makes the level fit the rung that throughput names at the start; it
    grows while the player waits for room, and is bounded after each segment by the levels at which
    its rung would be chosen, and after a segment given up by the level of the rung taken instead.
    The levels do not depend on the buffer limit: the lowest rung holds up to 10 s, and the top rung
    begins below 10 s + 2 s a rung. As in BOLA a step up ends one rung above what throughput
    sustains; as in the throughput rule one segment must arrive while the buffer lasts.
    Source: Spiteri, Sitaraman, Sparacio, MMSys 2018, section 4 (BOLA-E), as it became a default of
    dash.js. Differs in that it never pauses of its own.
    """

    def __init__(self, params: BolaEParams | None = None, session_count: int = 1) -> None:
        self._params = params or BolaEParams()
        self._has_started = np.zeros(session_count, dtype=np.bool_)
        self._placeholder_s = np.zeros(session_count)
        self._last_rung = np.zeros(session_count, dtype=np.int64)
        self._instead = np.full(session_count, GO_ON)
        self._low_buffer_safety = np.full(session_count, self._params.low_buffer_safety_first)
        self._levels: Levels | None = None

    def choose(self, view: View) -> Rungs:
        self.observe(view)
        return self.decide(view)

    def observe(self, view: View) -> None:
        """Take in what came of the last request; before every decision, whoever makes it."""
        levels = self._levels_of(view.ladder_kbps, view.buffer_limit_s)
        rows = view.session
        placeholder_s = self._placeholder_s[rows]
        instead = self._instead[rows]
        buffer_s = view.buffer_s + view.gap_s  # when it was here
        rung = np.maximum(view.last_rung, 0)
        took_s = view.history.duration_s[:, -1] + view.history.ttfb_s[:, -1]
        before_s = buffer_s + np.nan_to_num(took_s)
        capped_s = np.minimum(placeholder_s, np.maximum(levels.highest_s[rung] - before_s, 0.0))
        bounded_s = np.maximum(capped_s, levels.lowest_s[rung] - before_s)
        wanted_s = np.where(instead > 0, levels.lowest_s[instead], BUFFER_S_MIN)
        lost_s = np.minimum(placeholder_s, np.maximum(wanted_s - buffer_s, 0.0))
        given_up = instead != GO_ON
        self._placeholder_s[rows] = np.where(given_up, lost_s, bounded_s) + view.gap_s
        self._last_rung[rows] = np.where(given_up, self._last_rung[rows], rung)
        self._instead[rows] = GO_ON

    def decide(self, view: View) -> Rungs:
        """(n,): after `observe`."""
        levels = self._levels_of(view.ladder_kbps, view.buffer_limit_s)
        rows = view.session
        buffer_s, placeholder_s = view.buffer_s, self._placeholder_s[rows]
        last_rung = self._last_rung[rows]
        by_rate = sustainable_rung(view, 1.0)
        scores = levels.highest_s - (buffer_s + placeholder_s)[:, None]
        rung = np.argmax(scores / view.ladder_kbps, axis=1)
        is_leap = (rung > last_rung) & (rung > by_rate)
        rung = np.where(is_leap, np.maximum(last_rung, by_rate) + 1, rung)
        surplus_s = np.maximum(buffer_s + placeholder_s - levels.highest_s[rung], 0.0)
        placeholder_s = np.maximum(placeholder_s - surplus_s, 0.0)

        safety = self._low_buffer_safety[rows]
        usable_s = safety * (buffer_s - view.ttfb_s)
        usable_kbps = view.own_kbps(view.estimate_kbps) * usable_s / view.segment_duration_s
        arriving = highest_within(view.ladder_kbps <= usable_kbps[:, None])
        is_held = arriving < rung
        held_s = np.maximum(levels.lowest_s[arriving] - buffer_s, 0.0)
        placeholder_s = np.where(is_held, np.minimum(placeholder_s, held_s), placeholder_s)
        rung = np.minimum(rung, arriving)

        # The first decision that has a throughput to go by.
        is_first = ~self._has_started[rows] | view.is_startup
        start_s = np.maximum(levels.lowest_s[by_rate] - buffer_s, 0.0)
        less = np.maximum(safety * LOW_BUFFER_SAFETY_KEEP, self._params.low_buffer_safety)
        self._low_buffer_safety[rows] = np.where(is_first, safety, less)
        self._placeholder_s[rows] = np.where(is_first, start_s, placeholder_s)
        self._has_started[rows] |= ~np.isnan(view.estimate_kbps)
        return np.where(is_first, by_rate, rung).astype(np.int64)

    def abandon(self, attempt: Attempt) -> Rungs:
        levels = self._levels
        if levels is None:
            return np.full(attempt.rung.size, GO_ON)
        # A new request costs a wait for its first byte, in which this one would go on.
        level_s = attempt.buffer_s + self._placeholder_s[attempt.session] - attempt.ttfb_s
        level_s = np.maximum(level_s, 0.0)
        meanwhile_bits = attempt.rate_kbps * BITS_PER_KBIT * attempt.ttfb_s
        left_bits = attempt.size_bits - attempt.received_bits - meanwhile_bits
        score = (levels.highest_s[attempt.rung] - level_s) / np.maximum(left_bits, 1e-9)
        share = attempt.ladder_kbps / attempt.ladder_kbps[attempt.rung][:, None]
        bits = attempt.size_bits[:, None] * share
        scores = (levels.highest_s - level_s[:, None]) / bits
        is_open = (bits < left_bits[:, None]) & (scores > score[:, None])
        is_open &= np.arange(share.shape[1]) < attempt.rung[:, None]
        best = np.argmax(np.where(is_open, scores, -np.inf), axis=1)
        instead = np.where(is_open.any(axis=1), best, GO_ON).astype(np.int64)
        self.note_given_up(attempt, instead)
        return np.where(instead == GO_ON, GO_ON, ASK_AGAIN).astype(np.int64)

    def patience_s(self, attempt: Attempt) -> Floats:
        """(n,): see abr.view.Patient."""
        levels = self._levels
        if levels is None:
            return np.full(attempt.rung.size, np.inf)
        # As in BOLA a lower rung scores better once the level is below one that more bytes only
        # lower: (left highest - bits highest of this) / (left - bits), the highest of the rungs'.
        # What would come during a wait for a first byte lowers it too, and may be left out.
        left_bits = np.maximum(attempt.size_bits - attempt.received_bits, 0.0)[:, None]
        share = attempt.ladder_kbps / attempt.ladder_kbps[attempt.rung][:, None]
        bits = attempt.size_bits[:, None] * share
        over = left_bits * levels.highest_s - bits * levels.highest_s[attempt.rung][:, None]
        under = left_bits - bits
        level = np.divide(over, under, out=np.full(under.shape, -1.0), where=under > 0)
        enough_s = level.max(axis=1)
        level_s = attempt.buffer_s + self._placeholder_s[attempt.session] - attempt.ttfb_s
        return np.where(enough_s > 0, np.maximum(level_s - enough_s, 0.0), np.inf)

    def note_given_up(self, attempt: Attempt, instead: Rungs) -> None:
        """Where `instead` is a rung, the segment is given up for it."""
        given_up = instead != GO_ON
        sessions = attempt.session[given_up]
        self._instead[sessions] = instead[given_up]
        self._last_rung[sessions] = attempt.rung[given_up]

    def _levels_of(self, ladder_kbps: Floats, buffer_limit_s: Floats) -> Levels:
        """Of the ladder in hand. Sessions that share it are taken to share the limit as well."""
        if self._levels is None or self._levels.ladder_kbps is not ladder_kbps:
            self._levels = Levels(ladder_kbps, float(buffer_limit_s.max()))
        return self._levels


class Levels:
    """Where each rung begins to be preferred to all lower ones, and where it is not worth having
    any more; both (rungs,), seconds of buffer."""

    def __init__(self, ladder_kbps: Floats, buffer_s_max: float) -> None:
        self.ladder_kbps = ladder_kbps
        utilities = 1.0 + np.log(ladder_kbps / ladder_kbps[0])
        full_s = max(BUFFER_S_MIN + BUFFER_S_PER_RUNG * ladder_kbps.size, buffer_s_max)
        gamma_p = max((utilities[-1] - 1.0) / (full_s / BUFFER_S_MIN - 1.0), 1e-9)
        gain_s = BUFFER_S_MIN / gamma_p
        self.highest_s: Floats = gain_s * (utilities + gamma_p)
        # Against rung r, rung q has the better score from here on.
        q, r = ladder_kbps[:, None], ladder_kbps
        step = np.where(q > r, q - r, 1.0)
        mixed = (q * utilities - r * utilities[:, None]) / step
        self.lowest_s: Floats = np.where(q > r, gain_s * (gamma_p + mixed), 0.0).max(axis=1)
