"""What prefetching remembers has an end, whatever viewers do."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from edge.config import PrefetchConfig
from edge.prefetch import observed, starts
from edge.prefetch.observed import Observed
from edge.prefetch.starts import Starts
from edge.prefetch.tallies import halved
from edge.sessions import Session
from edge.viewers import Rung
from tests.edge_world import World


def went_on(url: str, to_url: str) -> Session:
    before = SimpleNamespace(url=url, share=1.0, gap_s=1.0)
    return cast(Session, SimpleNamespace(previous=before, title_url=to_url))


def began(before: str, first: str) -> Session:
    return cast(
        Session,
        SimpleNamespace(
            came_from=Rung(representation_id=before, rate_kbps=1.0),
            first_rung=Rung(representation_id=first, rate_kbps=1.0),
            viewer=SimpleNamespace(last_start=None),
            rungs={"video": Rung(representation_id=before, rate_kbps=1.0)},
        ),
    )


def test_a_title_remembers_so_many_successors_and_no_more() -> None:
    seen = Observed(5, 0.5)
    for number in range(4 * observed.KNOWN_MAX):
        seen.reached("a")
        seen.started(went_on("a", f"b{number}"))
    assert seen.successor_count("a") <= observed.KNOWN_MAX
    assert seen.likely("a") is None


def test_what_many_go_on_to_survives_those_who_go_elsewhere() -> None:
    seen = Observed(5, 0.5)
    for number in range(4 * observed.KNOWN_MAX):
        seen.reached("a")
        seen.started(went_on("a", "b" if number % 2 else f"c{number}"))
    followed = seen.likely("a")
    assert followed is not None
    assert followed.url == "b"
    assert 0.4 <= followed.probability <= 0.6


def test_one_viewer_who_starts_again_and_again_fills_nothing() -> None:
    seen = Observed(5, 0.5)
    seen.reached("a")
    for number in range(4 * observed.KNOWN_MAX):
        seen.started(went_on("a", f"b{number}"))
    assert seen.successor_count("a") <= observed.KNOWN_MAX


def test_titles_watched_longest_ago_are_forgotten() -> None:
    seen = Observed(1, 0.5)
    for number in range(observed.TITLES_MAX + 50):
        seen.reached(f"a{number}")
    assert len(seen) == observed.TITLES_MAX


def test_rungs_that_are_made_up_are_forgotten() -> None:
    known = Starts(0.1)
    for number in range(4 * starts.KNOWN_MAX):
        known.learn(began("hd", "sd" if number % 2 else f"x{number}"))
    ((rung, share),) = known.likely(began("hd", "hd"))[:1]
    assert rung.representation_id == "sd"
    assert share > 0.3
    assert known.start_count("hd") <= starts.KNOWN_MAX
    for number in range(2 * starts.RUNGS_MAX):
        known.learn(began(f"y{number}", "sd"))
    assert len(known) == starts.RUNGS_MAX


def test_of_many_who_are_about_to_go_on_the_last_are_planned_for() -> None:
    world = World(prefetch=PrefetchConfig(plans_max=2))
    for number in range(4):
        world.watch(1, 20.5, client=f"192.0.2.{number}", sid=f"s{number}")
    planner = world.core._foresight._planner
    assert len(planner) == 2
    assert planner.plans()[-1].order_no == planner.plans()[0].order_no + 1 == 4


@given(st.lists(st.integers(0, 30), max_size=300), st.integers(1, 40))
def test_a_table_that_is_halved_at_a_total_has_no_more_entries(keys: list[int], most: int) -> None:
    counts: Counter[int] = Counter()
    for key in keys:
        counts[key] += 1
        if counts.total() > most:
            counts = halved(counts)
        assert len(counts) <= most
        assert min(counts.values(), default=1) > 0
