"""What each edge did over the last minute.

A few readings of what each has done since it was first heard of are kept, spaced out so that the
oldest is about a minute old.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearcast.units import BITS_PER_BYTE, BITS_PER_KBIT
from origin.control.api import RecentFigures
from origin.telemetry.growth import AT, COUNTERS, Grown, ratios

SPAN_S: Final = 60.0
READINGS_MAX: Final = 7
"""Of an edge: one in ten seconds, and the newest."""


class _Reading(NamedTuple):
    wall_s: float
    counts: NDArray[np.float64]  # (COUNTERS,), since it was first heard of


class _Edge:
    __slots__ = ("newest", "spaced")

    def __init__(self, reading: _Reading) -> None:
        self.spaced = deque((reading,), maxlen=READINGS_MAX)
        self.newest = reading

    def take(self, grown: Grown) -> None:
        reading = _Reading(grown.until_wall_s, self.newest.counts + grown.counts)
        if reading.wall_s - self.spaced[-1].wall_s >= SPAN_S / (READINGS_MAX - 1):
            self.spaced.append(reading)
        self.newest = reading

    def before(self) -> _Reading:
        """The oldest one within the span of the newest, or the last before it."""
        since_s = self.newest.wall_s - SPAN_S
        for one in self.spaced:
            if one.wall_s >= since_s:
                return one
        return self.spaced[-1]


class Sums:
    """What figures are made of; those of several edges are added up."""

    __slots__ = ("counts", "ever", "kbps")

    def __init__(self) -> None:
        self.counts = np.zeros(len(COUNTERS))
        """Over the span."""
        self.ever = np.zeros(len(COUNTERS))
        """Since each edge was first heard of here."""
        self.kbps = np.zeros(len(COUNTERS))

    def add(self, other: Sums) -> None:
        self.counts += other.counts
        self.ever += other.ever
        self.kbps += other.kbps

    def figures(self) -> RecentFigures:
        now = ratios(self.counts)
        # A prefetch is used or wasted long after it was made: a minute says nothing about it.
        ever = ratios(self.ever)
        return RecentFigures(
            client_kbps=float(self.kbps[AT["client_bytes"]]),
            origin_kbps=float(self.kbps[AT["origin_bytes"]]),
            peer_kbps=float(self.kbps[AT["peer_bytes"]]),
            hit_ratio=now.hit_ratio,
            prefetch_precision=ever.prefetch_precision,
            prefetch_waste_ratio=ever.prefetch_waste_ratio,
            startup_s=now.startup_s,
            stall_ratio=now.stall_ratio,
            bitrate_kbps=now.bitrate_kbps,
            session_count=round(float(self.counts[AT["session_count"]])),
        )


class Recent:
    """Bounded by the number of edges: forget those that leave."""

    def __init__(self) -> None:
        self._edges: dict[str, _Edge] = {}

    def take(self, grown: Grown) -> None:
        known = self._edges.get(grown.edge)
        if known is None:
            self._edges[grown.edge] = _Edge(_Reading(grown.until_wall_s, grown.counts))
        else:
            known.take(grown)

    def forget(self, edge: str) -> None:
        self._edges.pop(edge, None)

    def sums(self, edge: str, wall_s: float) -> Sums:
        """Nothing of an edge that has been silent for longer than the span."""
        sums = Sums()
        known = self._edges.get(edge)
        if known is None or known.newest.wall_s < wall_s - SPAN_S:
            return sums
        before, after = known.before(), known.newest
        sums.ever = after.counts.copy()
        elapsed_s = after.wall_s - before.wall_s
        if elapsed_s > 0:
            sums.counts = after.counts - before.counts
            sums.kbps = sums.counts * (BITS_PER_BYTE / BITS_PER_KBIT / elapsed_s)
        return sums
