"""What the sessions have measured, as the controllers see it."""

from __future__ import annotations

import numpy as np

from abr.throughput import HALF_LIFE_FAST_S, HALF_LIFE_SLOW_S
from abr.view import HISTORY, Flags, Floats, History, Rungs
from nearcast.units import BITS_PER_KBIT

KBPS, BYTES, DURATION, TTFB, GAP, HIT = range(6)


class Samples:
    """The last transfers of `n` sessions, and the mean of all, forgetting. As in dash.js and Sabre
    the estimate is the lower of two weighted means, of half-lives 3 and 8 s of transfer; the wait
    for the first byte is the higher of two over 3 and 8 s of media."""

    def __init__(self, session_count: int, segment_s: float) -> None:
        self._recent = np.full((6, session_count, HISTORY), np.nan)
        self._recent[HIT] = 0.0
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
        is_whole: bool,
    ) -> None:
        """One more transfer for each of these sessions; a given-up one (not whole) joins the
        history but not the mean, as in Sabre."""
        duration_s = np.maximum(duration_s, 1e-9)
        kbps = size_bits / duration_s / BITS_PER_KBIT
        recent = self._recent
        whole = rows if rows.size < recent.shape[1] else slice(None)
        recent[:, whole, :-1] = recent[:, whole, 1:]
        for field, value in (
            (KBPS, kbps),
            (BYTES, size_bits / 8.0),
            (DURATION, duration_s),
            (TTFB, ttfb_s),
            (GAP, gap_s),
            (HIT, is_hit.astype(np.float64)),
        ):
            recent[field, rows, -1] = value
        if is_whole:
            keep = 0.5 ** (duration_s / self._half_lives_s)
            self._kbps[:, rows] = keep * self._kbps[:, rows] + (1.0 - keep) * kbps
            self._weight_s[rows] += duration_s
            keep = self._ttfb_keep
            self._ttfb_s[:, rows] = keep * self._ttfb_s[:, rows] + (1.0 - keep) * ttfb_s
            self._ttfb_count[rows] += 1.0

    def history(self) -> History:
        """Of all sessions. The arrays change with the next sample: copy what must stay."""
        recent = self._recent
        return History(
            kbps=recent[KBPS],
            bytes=recent[BYTES],
            duration_s=recent[DURATION],
            ttfb_s=recent[TTFB],
            gap_s=recent[GAP],
            is_hit=recent[HIT] > 0,
        )

    def estimate_kbps(self) -> Floats:
        """(n,): NaN before the first sample."""
        known = 1.0 - 0.5 ** (self._weight_s / self._half_lives_s)
        with np.errstate(invalid="ignore", divide="ignore"):
            estimate: Floats = (self._kbps / known).min(axis=0)
        return estimate

    def ttfb_s(self) -> Floats:
        """(n,): 0 before the first sample."""
        known = 1.0 - self._ttfb_keep**self._ttfb_count
        with np.errstate(invalid="ignore", divide="ignore"):
            waits_s: Floats = (self._ttfb_s / known).max(axis=0)
        return np.nan_to_num(waits_s, nan=0.0)
