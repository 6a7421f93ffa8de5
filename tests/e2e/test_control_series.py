"""The page's figures by the minute outlive the process, and are the same at every origin."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from origin.drivers.control.series_keeper import LATE_S, SeriesKeeper
from origin.drivers.state import ControlStore
from origin.drivers.state.series_rows import minutes_before, put_minutes
from origin.telemetry.growth import AT, COUNTERS, GAUGES, Grown
from origin.telemetry.series import MINUTE_S, MINUTES, Series
from origin.telemetry.series_minutes import MinuteRow
from tests.e2e.test_control_store import Place
from tests.fleet_world import ControlOrigin, empty_library, shown_bytes

START_S = 1_800_000_000.0  # a whole minute
CLIENT = AT["client_bytes"]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    return Place(url, tmp_path)


def test_a_killed_origins_figures_are_shown_by_the_next(postgres_url: str, tmp_path: Path) -> None:
    """The same on SQLite, without the kill: test_a_restarted_origin_knows_its_fleet."""
    library = empty_library(tmp_path / "library")
    settings = (f"control.database={postgres_url}", "telemetry.series_s=1")
    with ControlOrigin(library, *settings) as first:
        edge = first.enrol("ams-1")
        for client_bytes in (0, 7_000_000):
            assert edge.beat(traffic={"client_bytes": client_bytes}).status == 200
        first.wait_for(lambda: shown_bytes(first, "/fleet") == 7_000_000)
        at = Place(postgres_url, library)
        first.wait_for(lambda: at.run(written_bytes) == 7_000_000, "written")
        first.kill()
    with ControlOrigin(library, *settings) as second:
        second.wait_for(lambda: shown_bytes(second, "/edges/ams-1") == 7_000_000)
        second.adopt(edge)
        assert edge.beat(traffic={"client_bytes": 9_000_000}).status == 200
        second.wait_for(lambda: shown_bytes(second, "/edges/ams-1") == 9_000_000)
        assert shown_bytes(second, "/fleet") == 9_000_000


async def nothing() -> None:
    """No heartbeats wait."""


async def written_bytes(store: ControlStore) -> int:
    series = Series()
    keeper = SeriesKeeper(store, series, lambda _: True, nothing, "reader", lambda: True, 20.0)
    await keeper.load()
    return sum_of(series, time.time())


def sum_of(series: Series, wall_s: float, edge: str = "") -> int:
    window: Any = {"until_wall_s": wall_s, "window_s": 86_400.0, "step_s": 60.0}
    points = series.edge_points(edge, **window) if edge else series.fleet_points(**window)
    return sum(point.demand_bytes for point in points)


class OneOrigin:
    """What an origin knows of the figures, and keeps of them, at a time of the test's."""

    def __init__(self, store: ControlStore, name: str) -> None:
        self.wall_s = self.now_s = START_S
        self.series = Series()
        self.keeper = SeriesKeeper(
            store, self.series, lambda _: True, nothing, name, lambda: False, 20.0,
            lambda: self.wall_s, lambda: self.now_s,
        )  # fmt: skip

    def hear(self, edge: str, client_bytes: int, from_s: float, until_s: float) -> None:
        counts = np.zeros(len(COUNTERS))
        counts[CLIENT] = client_bytes
        self.series.take(
            Grown(
                edge=edge,
                from_wall_s=START_S + from_s,
                until_wall_s=START_S + until_s,
                counts=counts,
                gauges=np.ones(len(GAUGES)),
            )
        )

    async def round(self, at_s: float) -> None:
        self.wall_s = self.now_s = START_S + at_s
        await self.keeper.look()


