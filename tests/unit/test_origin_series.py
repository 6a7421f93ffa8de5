"""Figures by the minute, and the arrays of what was wanted."""

from __future__ import annotations

import numpy as np
import pytest

from nearcast.fleet import Heartbeat, Load, Qoe, Storage, Traffic
from origin.control.recent import Recent, Sums
from origin.telemetry.demand import demand_columns, wanted_columns
from origin.telemetry.growth import Growth
from origin.telemetry.series import MINUTES, Series

START_S = 1_790_000_040.0  # a whole minute
BOOT = "0" * 16


def beat(
    no: int,
    client_bytes: int,
    *,
    edge: str = "a",
    boot_id: str = BOOT,
    resident_bytes: int = 0,
    qoe: Qoe | None = None,
    client_kbps: float = 0.0,
) -> Heartbeat:
    return Heartbeat(
        edge=edge,
        boot_id=boot_id,
        sequence_no=no,
        sent_wall_s=START_S,
        load=Load(client_kbps=client_kbps),
        storage=Storage(capacity_bytes=1),
        traffic=Traffic(client_bytes=client_bytes, resident_bytes=resident_bytes),
        qoe=qoe if qoe is not None else Qoe(),
    )


class Fed(Series):
    """A series that is told of heartbeats, and the minute beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.growth = Growth()
        self.recent = Recent()

    def hear(self, heartbeat: Heartbeat, wall_s: float) -> None:
        grown = self.growth.take(heartbeat, wall_s)
        if grown is not None:
            self.take(grown)
            self.recent.take(grown)


def demands(series: Fed, until_s: float, minutes: int, step: int = 1) -> list[int]:
    points = series.edge_points(
        "a", until_wall_s=START_S + until_s, window_s=minutes * 60.0, step_s=step * 60.0
    )
    return [point.demand_bytes for point in points]


def test_what_counters_grow_by_is_of_its_minute() -> None:
    series = Fed()
    series.hear(beat(1, 500), START_S)  # where counting begins
    series.hear(beat(2, 600), START_S + 5)
    series.hear(beat(3, 900), START_S + 65)
    assert demands(series, 65, 2) == [100, 300]


def test_a_new_run_counts_from_zero() -> None:
    series = Fed()
    series.hear(beat(7, 5_000), START_S)
    series.hear(beat(1, 40, boot_id="1" * 16), START_S + 5)
    assert demands(series, 5, 1) == [40]


def test_a_heartbeat_that_comes_twice_or_late_adds_nothing() -> None:
    series = Fed()
    for no, client_bytes in ((1, 0), (2, 10), (3, 30), (3, 30), (2, 10)):
        series.hear(beat(no, client_bytes), START_S + min(no, 3))
    assert demands(series, 5, 1) == [30]


def test_what_was_not_heard_for_a_while_is_spread_over_it() -> None:
    series = Fed()
    series.hear(beat(1, 0), START_S)
    series.hear(beat(2, 1_000), START_S + 600)
    assert demands(series, 600, 11) == [0] + [100] * 10
    assert demands(series, 600, 10, step=5)[-1] > 0


def test_ratios_are_of_sums_and_none_of_nothing() -> None:
    series = Fed()
    series.hear(beat(1, 0), START_S)
    qoe = Qoe(
        startup_s=3.0,
        startup_count=2,
        report_count=20,
        stall_count=1,
        bitrate_kbps=5e3,
        bitrate_count=5,
    )
    series.hear(beat(2, 1_000, resident_bytes=750, qoe=qoe, client_kbps=80.0), START_S + 30)
    (point,) = series.edge_points("a", until_wall_s=START_S + 30, window_s=60, step_s=60)
    assert point.hit_ratio == pytest.approx(0.75)
    assert point.startup_s == pytest.approx(1.5)
    assert point.stall_ratio == pytest.approx(0.05)
    assert point.bitrate_kbps == pytest.approx(1000.0)
    assert point.prefetch_precision is None
    assert point.load_kbps == pytest.approx(80.0)


def test_an_edges_row_and_its_chart_say_the_same() -> None:
    """Over a new run of the edge as well, and after a counter that fell."""
    series = Fed()
    series.hear(beat(1, 5_000, resident_bytes=5_000), START_S)
    series.hear(beat(2, 5_400, resident_bytes=5_100), START_S + 10)
    series.hear(beat(1, 600, boot_id="1" * 16, resident_bytes=300), START_S + 30)
    series.hear(beat(2, 500, boot_id="1" * 16, resident_bytes=300), START_S + 40)
    series.hear(beat(2, 9_000, boot_id="1" * 16), START_S + 39)  # late
    (point,) = series.edge_points("a", until_wall_s=START_S + 40, window_s=60, step_s=60)
    figures = series.recent.sums("a", START_S + 40).figures()
    assert figures.hit_ratio == point.hit_ratio == pytest.approx(0.4)
    assert figures.client_kbps == pytest.approx(1_000 * 8 / 1000 / 40)
    assert series.recent.sums("a", START_S + 200).figures().client_kbps == 0.0  # silent since


def test_a_minute_is_what_the_row_tells_of() -> None:
    series = Fed()
    for second in range(0, 601, 5):
        series.hear(beat(second + 1, second * 1_000), START_S + second)
        series.hear(beat(second + 1, second * 500, edge="b"), START_S + second)
    total = Sums()
    for edge in ("a", "b"):
        total.add(series.recent.sums(edge, START_S + 600))
    assert total.figures().client_kbps == pytest.approx(8.0 + 4.0)
    assert 50_000 <= series.recent.sums("a", START_S + 600).counts[0] <= 60_000


def test_the_fleet_is_the_sum_of_its_edges() -> None:
    series = Fed()
    for edge in ("a", "b"):
        series.hear(beat(1, 0, edge=edge, client_kbps=50.0), START_S)
        series.hear(beat(2, 70, edge=edge, client_kbps=60.0), START_S + 10)
    (point,) = series.fleet_points(until_wall_s=START_S + 10, window_s=60, step_s=60)
    assert point.demand_bytes == 140
    assert point.load_kbps == pytest.approx(120.0)


def test_a_day_is_kept_and_no_more() -> None:
    series = Fed()
    for minute in range(MINUTES + 100):
        series.hear(beat(minute + 1, minute * 10), START_S + minute * 60.0)
    points = series.edge_points(
        "a", until_wall_s=START_S + (MINUTES + 99) * 60.0, window_s=1e9, step_s=60.0
    )
    assert len(points) == MINUTES
    assert sum(point.demand_bytes for point in points) == MINUTES * 10


def test_demand_becomes_sorted_columns() -> None:
    columns = demand_columns(
        [
            (7200, "b", "t2", "low", 5, 1, 2, 3, 1),
            (3600, "a", "t1", "low", 7, 0, 7, 0, 2),
            (3600, "a", "t1", "high", 9, 0, 9, 0, 1),
        ]
    )
    assert (columns.edges, columns.titles) == (("a", "b"), ("t1", "t2"))
    assert columns.renditions == ("high", "low")
    assert columns.hour_wall_s.tolist() == [3600, 3600, 7200]
    assert columns.rendition.tolist() == [0, 1, 1]
    assert columns.client_bytes.tolist() == [9.0, 7.0, 5.0]
    assert columns.session_count.dtype == np.float64


def test_nothing_wanted_is_empty_columns() -> None:
    assert demand_columns([]).client_bytes.shape == (0,)
    assert wanted_columns([]).titles == ()
    assert wanted_columns([(3600, "a", "e2", 4)]).session_count.tolist() == [4.0]
