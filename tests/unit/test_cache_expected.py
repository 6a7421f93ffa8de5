"""Residency by expectation: what is expected of a group, and what goes for want of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.config import CacheConfig
from cache.eviction import Belonging
from cache.eviction.expected import Expected
from cache.eviction.hopes import VIEWERS_PER_GROUP, WEEK_S, ExpectedParams, Hopes
from cache.index import Index

SURE = (0.9, 0.95, 0.97)
HARDLY = (0.01, 0.05, 0.1)
DAY_S = 86_400.0
HOUR_S = 3600.0


def hopes() -> Hopes:
    return Hopes(ExpectedParams())


def policy(**held: tuple[float, float, float] | None) -> Expected:
    """Objects of one group each, fetched ahead with these probabilities."""
    made = Expected(100)
    for name, chances in held.items():
        made.insert_of(name, Belonging(group=name, is_told=True), is_prefetch=chances is not None)
        if chances is not None:
            made.hopes.foretold(name, f"who wants {name}", 0.0, chances, 0.0)
    return made


def test_what_is_likely_asked_for_is_worth_more_and_less_the_longer_it_is_not() -> None:
    told = hopes()
    told.foretold("likely", 1, 0.0, SURE, 0.0)
    told.foretold("hardly", 1, 0.0, HARDLY, 0.0)
    assert told.worth("likely", 0.0) > told.worth("hardly", 0.0) > told.worth("unheard of", 0.0)
    assert told.worth("likely", 0.0) > told.worth("likely", DAY_S) > told.worth("likely", WEEK_S)


def test_several_viewers_are_likelier_than_one_and_each_counts_once() -> None:
    told = hopes()
    told.foretold("title", 1, 0.0, HARDLY, 0.0)
    one = told.worth("title", 0.0)
    told.foretold("title", 1, 0.0, HARDLY, 0.0)
    assert told.worth("title", 0.0) == one
    told.foretold("title", 2, 0.0, HARDLY, 0.0)
    assert told.worth("title", 0.0) > one


def test_what_was_seen_to_its_end_is_not_expected_again_and_what_was_broken_off_is() -> None:
    told = hopes()
    for title, is_finished in (("seen", True), ("broken off", False)):
        told.asked(title, 1, HOUR_S, 0.0)
        told.left(title, 1, HOUR_S, is_finished=is_finished)
    assert told.has("broken off", 1)
    assert not told.has("seen", 1)
    assert told.worth("broken off", HOUR_S) > 10 * told.worth("seen", HOUR_S)


def test_popularity_fades() -> None:
    told = hopes()
    for _ in range(20):
        told.counted("old", 0.0)
        told.counted("new", 100 * DAY_S)
    assert told.worth("new", 100 * DAY_S) > told.worth("old", 100 * DAY_S)


def test_the_least_expected_goes_first() -> None:
    held = policy(wanted=SURE, unlikely=HARDLY, nobodys=None)
    assert [held.victim() for _ in range(3)] == ["nobodys", "unlikely", "wanted"]


def test_the_rest_of_what_is_being_watched_stays_and_what_was_shown_of_it_need_not() -> None:
    held = policy(wanted=SURE)
    for name, is_prefetch in (("to come", True), ("shown", False)):
        held.insert_of(name, Belonging(group="title", is_told=True), is_prefetch=is_prefetch)
    held.hopes.asked("title", "somebody", HOUR_S, 0.0, is_watching=True)
    held.now_s = 60.0
    assert [held.victim() for _ in range(3)] == ["shown", "wanted", "to come"]


def test_a_used_prefetch_counts_no_more_than_others() -> None:
    held = policy(wanted=SURE)
    before = held.worth("wanted")
    held.hit("wanted")
    assert before == ExpectedParams().spare * held.worth("wanted")


def test_an_object_that_belongs_to_nothing_is_known_by_its_own_requests() -> None:
    held = Expected(100)
    for name, use_count in (("twice", 2), ("often", 20), ("once", 1)):
        held.insert(name, 1)
        for _ in range(use_count - 1):
            held.hit(name)
    assert [held.victim() for _ in range(3)] == ["once", "twice", "often"]


def test_how_long_a_prefetch_stays_depends_on_what_went_last() -> None:
    held = policy(**{f"n{number}": HARDLY for number in range(400)})
    assert held.kept_s(HARDLY) == WEEK_S  # nothing ever had to go
    for _ in range(300):
        held.victim()
    assert held.kept_s(HARDLY) < held.kept_s(SURE)


def test_one_prefetch_displaces_a_less_likely_one_and_never_its_equal() -> None:
    index = Index(CacheConfig(capacity_bytes=100, eviction="expected", prefetch_share=0.1))
    assert index.expects is not None
    told = index.expects.hopes
    for name, chances in (("here", HARDLY), ("equal", HARDLY), ("better", SURE)):
        told.foretold(name, name, 0.0, chances, 0.0)
    of = {
        name: Belonging(group=name, is_told=True) for name in ("here", "equal", "better", "other")
    }
    index.add("here", 10, 0.0, prefetch_until_s=WEEK_S, belonging=of["here"])
    assert not index.has_prefetch_room(10, 0.0, of["equal"])
    assert not index.has_prefetch_room(10, 0.0, of["other"])
    assert index.has_prefetch_room(10, 0.0, of["better"])
    added = index.add("better", 10, 0.0, prefetch_until_s=WEEK_S, belonging=of["better"])
    assert added.evicted == ("here",)


def test_restored_objects_learn_later_what_they_are_part_of() -> None:
    index = Index(CacheConfig(capacity_bytes=20, eviction="expected"))
    assert index.expects is not None
    for name in ("stray", "part"):
        index.add(name, 10, 0.0, is_restored=True)
    index.expects.hopes.foretold("title", 1, 0.0, SURE, 0.0)
    index.belong("part", Belonging(group="title", is_told=True))
    assert index.add("new", 10, 0.0).evicted == ("stray",)


NAMES = st.sampled_from("abcdefgh")
VIEWERS = st.integers(1, 9)
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["asked", "left", "seen", "foretold", "forget", "counted"]), NAMES, VIEWERS
    ),
    max_size=80,
)


@given(calls=CALLS, count_max=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_what_is_remembered_is_bounded_and_a_forgotten_viewer_leaves_nothing(
    calls: list[tuple[str, str, int]], count_max: int
) -> None:
    told = Hopes(ExpectedParams(), count_max=count_max)
    for now_s, (verb, group, viewer) in enumerate(calls):
        tell(told, verb, group, viewer, float(now_s))
        assert len(told) <= count_max
        pairs = [(each, who) for each in "abcdefgh" for who in range(10) if told.has(each, who)]
        assert all(0.0 <= told.worth(each, float(now_s)) <= 1.0 for each, _ in pairs)
        for each in "abcdefgh":
            assert len([who for name, who in pairs if name == each]) <= VIEWERS_PER_GROUP
        assert told.viewer_count == len({who for _, who in pairs})
        if verb == "forget":
            assert not told.groups_of(viewer)
            assert viewer not in {who for _, who in pairs}


def tell(told: Hopes, verb: str, group: str, viewer: int, now_s: float) -> None:
    match verb:
        case "asked":
            told.asked(group, viewer, now_s + 5.0, now_s)
        case "left" | "seen":
            told.left(group, viewer, now_s, is_finished=verb == "seen")
        case "foretold":
            told.foretold(group, viewer, now_s, SURE, now_s)
        case "counted":
            told.counted(group, now_s)
        case "forget":
            told.forget(viewer)


@given(calls=CALLS)
@settings(max_examples=40, deadline=None)
def test_pinned_objects_stay_and_equal_calls_evict_equally(
    calls: list[tuple[str, str, int]],
) -> None:
    assert replay(calls) == replay(calls)


def replay(calls: list[tuple[str, str, int]]) -> list[str]:
    """Whatever is told, objects come in; which ones went for them."""
    index = Index(CacheConfig(capacity_bytes=40, eviction="expected", prefetch_share=0.5))
    assert index.expects is not None
    index.add("pinned", 10, 0.0, is_pinned=True)
    gone: list[str] = []
    for number, (verb, group, viewer) in enumerate(calls):
        tell(index.expects.hopes, verb, group, viewer, float(number))
        admission = index.add(
            f"{group}{number}",
            viewer,
            float(number),
            prefetch_until_s=number + 30.0 if verb == "foretold" else None,
            belonging=Belonging(group=group, is_told=True),
        )
        gone += admission.evicted
        assert "pinned" in index
        assert index.size_bytes <= 40
    return gone


@pytest.mark.parametrize("waited_s", [-5.0, 0.0, 60.0, WEEK_S, 10 * WEEK_S])
def test_no_hope_is_ever_above_certainty(waited_s: float) -> None:
    told = hopes()
    told.foretold("title", 1, 0.0, (1.0, 1.0, 1.0), 0.0)
    assert 0.0 <= told.worth("title", waited_s) <= 1.0
