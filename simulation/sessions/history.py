"""What the sessions have measured, as the controllers see it."""

from __future__ import annotations

import numpy as np

from abr.view import HISTORY, Flags, Floats, History, Rungs
from nearcast.units import bits_from_bytes
from simulation.sessions.estimates import EstimateRule, kbps_of, make_estimate

KBPS, BYTES, DURATION, TTFB, GAP = range(5)
COLUMN_COUNT = 8 * HISTORY
"""Written from left to right; only when they are full the last ones move back to the front."""


class Samples:
    """The last transfers of `n` sessions, and what they make the next one expected to bring.

    Every call of `add` is one more transfer of each session that still plays: sessions that are
    left out once must stay out.
    """

    def __init__(
        self, session_count: int, segment_s: float, rule: EstimateRule = "published"
    ) -> None:
        self._recent = np.full((5, session_count, COLUMN_COUNT), np.nan)
        self._hits = np.zeros((session_count, COLUMN_COUNT), dtype=np.bool_)
        self._column = HISTORY
        self._estimate = make_estimate(rule, session_count, segment_s)

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
        """One more transfer for each of these sessions; one that was given up is not whole.
        `duration_s` is above 0."""
        if self._column == COLUMN_COUNT:
            self._recent[:, :, :HISTORY] = self._recent[:, :, -HISTORY:]
            self._hits[:, :HISTORY] = self._hits[:, -HISTORY:]
            self._column = HISTORY
        recent, column = self._recent, self._column
        recent[KBPS, rows, column] = kbps_of(size_bits, duration_s)
        recent[BYTES, rows, column] = size_bits / bits_from_bytes(1)
        recent[DURATION, rows, column] = duration_s
        recent[TTFB, rows, column] = ttfb_s
        recent[GAP, rows, column] = gap_s
        self._hits[rows, column] = is_hit
        self._column += 1
        self._estimate.add(
            rows,
            size_bits=size_bits,
            duration_s=duration_s,
            ttfb_s=ttfb_s,
            is_hit=is_hit,
            is_whole=is_whole,
        )

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
        return self._estimate.kbps(rows)

    def ttfb_s(self, rows: Rungs) -> Floats:
        """(n,): 0 before the first sample."""
        return self._estimate.ttfb_s(rows)
