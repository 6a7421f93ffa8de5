"""The title being watched: the next segments are fetched where waiting for them costs something."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import PrefetchConfig
from edge.prefetch.rungs import Climb, Rungs
from tests.edge_world import World

SEGMENT = "/media/e1/low/{}.m4s"


def measured(took_s: float, **settings: float) -> World:
    """An edge that has seen its upstream take so long for a segment."""
    world = World(prefetch=PrefetchConfig(**settings))  # type: ignore[arg-type]
    world.hold = ("demand",)
    for path in ("/media/e9/low/x", "/media/e9/high/x"):
        world.get(path)
        world.move_to(world.now_s + took_s)
        world.let_go()
    world.hold = ()
    return world


def own(world: World) -> list[str]:
    return [path for path in world.prefetched() if "/e1/" in path]


def test_where_the_backhaul_is_slow_the_next_segments_are_there_first() -> None:
    world = measured(1.0)
    world.watch(1, 5.0)
    assert own(world)[:2] == [SEGMENT.format(2), SEGMENT.format(3)]
    assert SEGMENT.format(4) in own(world)
    paths = [path for _, path in world.fetched]
    assert len(paths) == len(set(paths))  # never twice


def test_it_stays_within_what_is_shown_soon() -> None:
    world = measured(1.0, in_session_s=4.0)
    world.watch(1, 5.0)
    asked_for = world.next_segment
    assert SEGMENT.format(asked_for + 1) in own(world)
    assert SEGMENT.format(asked_for + 2) not in own(world)


@pytest.mark.parametrize(("took_s", "in_session_s"), [(0.01, 8.0), (1.0, 0.0)])
def test_where_it_is_quick_or_switched_off_nothing_is(took_s: float, in_session_s: float) -> None:
    world = measured(took_s, in_session_s=in_session_s)
    world.watch(1, 15.0)
    assert own(world) == []


def test_a_segment_on_its_way_is_joined_and_not_fetched_again() -> None:
    world = measured(1.0)
    world.hold = ("prefetch",)
    world.watch(1, -3.0)
    running = {effect.url.removeprefix("http://origin:8000/base") for effect in world.held.values()}
    assert running
    before = len(world.fetched)
    world.hold = ("prefetch", "demand")
    world.get(min(running))
    assert len(world.fetched) == before
    assert world.core.status(world.now_s).collapsed_count == 1


def test_what_is_on_its_way_for_a_rung_that_was_left_is_cancelled() -> None:
    world = measured(1.0)
    world.hold = ("prefetch",)
    world.watch(1, -3.0)
    running = [effect.url for effect in world.held.values() if "/low/" in effect.url]
    assert running
    for _ in range(4):  # it goes up, and stays there
        world.next_segment += 1
        world.get(f"/media/e1/high/{world.next_segment}.m4s")
        world.move_to(world.now_s + 4.0)
    assert not [effect for effect in world.held.values() if effect.url in running]


def test_a_viewer_who_leaves_ends_its_plan() -> None:
    world = measured(1.0)
    world.watch(1, 5.0)
    office = world.core._foresight._office
    assert len(office.planner) > 0
    world.move_to(world.now_s + 300.0)
    assert len(office.planner) == 0


def climbed(rungs: Rungs, levels: list[int], hints: list[int | None] | None = None) -> Climb:
    climb = Climb()
    for at, level in enumerate(levels):
        rungs.learn(climb, level, 3, hints[at] if hints is not None else None)
    return climb


def test_nothing_known_a_player_stays_where_it_is() -> None:
    guess = Rungs().guess(climbed(Rungs(), [2, 2]))
    assert guess.level == 2
    assert guess.share > 0.9


def test_players_that_climb_one_by_one_are_expected_to() -> None:
    rungs = Rungs()
    for _ in range(30):
        climbed(rungs, [0, 1, 2, 3, 3, 3])
    assert rungs.guess(climbed(rungs, [0, 1])).level == 2
    assert rungs.guess(climbed(rungs, [1, 2, 3])).level == 3  # there is nothing above the top


@pytest.mark.parametrize("is_honest", [True, False])
def test_a_hint_is_followed_if_hints_have_been_right(is_honest: bool) -> None:
    rungs = Rungs()
    levels = [1, 2, 2, 3, 1, 3, 2, 1] * 5  # hard to guess
    hints = [*levels[1:], None] if is_honest else [0] * len(levels)
    for _ in range(5):
        climbed(rungs, levels, list(hints))
    guess = rungs.guess(climbed(rungs, [2, 2], [2, 3 if is_honest else 0]))
    assert (guess.level == 3) if is_honest else (guess.level != 0)
    assert (rungs.by_hint.right > 100) is is_honest


def test_a_throughput_that_carries_more_is_followed() -> None:
    """Players that go up as soon as their throughput allows, and down as soon as it does not."""
    rungs = Rungs()

    def play(levels: list[int]) -> Climb:
        climb = Climb()
        for level, following in zip(levels, [*levels[1:], levels[-1]], strict=True):
            climb.outlook, climb.buffer_s = following - level, 10.0
            rungs.learn(climb, level, 3, level)  # its player says that it stays
        return climb

    for levels in ([0, 2, 1, 1, 3, 0], [1, 3, 3, 2, 0, 1], [2, 0, 2, 1, 3, 1]) * 10:
        play(levels)
    climb = Climb()
    climb.outlook, climb.buffer_s = 2, 10.0
    rungs.learn(climb, 1, 3, 1)
    assert rungs.guess(climb).level == 3
    assert rungs.by_counts.right > 1.5 * rungs.by_hint.right


@given(st.lists(st.tuples(st.integers(0, 6), st.none() | st.integers(0, 6)), max_size=40))
def test_shares_are_probabilities_whatever_was_seen(steps: list[tuple[int, int | None]]) -> None:
    rungs = Rungs()
    for top_level in (0, 1, 3):
        climb = Climb()
        for level, hint in steps:
            rungs.learn(climb, level, top_level, hint)
            guess = rungs.guess(climb)
            assert 0.0 <= guess.share <= 1.0
            assert 0 <= guess.level <= top_level
