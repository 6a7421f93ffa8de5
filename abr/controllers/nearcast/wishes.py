"""What the operator wants kept: a device's limit, and a limit of data."""

from __future__ import annotations

import numpy as np

from abr.view import Floats, Rungs, View, highest_within
from nearcast.units import BITS_PER_KBIT, bits_from_bytes

DATA_AHEAD_S_MAX = 30.0
"""Of the mean rate, that a session may be ahead of its data at any moment."""
DATA_AHEAD_SHARE = 0.1
"""Of what is left to play, that it may be ahead: given back by the end, a little with each
segment."""


def usable_rungs(ladder_kbps: Floats, bitrate_kbps_max: float) -> int:
    """How many rungs from the lowest are within the device's limit (0: none); at least one is."""
    if bitrate_kbps_max <= 0:
        return int(ladder_kbps.size)
    return max(1, int((ladder_kbps <= bitrate_kbps_max).sum()))


class DataCap:
    """Keeps the mean of what sessions fetch under a rate: a session may fetch what it has not used
    so far, and a little ahead. Counted is what came, segments given up included."""

    def __init__(self, data_kbps_max: float, session_count: int) -> None:
        self._bps = data_kbps_max * BITS_PER_KBIT
        self._fetched_bits = np.zeros(session_count)
        self._media_s = np.zeros(session_count)
        self._index = np.full(session_count, -1)
        """Of the segment asked about before."""
        self._newest = np.full((2, session_count, 1), np.nan)
        """Bytes and duration of the newest sample counted."""

    @property
    def is_on(self) -> bool:
        return self._bps > 0

    def highest(self, view: View) -> Rungs:
        """(n,): the highest rung within what is left; 0 where none is."""
        self._count(view)
        at = view.session
        duration_s = view.segment_duration_s
        later_s = (view.segments_left - 1) * duration_s
        ahead_s = np.minimum(DATA_AHEAD_SHARE * later_s, DATA_AHEAD_S_MAX)
        left_bits = self._bps * (self._media_s[at] + duration_s + ahead_s) - self._fetched_bits[at]
        return highest_within(view.sizes_bits[:, 0, :] <= left_bits[:, None])

    def _count(self, view: View) -> None:
        """What came since the choice before."""
        at, seen = view.session, view.history
        is_first = self._index[at] < 0
        sample_count = (~np.isnan(seen.bytes)).sum(axis=1)
        segments = view.segment_index - self._index[at]
        segments = np.where(is_first, np.minimum(view.segment_index, sample_count), segments)
        self._media_s[at] += segments * view.segment_duration_s
        # Where the sample is that was the newest then; equal ones may follow each other.
        is_counted = (seen.bytes == self._newest[0, at]) & (seen.duration_s == self._newest[1, at])
        column = np.arange(seen.bytes.shape[1])
        last = np.where(is_counted[:, :-1], column[:-1], -1).max(axis=1)
        nothing_came = is_counted[:, -1] & ((segments == 0) | (last < 0))
        is_new = (column > last[:, None]) & ~nothing_came[:, None]
        came_bytes = np.where(is_new, np.nan_to_num(seen.bytes), 0.0).sum(axis=1)
        self._fetched_bits[at] += came_bytes * bits_from_bytes(1)
        self._index[at] = view.segment_index
        self._newest[:, at, 0] = seen.bytes[:, -1], seen.duration_s[:, -1]
