"""What an edge tells its cache to expect, and how long it keeps what it fetched ahead."""

from __future__ import annotations

from typing import Any

import pytest

from cache.eviction.hopes import Hopes
from edge.config import PrefetchConfig
from edge.events import ForgetViewer
from edge.prefetch.expectations import TEXTS, Group
from tests.edge_bench import UPSTREAM
from tests.edge_world import World

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


def title(no: int) -> str:
    return f"{UPSTREAM}/media/e{no}/manifest.mpd"


def group(no: int, version: str) -> Group:
    return title(no), version


def world(eviction: str = "expected", **settings: Any) -> World:
    return World(prefetch=PrefetchConfig(model="rule"), eviction=eviction, **settings)


def hopes(of: World) -> Hopes:
    expects = of.core._serving.residents.index.expects
    assert expects is not None
    return expects.hopes


def is_here(of: World, path: str) -> bool:
    return bool(of.core._serving.residents.ids_of(UPSTREAM + path))


def test_a_viewer_on_a_rung_is_expected_at_that_rung_of_the_successor() -> None:
    one = world()
    one.watch(1, 35.0, rung="low")
    told = hopes(one)
    viewer = one.core._foresight._viewers._last_no
    expected = {(title(no), version) for no in (1, 2) for version in ("low", "sound", TEXTS)}
    assert set(told.groups_of(viewer)) == expected
    assert told.worth(group(2, "low"), one.now_s + 60.0) > 10 * told.worth(
        group(2, "high"), one.now_s + 60.0
    )


def test_who_has_seen_a_title_is_expected_at_the_next_one_only() -> None:
    one = world()
    one.watch(1, 40.0)
    one.move_to(one.now_s + 300.0)
    told = hopes(one)
    viewer = one.core._foresight._viewers._last_no
    expected = {group(2, version) for version in ("low", "sound", TEXTS)}
    assert set(told.groups_of(viewer)) == expected
    assert told.worth(group(2, "low"), one.now_s) > told.worth(group(1, "low"), one.now_s)


def test_who_left_in_the_middle_is_expected_back() -> None:
    one = world()
    one.watch(1, 8.0)
    one.move_to(one.now_s + 300.0)
    told = hopes(one)
    assert told.has(group(1, "low"), one.core._foresight._viewers._last_no)
    assert told.worth(group(1, "low"), one.now_s) > 0.1


@pytest.mark.parametrize(("eviction", "is_kept"), [("expected", True), ("s3fifo", False)])
def test_what_was_fetched_ahead_waits_for_its_viewer(eviction: str, is_kept: bool) -> None:
    one = world(eviction)
    one.watch(1, 39.0)
    assert is_here(one, "/media/e2/low/1.m4s")
    one.move_to(one.now_s + 2 * DAY_S)
    assert is_here(one, "/media/e2/low/1.m4s") == is_kept
    one.move_to(one.now_s + 7 * DAY_S)
    assert not is_here(one, "/media/e2/low/1.m4s")  # beyond that nobody foresees anything


def test_a_forgotten_viewer_is_forgotten_by_the_cache() -> None:
    one = world()
    one.watch(1, 25.0, client="10.0.0.1")
    assert hopes(one).viewer_count == 1
    one.run(ForgetViewer(forget_id=1, client="10.0.0.1"))
    assert hopes(one).viewer_count == 0
    one.watch_on(1, 39.0, client="10.0.0.2")
    assert hopes(one).viewer_count == 1


def test_other_policies_are_told_nothing() -> None:
    one = world("s3fifo")
    one.watch(1, 35.0)
    assert one.core._serving.residents.index.expects is None
    assert not one.core._foresight._expectations._told


def test_the_chance_of_use_is_that_while_it_will_be_kept() -> None:
    chances = {}
    for eviction in ("expected", "s3fifo"):
        one = world(eviction)
        one.watch(1, 39.0)
        explained = one.core.explain(f"{UPSTREAM}/media/e2/low/1.m4s", one.now_s)
        assert explained is not None
        found = explained.title
        assert found is not None
        chances[eviction] = found.chance, found.probabilities
    assert chances["s3fifo"][0] == pytest.approx(chances["s3fifo"][1][1])  # a day
    assert chances["expected"][0] == pytest.approx(chances["expected"][1][-1])  # a week
