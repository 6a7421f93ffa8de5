"""Figures by the minute, of each edge and of all together, from heartbeats' growing counters.

What a counter has grown by since the heartbeat before belongs to the minutes in between, in equal
parts where these are several (an edge that nobody heard of for a while). A new run of an edge
counts from zero. The first heartbeat that is heard of an edge only sets where counting begins: when
what it counts took place is not known.

A thousand edges for a day take 101 MB: 1,440 rows of 17 four-byte figures each. What was before the
start of this process is in the history, not here.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.fleet import Heartbeat

MINUTE_S: Final = 60
MINUTES: Final = 24 * 60
EDGES_MAX: Final = 2_000
"""More than are enrolled; whoever was heard of longest ago makes room."""

_COUNTED: Final = (
    *("client_bytes", "resident_bytes", "origin_bytes", "peer_bytes", "planned_bytes"),
    *("prefetch_bytes", "prefetch_used_bytes", "prefetch_waste_bytes"),
)
_SAID: Final = (
    *("session_count", "startup_s", "startup_count", "report_count", "stall_count"),
    *("bitrate_kbps", "bitrate_count", "error_count"),
)
_COLUMNS: Final = (*_COUNTED, *_SAID, "client_kbps")
_AT: Final = {name: index for index, name in enumerate(_COLUMNS)}
_GAUGE: Final = _AT["client_kbps"]


class SeriesPoint(msgspec.Struct, frozen=True, kw_only=True):
    """From `wall_s` on for one step. Ratios are None where there was nothing to divide by."""

    wall_s: float
    demand_bytes: int
    """What clients got."""
    origin_bytes: int
    peer_bytes: int
    planned_bytes: int
    hit_ratio: float | None
    prefetch_bytes: int
    prefetch_precision: float | None
    """Of what was decided about: used / (used + wasted)."""
    prefetch_waste_bytes: int
    session_count: int
    startup_s: float | None
    stall_ratio: float | None
    """Of players' reports."""
    bitrate_kbps: float | None
    error_count: int
    load_kbps: float
    """The mean of what it was sending."""


class _Ring:
    """The last day's minutes."""

    def __init__(self) -> None:
        self.minutes = np.full(MINUTES, -1, dtype=np.int32)
        self.figures = np.zeros((MINUTES, len(_COLUMNS)), dtype=np.float32)

    def row(self, minute: int) -> NDArray[np.float32]:
        at = minute % MINUTES
        if self.minutes[at] != minute:
            self.minutes[at] = minute
            self.figures[at] = 0.0
        row: NDArray[np.float32] = self.figures[at]
        return row


class _Last(msgspec.Struct):
    boot_id: str
    sequence_no: int
    wall_s: float
    counts: NDArray[np.float64]  # (counters,)
    client_kbps: float


