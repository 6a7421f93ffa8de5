"""The logs of tests/bench/placement_logs.py are such as a replay takes, and changed as it says."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from nearcast.units import DAY_S
from simulation.placement.trace import trace_of
from simulation.prefetch.segments import SegmentLog
from tests.bench.placement_logs import ROWS, Change, Viewings
from tests.unit.test_placement_replay import small_log


@pytest.fixture(scope="module")
def given() -> Viewings:
    log = small_log(days=14, sessions=2000, edges=8)
    return Viewings(log=log, genre=np.arange(len(log.title)) % 3)


def changed(of: Viewings, name: str) -> Viewings:
    (change,) = (change for one, change, _ in ROWS if one == name)
    return change(of, np.random.default_rng(1))


@pytest.mark.parametrize("change", [change for _, change, _ in ROWS], ids=[row[0] for row in ROWS])
def test_every_row_is_a_log_that_can_be_replayed(given: Viewings, change: Change) -> None:
    made = change(given, np.random.default_rng(1))
    log = made.log
    assert len(made.genre) == len(log.title)
    assert (np.diff(log.start_s) >= 0).all()
    assert (log.segments <= log.item_segments[log.item]).all()
    assert sum(len(each.at_s) for each in trace_of(log, made.genre).requests) > 0


def test_the_halves_are_all_viewers_and_share_none(given: Viewings) -> None:
    one, two = (changed(given, each) for each in ("a random half of the viewers", "the other half"))
    assert not set(one.log.viewer.tolist()) & set(two.log.viewer.tolist())
    assert len(one.log.item) + len(two.log.item) == len(given.log.item)


def test_days_change_their_order_and_nothing_else(given: Viewings) -> None:
    log = changed(given, "days in another order").log
    counts = [np.bincount((each.start_s // DAY_S).astype(int)) for each in (given.log, log)]
    assert counts[0].tolist() != counts[1].tolist()
    assert sorted(counts[0].tolist()) == sorted(counts[1].tolist())
    np.testing.assert_allclose(np.sort(log.start_s % DAY_S), np.sort(given.log.start_s % DAY_S))


def test_a_third_watch_the_film_that_hardly_anybody_had_watched(given: Viewings) -> None:
    def share(log: SegmentLog) -> float:
        day = log.start_s // DAY_S
        there = log.item[(day == 8) | (day == 9)]
        return float((there == rarest).mean())

    log = msgspec.structs.replace(given.log, launch_s=np.full(len(given.log.title), np.nan))
    viewed = np.bincount(log.item, minlength=len(log.title))
    films = np.flatnonzero(log.episodes == 1)
    rarest = int(films[np.argmin(viewed[films])])
    of = msgspec.structs.replace(given, log=log)
    assert share(log) < 0.02
    assert share(changed(of, "a flash crowd").log) == pytest.approx(1 / 3, abs=0.08)


def test_new_films_are_viewed_from_their_release_on(given: Viewings) -> None:
    log = changed(given, "30 films released").log
    new = np.flatnonzero(~np.isnan(log.launch_s))
    assert len(new) == 30
    seen = np.isin(log.item, new)
    assert seen.any()
    assert (log.start_s[seen] >= log.launch_s[log.item[seen]]).all()
