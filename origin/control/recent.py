"""What each edge did over the last minute, from the counters in its heartbeats.

Counters grow from the start of the edge's process, so figures are differences within one boot. A
few readings of each edge are kept, spaced out so that the oldest is about a minute old.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from nearcast.fleet import Heartbeat, Qoe, Traffic
from nearcast.units import BITS_PER_BYTE, BITS_PER_KBIT
from origin.control.api import RecentFigures

SPAN_S: Final = 60.0
READINGS_MAX: Final = 7
"""Of an edge: one in ten seconds, and the newest."""


class _Reading(msgspec.Struct, frozen=True):
    wall_s: float
    traffic: Traffic
    qoe: Qoe


class _Edge:
    __slots__ = ("boot_id", "newest", "spaced")

    def __init__(self, boot_id: str, reading: _Reading) -> None:
        self.boot_id = boot_id
        self.spaced = deque((reading,), maxlen=READINGS_MAX)
        self.newest = reading

    def take(self, reading: _Reading) -> None:
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


class Sums(msgspec.Struct, kw_only=True):
    """What figures are made of; those of several edges are added up."""

    client_kbps: float = 0.0
    origin_kbps: float = 0.0
    peer_kbps: float = 0.0
    client_bytes: int = 0
    resident_bytes: int = 0
    prefetch_bytes: int = 0
    used_bytes: int = 0
    waste_bytes: int = 0
    startup_s: float = 0.0
    startup_count: int = 0
    stall_count: int = 0
    report_count: int = 0
    bitrate_kbps: float = 0.0
    bitrate_count: int = 0
    session_count: int = 0

    def add(self, other: Sums) -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def figures(self) -> RecentFigures:
        return RecentFigures(
            client_kbps=self.client_kbps,
            origin_kbps=self.origin_kbps,
            peer_kbps=self.peer_kbps,
            hit_ratio=_ratio(self.resident_bytes, self.client_bytes),
            prefetch_precision=_ratio(self.used_bytes, self.used_bytes + self.waste_bytes),
            prefetch_waste_ratio=_ratio(self.waste_bytes, self.prefetch_bytes),
            startup_s=_mean(self.startup_s, self.startup_count),
            stall_ratio=_ratio(self.stall_count, self.report_count),
            bitrate_kbps=_mean(self.bitrate_kbps, self.bitrate_count),
            session_count=self.session_count,
        )


class Recent:
    """Bounded by the number of edges: forget those that leave."""

    def __init__(self) -> None:
        self._edges: dict[str, _Edge] = {}

    def take(self, beat: Heartbeat, received_wall_s: float) -> None:
        reading = _Reading(received_wall_s, beat.traffic, beat.qoe)
        known = self._edges.get(beat.edge)
        if known is None or known.boot_id != beat.boot_id:
            self._edges[beat.edge] = _Edge(beat.boot_id, reading)
        elif received_wall_s > known.newest.wall_s:
            known.take(reading)

    def forget(self, edge: str) -> None:
        self._edges.pop(edge, None)

    def sums(self, edge: str, wall_s: float) -> Sums:
        """Nothing of an edge that has been silent for longer than the span."""
        known = self._edges.get(edge)
        if known is None or known.newest.wall_s < wall_s - SPAN_S:
            return Sums()
        before, after = known.before(), known.newest
        elapsed_s = after.wall_s - before.wall_s
        if elapsed_s <= 0:
            return Sums()
        to_kbps = BITS_PER_BYTE / BITS_PER_KBIT / elapsed_s
        one, two = before.traffic, after.traffic
        was, now = before.qoe, after.qoe
        # A prefetch is used or wasted long after it was made: these two are of the whole boot.
        return Sums(
            client_kbps=_grown(one.client_bytes, two.client_bytes) * to_kbps,
            origin_kbps=_grown(one.origin_bytes, two.origin_bytes) * to_kbps,
            peer_kbps=_grown(one.peer_bytes, two.peer_bytes) * to_kbps,
            client_bytes=_grown(one.client_bytes, two.client_bytes),
            resident_bytes=_grown(one.resident_bytes, two.resident_bytes),
            prefetch_bytes=two.prefetch_bytes,
            used_bytes=two.prefetch_used_bytes,
            waste_bytes=two.prefetch_waste_bytes,
            startup_s=max(0.0, now.startup_s - was.startup_s),
            startup_count=_grown(was.startup_count, now.startup_count),
            stall_count=_grown(was.stall_count, now.stall_count),
            report_count=_grown(was.report_count, now.report_count),
            bitrate_kbps=max(0.0, now.bitrate_kbps - was.bitrate_kbps),
            bitrate_count=_grown(was.bitrate_count, now.bitrate_count),
            session_count=_grown(was.session_count, now.session_count),
        )


def _grown(before: int, after: int) -> int:
    """A counter that fell is an edge's slip, not a negative rate."""
    return max(0, after - before)


def _ratio(part: float, whole: float) -> float | None:
    return min(1.0, part / whole) if whole > 0 else None


def _mean(total: float, count: int) -> float | None:
    return total / count if count > 0 else None
