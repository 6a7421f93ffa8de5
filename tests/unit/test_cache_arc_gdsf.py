"""Golden replays of ARC and GDSF, each worked out by hand from the algorithm in its paper."""

from __future__ import annotations

import pytest

from cache.eviction import EVICTION_POLICIES, EvictionPolicy, build_eviction
from cache.eviction.arc import Arc, ArcParams
from cache.eviction.gdsf import Gdsf, GdsfParams
from cache.eviction.policies import EvictionParams
from nearcast.config import load
from nearcast.errors import ConfigError


def fill(policy: EvictionPolicy, ids: str) -> None:
    for object_id in ids:
        policy.insert(object_id, 1)


def victims(policy: EvictionPolicy, count: int) -> str:
    return "".join(policy.victim() for _ in range(count))


def test_arc_lets_objects_used_once_go_before_those_used_more() -> None:
    arc = Arc(4)
    fill(arc, "abcd")
    arc.hit("a")
    # The target of the objects used once is 0: all of them go first, oldest first.
    assert victims(arc, 4) == "bcda"


def test_arc_orders_objects_used_more_by_their_last_use() -> None:
    arc = Arc(3)
    fill(arc, "abc")
    for object_id in "abca":
        arc.hit(object_id)
    assert victims(arc, 3) == "bca"


def test_arc_gives_room_to_the_list_whose_ghost_was_asked_for() -> None:
    arc = Arc(4)
    fill(arc, "abcd")
    assert arc.victim() == "a"
    arc.insert(
        "a", 1
    )  # back from the ghost of once: its target is 1 now, and a counts as used more
    assert victims(arc, 2) == "bc"
    # d alone is not above the target any more, so the list of those used more pays.
    assert arc.victim() == "a"
    arc.insert("a", 1)  # back from the other ghost: by the ratio of the ghosts, the target is 0
    assert victims(arc, 2) == "da"


def test_arc_moves_its_target_by_the_size_of_what_returned() -> None:
    def policy(step: ArcParams) -> Arc:
        arc = Arc(40, step)
        for object_id in "abcd":
            arc.insert(object_id, 10)
        assert arc.victim() == "a"
        arc.insert("a", 10)
        return arc

    # 30 bytes used once are left. A target of 10 is met after two of them, one of 1 after three.
    assert victims(policy(ArcParams(step="size")), 3) == "bca"
    assert victims(policy(ArcParams(step="byte")), 3) == "bcd"


def test_arc_forgets_the_oldest_ghosts() -> None:
    arc = Arc(2)
    fill(arc, "ab")
    assert victims(arc, 2) == "ab"
    fill(arc, "cd")
    assert victims(arc, 2) == "cd"  # once and its ghost held more than two: a and b are forgotten
    fill(arc, "ad")  # d is remembered: it counts as used more, and once may keep a byte
    assert victims(arc, 2) == "da"


@pytest.mark.parametrize("name", ["s3fifo", "arc"])
def test_the_count_of_ghosts_is_bounded_where_objects_are_tiny(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"cache.eviction.{name}.GHOST_COUNT_MAX", 5)
    policy = build_eviction(name, 10**9)
    for number in range(50):
        policy.insert(str(number), 1)
        if number % 2:  # ARC: some are used more, and leave ghosts in the other list
            policy.hit(str(number))
        assert policy.victim() == str(number)
    ghosts = [value for key, value in vars(policy).items() if key.endswith("ghost")]
    assert sum(len(ghost) for ghost in ghosts) == 5


def test_gdsf_evicts_what_saves_least_per_byte() -> None:
    gdsf = Gdsf(100)
    gdsf.insert("large", 10)
    gdsf.insert("small", 1)
    gdsf.insert("medium", 4)
    for _ in range(4):
        gdsf.hit("large")  # five uses, a tenth each: more than a quarter
    assert victims(gdsf, 3) == "".join(["medium", "large", "small"])


def test_gdsf_takes_a_newcomer_that_is_worth_those_it_replaces() -> None:
    gdsf = Gdsf(100)
    gdsf.insert("small", 10)
    gdsf.insert("large", 50)
    assert gdsf.takes(90, 90)  # there is room
    assert gdsf.takes(40, 0)  # worth more than large, which is enough
    assert not gdsf.takes(60, 0)  # worth less than large
    assert victims(gdsf, 2) == "largesmall"


def test_gdsf_told_so_takes_every_newcomer() -> None:
    gdsf = Gdsf(100, GdsfParams(newcomers_compete=False))
    gdsf.insert("small", 10)
    assert gdsf.takes(60, 0)


def test_s3fifo_takes_a_large_object_only_where_there_is_room() -> None:
    s3fifo = build_eviction("s3fifo", 100)
    assert s3fifo.takes(50, 50)
    assert s3fifo.takes(10, 0)
    assert not s3fifo.takes(11, 10)


def test_gdsf_overtakes_what_was_popular_once() -> None:
    gdsf = Gdsf(10)
    gdsf.insert("once", 1)
    for _ in range(2):
        gdsf.hit("once")  # worth 3
    # Each newcomer is worth 1 above the level of the last victim: 1, 2, 3, then 4.
    for newcomer in "abc":
        gdsf.insert(newcomer, 1)
        if newcomer != "c":
            assert gdsf.victim() == newcomer
    assert gdsf.victim() == "once"  # as much as c, but used longer ago
    assert gdsf.victim() == "c"


def test_gdsf_counts_bytes_as_well_when_told_to() -> None:
    gdsf = Gdsf(100, GdsfParams(cost_per_byte=1.0))
    gdsf.insert("small", 1)  # 1 + 1
    gdsf.insert("large", 100)  # 1/100 + 1 for each use
    gdsf.hit("large")
    assert victims(gdsf, 2) == "smalllarge"


def test_gdsf_heap_does_not_grow_with_uses() -> None:
    gdsf = Gdsf(10)
    fill(gdsf, "ab")
    for _ in range(10_000):
        gdsf.hit("a")
    assert len(gdsf._heap) == 2
    for _ in range(10_000):
        gdsf.remove("b")
        gdsf.insert("b", 1)
    assert len(gdsf._heap) < 100
    assert victims(gdsf, 2) == "ba"


@pytest.mark.parametrize("name", list(EVICTION_POLICIES))
def test_parameters_are_a_section_of_the_settings(name: str) -> None:
    params = EvictionParams()
    assert isinstance(getattr(params, name), EVICTION_POLICIES.get(name).params)
    assert len(build_eviction(name, 10, params)) == 0


def test_a_misspelt_parameter_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"s3fifo\.smal_share.*knows: small_share, ghost_share"):
        load(EvictionParams, role="cache", assignments=["s3fifo.smal_share=0.2"])
    with pytest.raises(ConfigError, match=r"arc\.step"):
        load(EvictionParams, role="cache", assignments=["arc.step=giant"])


def test_a_parameter_reaches_its_policy() -> None:
    params = load(EvictionParams, role="cache", assignments=["s3fifo.promotion_hit_count=1"]).value
    policy = build_eviction("s3fifo", 10, params)
    fill(policy, "ab")
    policy.hit("a")
    assert victims(policy, 2) == "ba"