class Series:
    """Feed it every heartbeat that was accepted, by whichever origin, in order of arrival."""

    def __init__(self) -> None:
        self._rings: dict[str, _Ring] = {}
        self._last: dict[str, _Last] = {}
        self._fleet = _Ring()

    def take(self, heartbeat: Heartbeat, received_wall_s: float) -> None:
        """One that was taken before, or is older than one that was, changes nothing."""
        last = self._last.get(heartbeat.edge)
        counts = _counts(heartbeat)
        if last is not None:
            if received_wall_s < last.wall_s:
                return
            is_same = heartbeat.boot_id == last.boot_id
            if is_same and heartbeat.sequence_no <= last.sequence_no:
                return
            # A counter that shrank within a run is an edge's mistake: it adds nothing.
            grown = np.maximum(counts - last.counts, 0.0) if is_same else counts
            self._add(heartbeat.edge, grown, last.wall_s, received_wall_s)
            before_kbps = last.client_kbps
        else:
            before_kbps = 0.0
            if len(self._last) >= EDGES_MAX:
                self.forget(next(iter(self._last)))
        self._last.pop(heartbeat.edge, None)  # heard of last: it makes room last
        self._last[heartbeat.edge] = _Last(
            boot_id=heartbeat.boot_id,
            sequence_no=heartbeat.sequence_no,
            wall_s=received_wall_s,
            counts=counts,
            client_kbps=heartbeat.load.client_kbps,
        )
        self._gauge(heartbeat.edge, heartbeat.load.client_kbps, before_kbps, received_wall_s)

    def forget(self, edge: str) -> None:
        """An edge that is gone. What it has added to the fleet's figures stays."""
        self._rings.pop(edge, None)
        self._last.pop(edge, None)

    def edge_points(
        self, edge: str, *, until_wall_s: float, window_s: float, step_s: float
    ) -> tuple[SeriesPoint, ...]:
        """Of one edge, oldest first; whole minutes, empty steps included."""
        ring = self._rings.get(edge)
        return () if ring is None else _points(ring, until_wall_s, window_s, step_s)

    def fleet_points(
        self, *, until_wall_s: float, window_s: float, step_s: float
    ) -> tuple[SeriesPoint, ...]:
        """Of all edges together."""
        return _points(self._fleet, until_wall_s, window_s, step_s)

    def _add(
        self, edge: str, grown: NDArray[np.float64], from_wall_s: float, until_wall_s: float
    ) -> None:
        last_minute = int(until_wall_s // MINUTE_S)
        first_minute = min(int(from_wall_s // MINUTE_S) + 1, last_minute)
        first_minute = max(first_minute, last_minute - MINUTES + 1)
        share = grown / (last_minute - first_minute + 1)
        for ring in (self._rings.setdefault(edge, _Ring()), self._fleet):
            for minute in range(first_minute, last_minute + 1):
                ring.row(minute)[:_GAUGE] += share

    def _gauge(self, edge: str, kbps: float, before_kbps: float, wall_s: float) -> None:
        """The newest value of the minute stands for it; the fleet's is the sum of the newest."""
        minute = int(wall_s // MINUTE_S)
        self._rings.setdefault(edge, _Ring()).row(minute)[_GAUGE] = kbps
        is_new = self._fleet.minutes[minute % MINUTES] != minute
        row = self._fleet.row(minute)
        if is_new:
            # All that are not heard of in this minute go on as they were.
            row[_GAUGE] = sum(
                one.client_kbps for one in self._last.values() if wall_s - one.wall_s < 5 * MINUTE_S
            )
        else:
            row[_GAUGE] = max(float(row[_GAUGE]) + kbps - before_kbps, 0.0)


def _counts(heartbeat: Heartbeat) -> NDArray[np.float64]:
    traffic, qoe = heartbeat.traffic, heartbeat.qoe
    values = [float(getattr(traffic, name)) for name in _COUNTED]
    values += [float(getattr(qoe, name)) for name in _SAID]
    return np.array(values, dtype=np.float64)


def _points(
    ring: _Ring, until_wall_s: float, window_s: float, step_s: float
) -> tuple[SeriesPoint, ...]:
    step = max(int(step_s // MINUTE_S), 1)
    last = int(until_wall_s // MINUTE_S)
    count = min(max(int(window_s // MINUTE_S), 1), MINUTES)
    first = (last - count + 1) // step * step
    first = max(first, last - MINUTES + 1)
    minutes = np.arange(first, last + 1)
    rows = ring.figures[minutes % MINUTES].astype(np.float64)
    rows[ring.minutes[minutes % MINUTES] != minutes] = 0.0
    starts = np.flatnonzero((minutes % step == 0) | (minutes == first))
    sums = np.add.reduceat(rows, starts, axis=0)
    counts = np.diff(np.append(starts, len(minutes)))
    return tuple(
        _point(float(minutes[start] * MINUTE_S), row, int(minute_count))
        for start, row, minute_count in zip(starts, sums, counts, strict=True)
    )


def _point(wall_s: float, row: NDArray[np.float64], minute_count: int) -> SeriesPoint:
    def of(name: str) -> float:
        return float(row[_AT[name]])

    used, wasted = of("prefetch_used_bytes"), of("prefetch_waste_bytes")
    return SeriesPoint(
        wall_s=wall_s,
        demand_bytes=round(of("client_bytes")),
        origin_bytes=round(of("origin_bytes")),
        peer_bytes=round(of("peer_bytes")),
        planned_bytes=round(of("planned_bytes")),
        hit_ratio=_ratio(of("resident_bytes"), of("client_bytes")),
        prefetch_bytes=round(of("prefetch_bytes")),
        prefetch_precision=_ratio(used, used + wasted),
        prefetch_waste_bytes=round(wasted),
        session_count=round(of("session_count")),
        startup_s=_ratio(of("startup_s"), of("startup_count"), most=None),
        stall_ratio=_ratio(of("stall_count"), of("report_count")),
        bitrate_kbps=_ratio(of("bitrate_kbps"), of("bitrate_count"), most=None),
        error_count=round(of("error_count")),
        load_kbps=of("client_kbps") / minute_count,
    )


def _ratio(part: float, whole: float, *, most: float | None = 1.0) -> float | None:
    # Shares of counters that were split over minutes are no whole numbers.
    if whole <= 1e-9:
        return None
    return part / whole if most is None else min(part / whole, most)
