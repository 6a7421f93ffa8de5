"""What a client has seen of a network: arrays, one row a session.

Transfers that an edge answered from its store crossed the last mile only, all others the backhaul
too. A forecast is for one of the two kinds, so the samples of the other are taken out; the time
they took is kept, as idle time before the next sample, since a rate grows old either way.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Samples are (n, K), newest last, NaN (hit: False) on the left while there are fewer."""

    samples_kbps: Floats
    """Over the body alone, without the wait for its first byte."""
    samples_bytes: Floats
    samples_duration_s: Floats
    """Of the body alone."""
    samples_ttfb_s: Floats
    samples_gap_s: Floats
    """Idle before the request."""
    samples_hit: Flags
    """Answered from an edge's store: it says nothing of the backhaul."""
    gap_s: Floats
    """(n,): idle since the newest sample."""
    size_bytes: Floats
    """(n,): asked for now. NaN: no request, the next four seconds are meant."""

    @property
    def row_count(self) -> int:
        return int(self.samples_kbps.shape[0])

    def take(self, rows: NDArray[np.int64] | Flags | slice) -> History:
        """The same history of some rows only."""
        return History(**{name: getattr(self, name)[rows] for name in self.__struct_fields__})


def only(history: History, *, hits: bool) -> History:
    """The history with the samples of one kind, moved to the right; gaps cover what was left out.

    Without a sample of the other kind it is the same object.
    """
    is_known = ~np.isnan(history.samples_kbps)
    unwanted = is_known & (history.samples_hit != hits)
    if not unwanted.any():
        return history
    is_kept = is_known & ~unwanted
    span_s = np.nan_to_num(
        history.samples_duration_s + history.samples_ttfb_s + history.samples_gap_s
    )
    order = np.argsort(is_kept, axis=1, kind="stable")
    kept = np.take_along_axis(is_kept, order, axis=1)
    # The start and the end of every sample, counted back from the newest one's end.
    after_s = np.cumsum(span_s[:, ::-1], axis=1)[:, ::-1]
    gap_s = np.nan_to_num(history.samples_gap_s)
    start_s = np.take_along_axis(after_s - gap_s, order, axis=1)
    end_s = np.take_along_axis(after_s - span_s, order, axis=1)
    between_s = np.take_along_axis(gap_s, order, axis=1)
    is_second = kept.copy()
    is_second[:, 1:] &= kept[:, :-1]
    is_second[:, 0] = False
    between_s[:, 1:] = np.where(is_second[:, 1:], end_s[:, :-1] - start_s[:, 1:], between_s[:, 1:])
    newest_end_s = np.where(kept[:, -1], end_s[:, -1], after_s[:, 0])

    def moved(samples: Floats) -> Floats:
        return np.where(kept, np.take_along_axis(samples, order, axis=1), np.nan)

    return History(
        samples_kbps=moved(history.samples_kbps),
        samples_bytes=moved(history.samples_bytes),
        samples_duration_s=moved(history.samples_duration_s),
        samples_ttfb_s=moved(history.samples_ttfb_s),
        samples_gap_s=np.where(kept, between_s, np.nan),
        samples_hit=kept & hits,
        gap_s=history.gap_s + newest_end_s,
        size_bytes=history.size_bytes,
    )
