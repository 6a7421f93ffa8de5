"""What the operator wants kept: a device's limit, and a limit of data."""

from __future__ import annotations

import numpy as np

from abr.view import Floats, Rungs, View
from nearcast.units import BITS_PER_KBIT

DATA_HEADROOM_S = 30.0
"""Of the mean rate, that a session may be ahead of its data at any moment."""


def usable_rungs(ladder_kbps: Floats, bitrate_kbps_max: float) -> int:
    """How many rungs from the lowest are within the device's limit (0: none); at least one is."""
    if bitrate_kbps_max <= 0:
        return int(ladder_kbps.size)
    return max(1, int((ladder_kbps <= bitrate_kbps_max).sum()))


class DataCap:
    """Keeps the mean of what sessions fetch under a rate: a session may fetch what it has not used
    so far, and a little ahead."""

    def __init__(self, data_kbps_max: float, session_count: int) -> None:
        self._bps = data_kbps_max * BITS_PER_KBIT
        self._fetched_bits = np.zeros(session_count)
        self._media_s = np.zeros(session_count)

    @property
    def is_on(self) -> bool:
        return self._bps > 0

    def highest(self, view: View) -> Rungs:
        """(n,): the highest rung within what is left; 0 where none is."""
        at = view.session
        media_s = self._media_s[at] + view.segment_duration_s + DATA_HEADROOM_S
        left_bits = self._bps * media_s - self._fetched_bits[at]
        within = view.sizes_bits[:, 0, :] <= left_bits[:, None]
        highest: Rungs = np.maximum(within.sum(axis=1) - 1, 0).astype(np.int64)
        return highest

    def spend(self, view: View, rung: Rungs) -> None:
        """Count the segment that is asked for now."""
        size_bits = np.take_along_axis(view.sizes_bits[:, 0, :], rung[:, None], axis=1)[:, 0]
        self._fetched_bits[view.session] += size_bits
        self._media_s[view.session] += view.segment_duration_s
