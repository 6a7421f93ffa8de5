"""Figures by the minute, of each edge and of all together, from heartbeats' growing counters.

What a counter has grown by since the heartbeat before belongs to the minutes in between, in equal
parts where these are several (an edge that nobody heard of for a while).

A thousand edges for a day take 101 MB: 1,440 rows of 17 four-byte figures each. Which minutes have
changed is remembered, so that they can be written down (`origin.telemetry.series_minutes`) and read
again by the process after this one, and by the other origins of the fleet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from origin.telemetry.growth import AT, COUNTERS, EDGES_MAX, GAUGES, Grown, ratios
from origin.telemetry.series_minutes import COLUMNS, FLEET, EdgeMinutes, MinuteFigures

MINUTE_S: Final = 60
MINUTES: Final = 24 * 60
_COUNTS: Final = slice(0, len(COUNTERS))
_GAUGES: Final = slice(len(COUNTERS), len(COLUMNS))


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
        self.figures = np.zeros((MINUTES, len(COLUMNS)), dtype=np.float32)

    def has(self, minute: int) -> bool:
        return bool(self.minutes[minute % MINUTES] == minute)

    def row(self, minute: int) -> NDArray[np.float32]:
        at = minute % MINUTES
        if self.minutes[at] > minute:
            # An edge that nobody heard of for more than a day: its place has another minute.
            return np.zeros(len(COLUMNS), dtype=np.float32)
        if self.minutes[at] != minute:
            self.minutes[at] = minute
            self.figures[at] = 0.0
        row: NDArray[np.float32] = self.figures[at]
        return row


class _Load(NamedTuple):
    wall_s: float
    gauges: NDArray[np.float64]  # (GAUGES,)


class Series:
    """Feed it all that edges' counters grew by (origin.telemetry.growth)."""

    def __init__(self) -> None:
        self._rings: dict[str, _Ring] = {}
        self._loads: dict[str, _Load] = {}  # of those heard of, last those heard of last
        self._fleet = _Ring()
        self._changed: set[int] = set()

    def take(self, grown: Grown) -> None:
        before = self._loads.pop(grown.edge, None)
        if before is None and len(self._loads) >= EDGES_MAX:
            self.forget(next(iter(self._loads)))
        self._loads[grown.edge] = _Load(grown.until_wall_s, grown.gauges)
        self._add(grown)
        gauges_before = np.zeros(len(GAUGES)) if before is None else before.gauges
        self._gauge(grown.edge, grown.gauges, gauges_before, grown.until_wall_s)

    def forget(self, edge: str) -> None:
        """An edge that is gone. What it has added to the fleet's figures stays."""
        self._rings.pop(edge, None)
        self._loads.pop(edge, None)

    def edges(self) -> frozenset[str]:
        """Of which there are figures."""
        return frozenset(self._rings)

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

    # What is written down, and read again

    def take_changed(self, count_max: int) -> tuple[int, ...]:
        """The newest minutes that have changed since they were taken here, oldest first."""
        if self._changed:
            oldest = max(self._changed) - MINUTES
            self._changed = {minute for minute in self._changed if minute > oldest}
        taken = sorted(self._changed)[-count_max:]
        self._changed.difference_update(taken)
        return tuple(taken)

    def write_again(self, minutes: Iterable[int]) -> None:
        """They are to be written, once more: that failed, or they are not over."""
        self._changed.update(minutes)

    def minute(self, minute: int) -> MinuteFigures:
        """Of all edges that have figures of it, and of all together."""
        rings = {FLEET: self._fleet, **self._rings}
        found = {edge: ring.row(minute) for edge, ring in rings.items() if ring.has(minute)}
        figures = np.array(list(found.values()), dtype=np.float32).reshape(-1, len(COLUMNS))
        return MinuteFigures(minute=minute, edges=tuple(found), figures=figures)

    def replace(self, edges: Sequence[EdgeMinutes]) -> None:
        """Minutes that are over, as they were written by another who has heard all of them."""
        for one in edges:
            ring, places = self._ring(one.edge), one.minutes % MINUTES
            fits = ring.minutes[places] <= one.minutes
            ring.minutes[places[fits]] = one.minutes[fits]
            ring.figures[places[fits]] = one.figures[fits]
            self._changed.difference_update(one.minutes.tolist() if one.edge == FLEET else ())

    def add(self, edges: Sequence[EdgeMinutes]) -> None:
        """What was written before anything was heard here: to be called once for a minute."""
        for one in edges:
            ring, places = self._ring(one.edge), one.minutes % MINUTES
            is_there = ring.minutes[places] == one.minutes
            ring.figures[places[is_there], _COUNTS] += one.figures[is_there, _COUNTS]
            is_new = ring.minutes[places] < one.minutes
            ring.minutes[places[is_new]] = one.minutes[is_new]
            ring.figures[places[is_new]] = one.figures[is_new]

    def _ring(self, edge: str) -> _Ring:
        if edge == FLEET:
            return self._fleet
        ring = self._rings.get(edge)
        if ring is None:
            ring = self._rings[edge] = _Ring()
        return ring

    def _add(self, grown: Grown) -> None:
        last_minute = int(grown.until_wall_s // MINUTE_S)
        first_minute = min(int(grown.from_wall_s // MINUTE_S) + 1, last_minute)
        first_minute = max(first_minute, last_minute - MINUTES + 1)
        part = grown.counts / (last_minute - first_minute + 1)
        self._changed.update(range(first_minute, last_minute + 1))
        for ring in (self._ring(grown.edge), self._fleet):
            for minute in range(first_minute, last_minute + 1):
                ring.row(minute)[_COUNTS] += part

    def _gauge(
        self,
        edge: str,
        gauges: NDArray[np.float64],  # (GAUGES,)
        before: NDArray[np.float64],  # (GAUGES,)
        wall_s: float,
    ) -> None:
        """The newest value of the minute stands for it; the fleet's is the sum of the newest."""
        minute = int(wall_s // MINUTE_S)
        self._ring(edge).row(minute)[_GAUGES] = gauges
        is_new = self._fleet.minutes[minute % MINUTES] != minute
        row = self._fleet.row(minute)
        if is_new:
            # All that are not heard of in this minute go on as they were.
            loads = self._loads.values()
            row[_GAUGES] = sum(one.gauges for one in loads if wall_s - one.wall_s < 5 * MINUTE_S)
        else:
            row[_GAUGES] = np.maximum(row[_GAUGES] + gauges - before, 0.0)


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
    def of(name: str) -> int:
        return round(float(row[AT[name]]))

    made = ratios(row)
    return SeriesPoint(
        wall_s=wall_s,
        demand_bytes=of("client_bytes"),
        origin_bytes=of("origin_bytes"),
        peer_bytes=of("peer_bytes"),
        planned_bytes=of("planned_bytes"),
        hit_ratio=made.hit_ratio,
        prefetch_bytes=of("prefetch_bytes"),
        prefetch_precision=made.prefetch_precision,
        prefetch_waste_bytes=of("prefetch_waste_bytes"),
        session_count=of("session_count"),
        startup_s=made.startup_s,
        stall_ratio=made.stall_ratio,
        bitrate_kbps=made.bitrate_kbps,
        error_count=of("error_count"),
        load_kbps=float(row[AT["client_kbps"]]) / minute_count,
    )
