"""What the sessions have measured, as the controllers see it."""

from __future__ import annotations

import numpy as np

from abr.throughput import HALF_LIFE_FAST_S, HALF_LIFE_SLOW_S
from abr.view import HISTORY, Flags, Floats, History, Rungs
from nearcast.units import BITS_PER_KBIT, bits_from_bytes

KBPS, BYTES, DURATION, TTFB, GAP = range(5)
COLUMN_COUNT = 8 * HISTORY
"""Written from left to right; only when they are full the last ones move back to the front."""


class Samples:
    """The last transfers of `n` sessions, and the mean of all, forgetting. As in dash.js and Sabre
    the estimate is the lower of two weighted means, of half-lives 3 and 8 s of transfer; the wait
    for the first byte is the higher of two over 3 and 8 s of media.

    Every call of `add` is one more transfer of each session that still plays: sessions that are
    left out once must stay out.
    """

    def __init__(self, session_count: int, segment_s: float) -> None:
        self._recent = np.full((5, session_count, COLUMN_COUNT), np.nan)
        self._hits = np.zeros((session_count, COLUMN_COUNT), dtype=np.bool_)
        self._column = HISTORY
        half_lives_s = np.array([HALF_LIFE_FAST_S, HALF_LIFE_SLOW_S])
        self._half_lives_s = half_lives_s[:, None]
        self._ttfb_keep = (0.5 ** (segment_s / half_lives_s))[:, None]
        self._kbps = np.zeros((2, session_count))
        self._weight_s = np.zeros(session_count)
        self._ttfb_s = np.zeros((2, session_count))
        self._ttfb_count = np.zeros(session_count)

    def add(
        self,
        rows: Rungs,
        *,
        size_bits: Floats,
        duration_s: Floats,
        ttfb_s: Floats,
        gap_s: Floats,
        is_hit: Flags,
        is_whole: Flags,
    ) -> None:
        """One more transfer for each of these sessions; a given-up one (not whole) joins the
        history but not the mean, as in Sabre. `duration_s` is above 0."""
        if self._column == COLUMN_COUNT:
            self._recent[:, :, :HISTORY] = self._recent[:, :, -HISTORY:]
            self._hits[:, :HISTORY] = self._hits[:, -HISTORY:]
            self._column = HISTORY
        kbps = kbps_of(size_bits, duration_s)
        recent, column = self._recent, self._column
        recent[KBPS, rows, column] = kbps
        recent[BYTES, rows, column] = size_bits / bits_from_bytes(1)
        recent[DURATION, rows, column] = duration_s
        recent[TTFB, rows, column] = ttfb_s
        recent[GAP, rows, column] = gap_s
        self._hits[rows, column] = is_hit
        self._column += 1
        weight_s = np.where(is_whole, duration_s, 0.0)
        keep = np.exp2(-weight_s / self._half_lives_s)
        self._kbps[:, rows] = keep * self._kbps[:, rows] + (1.0 - keep) * kbps
        self._weight_s[rows] += weight_s
        keep = np.where(is_whole, self._ttfb_keep, 1.0)
        self._ttfb_s[:, rows] = keep * self._ttfb_s[:, rows] + (1.0 - keep) * ttfb_s
        self._ttfb_count[rows] += is_whole

    def history(self, rows: Rungs) -> History:
        """Of these sessions. The arrays may change with the next sample: copy what must stay."""
        last = slice(self._column - HISTORY, self._column)
        recent, hits = self._recent[:, :, last], self._hits[:, last]
        if rows.size < hits.shape[0]:
            recent, hits = recent[:, rows], hits[rows]
        return History(
            kbps=recent[KBPS],
            bytes=recent[BYTES],
            duration_s=recent[DURATION],
            ttfb_s=recent[TTFB],
            gap_s=recent[GAP],
            is_hit=hits,
        )

    def estimate_kbps(self, rows: Rungs) -> Floats:
        """(n,): NaN before the first sample."""
        known = 1.0 - np.exp2(-self._weight_s[rows] / self._half_lives_s)
        with np.errstate(invalid="ignore", divide="ignore"):
            estimate: Floats = (self._kbps[:, rows] / known).min(axis=0)
        return estimate

    def ttfb_s(self, rows: Rungs) -> Floats:
        """(n,): 0 before the first sample."""
        known = 1.0 - self._ttfb_keep ** self._ttfb_count[rows]
        with np.errstate(invalid="ignore", divide="ignore"):
            waits_s: Floats = (self._ttfb_s[:, rows] / known).max(axis=0)
        return np.nan_to_num(waits_s, nan=0.0)


def kbps_of(size_bits: Floats, duration_s: Floats) -> Floats:
    """(n,)"""
    return size_bits / duration_s / BITS_PER_KBIT
