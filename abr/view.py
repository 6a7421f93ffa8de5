"""What a bitrate controller sees: arrays, one row a session.

A live player passes one row, a session simulator thousands that play the same ladder. A row holds
everything a decision needs, history included, so controllers keep no state between calls, and a
batch of one gives what the same row gives among many.
"""

from __future__ import annotations

from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rungs = NDArray[np.int64]
Flags = NDArray[np.bool_]

HORIZON = 5
"""Segments ahead that a view describes."""
HISTORY = 10
"""Throughput samples that a view holds: five for a mean, and five more to judge that mean by."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """The state of `n` sessions before each asks for its next segment. Unknown values are NaN."""

    ladder_kbps: Floats
    """(rungs,), rising."""
    buffer_s: Floats
    """(n,): media downloaded and not yet played."""
    buffer_limit_s: Floats
    """(n,): the player waits when one more segment would not fit under this."""
    durations_s: Floats
    """(n, horizon): the next segments; NaN past the end of the title, never in column 0."""
    sizes_bits: Floats
    """(n, horizon, rungs): sizes, or rung x duration where unknown; NaN past the end."""
    segment_index: Rungs
    """(n,): 0-based, of the next segment."""
    segments_left: Rungs
    """(n,): to be fetched, the next one included."""
    estimate_kbps: Floats
    """(n,): what the next request can expect; NaN when nothing was measured yet."""
    ttfb_s: Floats
    """(n,): wait for the first byte of an answer, 0 when not measured yet."""
    samples_kbps: Floats
    """(n, history): newest last, NaN on the left while there are fewer."""
    samples_bytes: Floats
    """(n, history)."""
    samples_duration_s: Floats
    """(n, history)."""
    samples_hit: Flags
    """(n, history): the sample came from an edge's store and says nothing of its backhaul."""
    last_rung: Rungs
    """(n,): of the segment fetched before, -1 for none."""
    is_startup: Flags
    """(n,): nothing was played yet."""
    is_stalled: Flags
    """(n,): playback has stopped for want of data."""

    @property
    def row_count(self) -> int:
        return int(self.buffer_s.shape[0])

    @property
    def rung_count(self) -> int:
        return int(self.ladder_kbps.shape[0])

    @property
    def segment_duration_s(self) -> Floats:
        """(n,): of the next segment."""
        return self.durations_s[:, 0]

    def take(self, rows: NDArray[np.int64] | slice) -> View:
        """The same view of some rows only."""
        parts = {name: getattr(self, name) for name in self.__struct_fields__}
        return View(**{n: v if n == "ladder_kbps" else v[rows] for n, v in parts.items()})


class Controller(Protocol):
    """Decides at which rung each session fetches its next segment."""

    def choose(self, view: View) -> Rungs:
        """(n,): a rung of the ladder for each row, which depends on that row alone."""


def fill_sizes(sizes_bits: Floats, durations_s: Floats, ladder_kbps: Floats) -> Floats:
    """`sizes_bits` (..., rungs) with NaN replaced by rung x duration (`durations_s` is (...))."""
    expected = durations_s[..., None] * ladder_kbps * 1000.0
    return np.where(np.isnan(sizes_bits), expected, sizes_bits)


def highest_within(is_within: Flags) -> Rungs:
    """(n,): for `is_within` (n, rungs), the highest rung up to which all are within; else 0."""
    run_length = np.logical_and.accumulate(is_within, axis=1).sum(axis=1)
    rung: Rungs = np.maximum(run_length - 1, 0).astype(np.int64)
    return rung
