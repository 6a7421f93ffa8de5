"""What a bitrate controller sees: arrays, one row a session.

A live player passes one row, a session simulator thousands that play the same ladder. A row holds
what a decision needs, history included. A controller may remember more of each session in arrays of
its own, by the number a row carries; it is built for as many sessions as it will ever see.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.units import BITS_PER_KBIT

Floats = NDArray[np.float64]
Rungs = NDArray[np.int64]
Flags = NDArray[np.bool_]

HORIZON = 8
"""Segments ahead that a view describes."""
HISTORY = 24
"""Throughput samples that a view holds: a minute and a half of segments of 4 s. The bandwidth model
is trained on as many."""
GO_ON = -1
"""Instead of a rung: a segment under way is not given up."""
ASK_AGAIN = -2
"""Instead of a rung: it is given up, and the controller asked anew."""
OWN_SHARE_MIN = 0.1
"""Of the link, left to a track beside others that would take nearly all of it."""
ASK_AGAIN_COUNT_MAX = 1000
"""Of one segment. A controller that is asked anew may well decide the same, as the peers' do while
an outage lasts; in a comparison only a bound that nobody reaches leaves them as they are."""
ASK_AGAIN_LIVE_COUNT_MAX = 100
"""The same where a viewer waits. BOLA with an empty buffer can give up a segment that comes well in
time for as long as it is let."""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The last transfers of `n` sessions: (n, history) each, newest last, NaN on the left while
    there are fewer. What the bandwidth model is asked (predictor.bandwidth.History) has these and
    the request that is due; that package knows no player, so it has words of its own."""

    kbps: Floats
    bytes: Floats
    duration_s: Floats
    """From the first body byte to the last."""
    ttfb_s: Floats
    """From the request to the first body byte."""
    gap_s: Floats
    """Nothing was under way for so long before the request."""
    is_hit: Flags
    """It came from an edge's store and says nothing of its backhaul."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """The state of `n` sessions before each asks for its next segment. Unknown values are NaN."""

    session: Rungs
    """(n,): which of its sessions each row is, for a controller that remembers."""
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
    hits_ahead: Floats | None = None
    """(n, horizon, rungs): 1 where the edge is known to hold the segment, 0 where not, NaN where
    nobody said; None when nothing was ever said."""
    taken_kbps: Floats | None = None
    """(n,): what the title's other tracks take of the same link; None for nothing. Estimate and
    history are of the whole link: see own_kbps."""
    prior: Floats | None = None
    """(n, 2): mean and deviation of the log2 kbit/s that earlier sessions had on this network, NaN
    where nothing is known of it; it counts before the first sample alone."""
    segment_index: Rungs
    """(n,): 0-based, of the next segment."""
    segments_left: Rungs
    """(n,): to be fetched, the next one included."""
    estimate_kbps: Floats
    """(n,): what the link gives the next request; NaN when nothing was measured yet."""
    ttfb_s: Floats
    """(n,): wait for the first byte of an answer, 0 when not measured yet."""
    history: History
    gap_s: Floats
    """(n,): nothing has been under way for so long."""
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

    def own_kbps(self, link_kbps: Floats) -> Floats:
        """(n,): what a link of so much leaves to this track."""
        if self.taken_kbps is None:
            return link_kbps
        return np.maximum(link_kbps - self.taken_kbps, link_kbps * OWN_SHARE_MIN)

    def take(self, rows: NDArray[np.int64] | slice) -> View:
        """The same view of some rows only."""
        return take_rows(self, rows)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """`n` segments under way, each of a session of its own, at this moment."""

    session: Rungs
    ladder_kbps: Floats
    rung: Rungs
    """(n,): above 0."""
    elapsed_s: Floats
    """(n,): since the request."""
    ttfb_s: Floats
    """(n,): of that the wait for the first byte."""
    received_bits: Floats
    """(n,): above 0."""
    sizes_bits: Floats
    """(n, rungs): of this segment at every rung."""
    duration_s: Floats
    """(n,): of this segment."""
    buffer_s: Floats
    """(n,): now."""
    is_hit: Flags
    """(n,): it comes from an edge's store."""
    is_waiting: Flags
    """(n,): playback stands still, before its start or in a stall."""

    @property
    def size_bits(self) -> Floats:
        """(n,): of what is under way."""
        size: Floats = self.sizes_bits[np.arange(self.rung.size), self.rung]
        return size

    @property
    def rate_kbps(self) -> Floats:
        """(n,): since the first byte."""
        return self.received_bits / np.maximum(self.elapsed_s - self.ttfb_s, 1e-6) / BITS_PER_KBIT

    def take(self, rows: NDArray[np.int64] | slice) -> Attempt:
        """The same of some rows only."""
        return take_rows(self, rows)


class Controller(Protocol):
    """Decides at which rung each session fetches its next segment."""

    def choose(self, view: View) -> Rungs:
        """(n,): a rung of the ladder for each row, which depends on that session alone. Asked for
        each segment of a session in order; for the same one again only after a failure, or when it
        was given up with ASK_AGAIN."""

    def abandon(self, attempt: Attempt) -> Rungs:
        """(n,): the rung to fetch the segment at instead, from scratch, or GO_ON, or ASK_AGAIN."""


@runtime_checkable
class Patient(Protocol):
    """What a controller that gives segments up may have besides, so that it need not be polled."""

    def patience_s(self, attempt: Attempt) -> Floats:
        """(n,): `abandon` would say to go on for this long if no more bytes came, and certainly if
        some do. 0: ask; inf: never ask again."""


Whole = TypeVar("Whole", View, Attempt, History)


def take_rows(whole: Whole, rows: NDArray[np.int64] | slice) -> Whole:
    """`whole` for some of its rows only; what holds for all rows stays as it is."""

    def part(name: str) -> Any:
        value = getattr(whole, name)
        if isinstance(value, History):
            return take_rows(value, rows)
        return value if name == "ladder_kbps" or value is None else value[rows]

    return type(whole)(**{name: part(name) for name in whole.__struct_fields__})


def fill_sizes(sizes_bits: Floats, durations_s: Floats, ladder_kbps: Floats) -> Floats:
    """`sizes_bits` (..., rungs) with NaN replaced by rung x duration (`durations_s` is (...))."""
    expected = durations_s[..., None] * ladder_kbps * BITS_PER_KBIT
    return np.where(np.isnan(sizes_bits), expected, sizes_bits)


def highest_within(is_within: Flags) -> Rungs:
    """(n,): for `is_within` (n, rungs), the highest rung up to which all are within; else 0."""
    run_length = np.logical_and.accumulate(is_within, axis=1).sum(axis=1)
    rung: Rungs = np.maximum(run_length - 1, 0).astype(np.int64)
    return rung