def test_two_origins_show_the_same_and_nothing_counts_twice(place: Place) -> None:
    async def work(first: ControlStore, second: ControlStore) -> None:
        one, two = OneOrigin(first, "one"), OneOrigin(second, "two")
        for origin in (one, two):
            await origin.keeper.load()
            origin.hear("a", 100, 0, 5)
            origin.hear("b", 30, 0, 5)
            await origin.round(10)  # one has the lease from here on
        # The second has put some bytes into another minute than the first: it heard less often.
        one.hear("a", 60, 5, 50)
        one.hear("a", 40, 50, 61)
        two.hear("a", 100, 5, 61)
        for origin in (one, two, one, two):
            await origin.round(60 + LATE_S + 60)
        for edge, expected in (("a", 200), ("b", 30), ("", 230)):
            assert sum_of(one.series, one.wall_s, edge) == expected
            assert sum_of(two.series, two.wall_s, edge) == expected
        (kept,) = {
            origin.series.edge_points("a", until_wall_s=START_S + 130, window_s=180.0, step_s=60.0)
            for origin in (one, two)
        }
        assert [point.demand_bytes for point in kept] == [160, 40, 0]
        # The first is gone; the second goes on where it is, when the lease has ended.
        two.hear("a", 7, 120, 130)
        await two.round(200)
        await two.round(260)
        three = OneOrigin(first, "three")
        three.wall_s = START_S + 260
        await three.keeper.load()
        assert sum_of(three.series, three.wall_s) == 237

    place.run_two(work)


def test_a_long_silence_is_caught_up_with_and_a_day_is_kept(tmp_path: Path) -> None:
    async def work(store: ControlStore) -> None:
        origin = OneOrigin(store, "one")
        await origin.keeper.load()
        end_s = 90 * MINUTE_S
        origin.hear("a", 90_000, 0, end_s)
        for _ in range(4):  # some minutes at a time
            await origin.round(end_s + 10)
        after = OneOrigin(store, "two")
        after.wall_s = origin.wall_s
        await after.keeper.load()
        assert sum_of(after.series, origin.wall_s, "a") == 90_000
        day_s = MINUTES * MINUTE_S
        next_day = OneOrigin(store, "three")
        next_day.wall_s = START_S + day_s + 70
        await next_day.keeper.load()
        # The first minute is too old by now, and in no answer, though it is still written.
        assert sum_of(next_day.series, next_day.wall_s, "a") == 89_000

    Place("", tmp_path).run(work)


def test_an_origin_of_a_wild_clock_deletes_no_day(place: Place) -> None:
    """It hears through the database what edges said to others, at their time."""

    async def noon_s(connection: AsyncConnection, wall_s: float) -> float:
        return START_S

    async def work(first: ControlStore, second: ControlStore) -> None:
        good, wild = OneOrigin(first, "good"), OneOrigin(second, "wild")
        good.hear("a", 100, -600, -595)
        await good.keeper.load()
        await good.round(0)
        second.clock = noon_s
        wild.wall_s = wild.now_s = START_S + 172_800
        wild.hear("a", 7, 0, 5)
        await wild.keeper.run_once()
        assert len(await minutes_before(first.database, 1 << 30, 9, 0)) == 1
        assert sum_of(wild.series, START_S + 60, "a") == 7  # nothing of this day was looked for
        wild.wall_s = START_S + 20  # the time has come from the network
        await wild.keeper.run_once()
        assert sum_of(wild.series, START_S + 60, "a") == 107

    place.run_two(work)


def test_a_clock_that_was_ahead_with_all_edges_deletes_no_day(tmp_path: Path) -> None:
    """One machine for all, before its time came from the network: nothing else tells the time."""

    async def work(store: ControlStore) -> None:
        origin = OneOrigin(store, "one")
        await origin.keeper.load()
        origin.hear("a", 100, -600, -595)
        await origin.round(0)
        origin.hear("a", 7, 172_800, 172_805)
        await origin.round(172_806)
        assert len(await minutes_before(store.database, 1 << 30, 9, 0)) == 2


def test_a_day_of_minutes_is_kept(place: Place) -> None:
    async def work(store: ControlStore) -> None:
        for begin in (0, 5):
            rows = [MinuteRow(minute=begin + no, is_whole=True, body=b"") for no in range(5)]
            await put_minutes(store.database, rows, 7)
        kept = await minutes_before(store.database, 1 << 30, 99, 0)
        assert [row.minute for row in kept] == [9, 8, 7, 6, 5, 4, 3]

    place.run(work)
