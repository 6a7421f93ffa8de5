"""How much edges' counters grow from heartbeat to heartbeat.

A new run of an edge counts from zero. The first heartbeat that is heard of an edge only sets where
counting begins: when what it counts took place is not known. A counter that shrinks within a run is
an edge's mistake: it adds nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.fleet import Heartbeat
from origin.telemetry.ratios import mean, share

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
COUNTERS: Final = (*_COUNTED, *_SAID)
GAUGES: Final = ("client_kbps",)
"""Of an edge's load: what it does now, which is no sum."""
AT: Final = {name: index for index, name in enumerate((*COUNTERS, *GAUGES))}


class Grown(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What an edge did since it was heard of before."""

    edge: str
    from_wall_s: float
    until_wall_s: float
    """The same for the first."""
    counts: NDArray[np.float64]  # (COUNTERS,)
    gauges: NDArray[np.float64]  # (GAUGES,)


class Ratios(msgspec.Struct, frozen=True, kw_only=True):
    """What is made of counts; None where there was nothing to divide by."""

    hit_ratio: float | None
    prefetch_precision: float | None
    """Of what was decided about: used / (used + wasted)."""
    prefetch_waste_ratio: float | None
    """Of what was fetched ahead, thrown away unused."""
    startup_s: float | None
    stall_ratio: float | None
    """Of players' reports, those that tell of a stall."""
    bitrate_kbps: float | None


class _Last(msgspec.Struct):
    boot_id: str
    sequence_no: int
    wall_s: float
    counts: NDArray[np.float64]


class Growth:
    """Feed it every heartbeat that was accepted, by whichever origin, in order of arrival."""

    def __init__(self) -> None:
        self._last: dict[str, _Last] = {}

    def take(self, beat: Heartbeat, received_wall_s: float) -> Grown | None:
        """None for one that was taken before, or is older than one that was."""
        last = self._last.get(beat.edge)
        counts = _counts(beat)
        if last is None:
            if len(self._last) >= EDGES_MAX:
                self.forget(next(iter(self._last)))
            grown, from_wall_s = np.zeros(len(COUNTERS)), received_wall_s
        else:
            is_same = beat.boot_id == last.boot_id
            if received_wall_s < last.wall_s or (is_same and beat.sequence_no <= last.sequence_no):
                return None
            grown = np.maximum(counts - last.counts, 0.0) if is_same else counts
            from_wall_s = last.wall_s
            del self._last[beat.edge]  # heard of last: it makes room last
        self._last[beat.edge] = _Last(beat.boot_id, beat.sequence_no, received_wall_s, counts)
        return Grown(
            edge=beat.edge,
            from_wall_s=from_wall_s,
            until_wall_s=received_wall_s,
            counts=grown,
            gauges=np.array([float(getattr(beat.load, name)) for name in GAUGES]),
        )

    def forget(self, edge: str) -> None:
        """An edge that is gone."""
        self._last.pop(edge, None)


def ratios(counts: NDArray[np.float64]) -> Ratios:
    """Of counts by `COUNTERS`, which may be sums of several edges' or parts of a minute's."""

    def of(name: str) -> float:
        return float(counts[AT[name]])

    used, wasted = of("prefetch_used_bytes"), of("prefetch_waste_bytes")
    return Ratios(
        hit_ratio=share(of("resident_bytes"), of("client_bytes")),
        prefetch_precision=share(used, used + wasted),
        prefetch_waste_ratio=share(wasted, of("prefetch_bytes")),
        startup_s=mean(of("startup_s"), of("startup_count")),
        stall_ratio=share(of("stall_count"), of("report_count")),
        bitrate_kbps=mean(of("bitrate_kbps"), of("bitrate_count")),
    )


def _counts(beat: Heartbeat) -> NDArray[np.float64]:
    traffic, qoe = beat.traffic, beat.qoe
    values = [float(getattr(traffic, name)) for name in _COUNTED]
    values += [float(getattr(qoe, name)) for name in _SAID]
    return np.array(values, dtype=np.float64)
