"""When a segment under way should be given up for a lower rung: the rule of a careful player.

The segment's own progress is extrapolated: what is left, at the rate so far. It is late when that
is more than playback can wait. Then the highest lower rung that would still be in time, fetched
from scratch, is taken; where none would be, the lowest, if it comes clearly sooner than the rest
of this one. A transfer that has stopped bringing bytes looks slower by the second, so the moment
at which it becomes late is known in advance, and nobody has to poll for it.

Before playback starts and in a stall, when nothing is left to protect, a segment may take as long
as it plays.
"""

from __future__ import annotations

import numpy as np

from abr.view import GO_ON, Attempt, Floats, Rungs
from nearcast.units import BITS_PER_KBIT

WORTHWHILE_RATIO = 0.8
"""Where nothing is in time, the lowest rung must take less than this share of the rest."""


def lower_rung(attempt: Attempt) -> Rungs:
    """(n,): the rung to fetch instead, or GO_ON."""
    patience_s = _patience_s(attempt)
    rate_bps = attempt.rate_kbps * BITS_PER_KBIT
    left_s = _left_bits(attempt) / rate_bps
    again_s = attempt.ttfb_s[:, None] + attempt.sizes_bits / rate_bps[:, None]  # (n, rungs)
    is_lower = np.arange(attempt.ladder_kbps.size) < attempt.rung[:, None]
    is_in_time = is_lower & (again_s <= patience_s[:, None])
    highest = is_in_time.shape[1] - 1 - np.argmax(is_in_time[:, ::-1], axis=1)
    is_worth = again_s[:, 0] < WORTHWHILE_RATIO * left_s
    rung = np.where(is_in_time.any(axis=1), highest, np.where(is_worth, 0, GO_ON))
    is_late = (left_s > patience_s) & (attempt.rung > 0)
    return np.where(is_late, rung, GO_ON).astype(np.int64)


def late_in_s(attempt: Attempt) -> Floats:
    """(n,): the segment becomes late after so long if no more bytes come; 0 when it is late."""
    patience_s = _patience_s(attempt)
    timed_s = attempt.elapsed_s - attempt.ttfb_s
    # A flight looked in on before its first byte has brought nothing yet.
    ratio = _left_bits(attempt) / np.maximum(attempt.received_bits, 1.0)
    # While playback goes on, the patience is used up meanwhile.
    is_shrinking = ~attempt.is_waiting
    spare_s = patience_s - ratio * timed_s
    return np.maximum(spare_s / np.maximum(ratio + is_shrinking, 1e-9), 0.0)


def _left_bits(attempt: Attempt) -> Floats:
    return np.maximum(attempt.size_bits - attempt.received_bits, 0.0)


def _patience_s(attempt: Attempt) -> Floats:
    return np.where(attempt.is_waiting, attempt.duration_s, attempt.buffer_s)
