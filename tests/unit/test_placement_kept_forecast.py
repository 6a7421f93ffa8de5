"""A forecast that goes on from the one before is the one that would be made from nothing."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from nearcast.telemetry import HEAD_S
from nearcast.units import DAY_S
from origin.catalog import RenditionEntry, SegmentEntry
from origin.control.ladder import Ladder, in_short
from origin.control.plan_inputs import history_from_wall_s
from origin.placement.demand import WATCHED_BINS, HourDemand, Titles, no_demand
from origin.placement.files import files_of_titles
from origin.placement.kept_forecast import LATE_HOURS, History, KeptForecast
from tests.plan_world import title

FIRST_HOUR = 1_000
HOURS = 36


class Reports:
    """What edges told of each hour."""

    def __init__(self, edges: int = 3, titles: int = 8) -> None:
        self.edges, self.titles, self.first_hour = edges, titles, FIRST_HOUR
        self.known_since = np.full(edges, float(FIRST_HOUR))
        self.of: dict[int, HourDemand] = {}
        rng = np.random.default_rng(5)
        for hour in range(FIRST_HOUR, FIRST_HOUR + HOURS):
            edge, name = rng.integers(0, 3, 12), rng.integers(0, 8, 12)
            self.of[hour] = msgspec.structs.replace(
                no_demand(),
                edge=edge,
                title=name,
                rendition=rng.integers(0, 2, 12),
                sessions=rng.random(12) * 5,
                next_edge=edge[:3],
                next_title=name[:3],
                next_sessions=rng.random(3),
            )

    def come_late(self, hour: int) -> None:
        told = self.of[hour]
        self.of[hour] = msgspec.structs.replace(told, sessions=told.sessions + 1.0)

    def history(self, end_hour: int) -> History:
        count = self.titles
        watched = np.zeros((2, WATCHED_BINS))
        watched[:, -1] = float(end_hour - FIRST_HOUR)
        return History(
            titles=Titles(
                genre=np.arange(count) % 3 - 1,
                is_film=np.arange(count) >= 4,
                episode=np.where(np.arange(count) < 4, np.arange(count), 0),
                series=np.maximum(0, np.arange(count) - 3),
                successor=np.where(np.arange(count) < 3, np.arange(count) + 1, -1),
                release_hour=np.full(count, -np.inf),
                duration_s=np.full(count, 3_000.0),
                size_bytes=np.tile([1e9, 2e9], (count, 1)),
            ),
            first_hour=self.first_hour,
            end_hour=end_hour,
            known_since=self.known_since,
            demand=lambda hour: self.of.get(hour, no_demand()),
            watched=watched,
        )


def same(kept: KeptForecast, history: History) -> int:
    """Hours taken by the one that is kept; its forecast is that of a new one, bit by bit."""
    before = kept.taken_count
    found, anew = kept.forecast(history), KeptForecast().forecast(history)
    assert found.hour == anew.hour == history.end_hour
    for name in ("sessions_per_day", "shares", "reach", "guess_share"):
        assert np.array_equal(getattr(found, name), getattr(anew, name)), name
    return kept.taken_count - before


def test_hours_taken_once_are_not_taken_again() -> None:
    kept, reports = KeptForecast(), Reports()
    assert same(kept, reports.history(FIRST_HOUR + 26)) == 26
    assert same(kept, reports.history(FIRST_HOUR + 26)) == LATE_HOURS
    for end in (28, 30, 33, 36):
        assert same(kept, reports.history(FIRST_HOUR + end)) <= 3 + LATE_HOURS


def test_an_hour_that_comes_late_counts_however_late_it_is() -> None:
    kept, reports = KeptForecast(), Reports()
    same(kept, reports.history(FIRST_HOUR + 26))
    reports.come_late(FIRST_HOUR + 25)
    reports.come_late(FIRST_HOUR + 26 - LATE_HOURS)
    assert same(kept, reports.history(FIRST_HOUR + 28)) == 2 + LATE_HOURS
    reports.come_late(FIRST_HOUR + 28 - LATE_HOURS - 1)  # was taken for good
    assert same(kept, reports.history(FIRST_HOUR + 30)) == 30
    del reports.of[FIRST_HOUR + 3]
    assert same(kept, reports.history(FIRST_HOUR + 32)) == 32
    assert same(kept, reports.history(FIRST_HOUR + 34)) == 2 + LATE_HOURS


def test_another_fleet_catalogue_or_beginning_is_begun_anew() -> None:
    kept, reports = KeptForecast(), Reports()
    same(kept, reports.history(FIRST_HOUR + 26))
    for fleet in (Reports(edges=4), Reports(edges=4, titles=9)):
        assert same(kept, fleet.history(FIRST_HOUR + 26)) == 26
    fleet.known_since[3] += 20.0  # enrolled later
    assert same(kept, fleet.history(FIRST_HOUR + 28)) == 28
    fleet.first_hour += 10
    assert same(kept, fleet.history(FIRST_HOUR + 30)) == 20
    told = fleet.history(FIRST_HOUR + 30)
    other = msgspec.structs.replace(told.titles, genre=np.zeros(9, dtype=np.int64))
    assert same(kept, msgspec.structs.replace(told, titles=other)) == 20


@pytest.mark.parametrize("hours", [0, 1, LATE_HOURS, LATE_HOURS + 1])
def test_a_short_history_and_a_clock_set_back_are_borne(hours: int) -> None:
    kept, reports = KeptForecast(), Reports()
    assert same(kept, reports.history(FIRST_HOUR + hours)) == hours
    same(kept, reports.history(FIRST_HOUR + 34))
    assert same(kept, reports.history(FIRST_HOUR + 20)) == 20


def test_of_too_many_edges_and_titles_nothing_is_kept() -> None:
    reports = Reports()
    kept = KeptForecast(cells_max=reports.edges * reports.titles - 1)
    assert same(kept, reports.history(FIRST_HOUR + 26)) == 26
    assert same(kept, reports.history(FIRST_HOUR + 27)) == 27


def test_a_history_begins_at_the_same_hour_all_day() -> None:
    midnight = 20_000 * DAY_S
    begins = {history_from_wall_s(midnight + hour * 3_600.0, 14) for hour in range(24)}
    assert begins == {midnight - 14 * DAY_S}


def test_a_title_in_short_is_the_same_to_a_plan() -> None:
    def cut(entry: RenditionEntry, length_s: float) -> RenditionEntry:
        count = int(1_000.0 / length_s)
        segments = (
            SegmentEntry(0.1 + at * length_s, length_s, 1_000 + at, 7) for at in range(count)
        )
        return msgspec.structs.replace(entry, segments=tuple(segments), init_size_bytes=99)

    for length_s in (1.9, 4.0, 7.3, 450.0, 1_000.0, 2_000.0):
        whole = title("film")
        renditions = tuple(cut(one, length_s) for one in whole.renditions)
        whole = msgspec.structs.replace(whole, renditions=renditions)
        short = in_short(whole, HEAD_S)
        assert max(len(one.segments) for one in short.renditions) <= 2
        one, two = files_of_titles([whole], HEAD_S), files_of_titles([short], HEAD_S)
        for name in ("titles", "renditions", "manifests"):
            assert getattr(one, name) == getattr(two, name)
        for name in ("size_bytes", "head_bytes", "head_s"):
            assert np.array_equal(getattr(one, name), getattr(two, name)), (name, length_s)
        assert np.array_equal(Ladder([whole]).sizes, Ladder([short]).sizes)
