"""What a plan names and does not have fetched: places for what viewers pull."""

from __future__ import annotations

import msgspec

from nearcast.placement import PlannedFile
from tests.placed_world import PlacedWorld, planned


def reserved(no: int, from_s: float = 0.0) -> PlannedFile:
    return msgspec.structs.replace(planned(no), fetch_until_s=from_s)


def pinned(world: PlacedWorld) -> set[str]:
    return {
        stored.url.rpartition("/media/")[2] for stored in world.stored.values() if stored.is_planned
    }


def test_nothing_is_fetched_for_a_place_and_what_viewers_pull_of_it_stays() -> None:
    world = PlacedWorld()
    world.follow(world.plan(reserved(1)))
    assert world.asked == []
    assert world.figures.state == "all is held that can be"
    for path in ("/media/e1/manifest.mpd", "/media/e1/low/init.mp4", "/media/e1/low/1.m4s"):
        world.get(path)
    assert pinned(world) == {"e1/low/init.mp4", "e1/low/1.m4s"}
    assert world.figures.spent_bytes == 0
    world.follow(None)
    assert pinned(world) == set()


def test_what_is_here_of_it_is_pinned_when_the_plan_comes() -> None:
    world = PlacedWorld()
    for path in ("/media/e1/manifest.mpd", "/media/e1/low/init.mp4", "/media/e1/low/1.m4s"):
        world.get(path)
    world.follow(world.plan(reserved(1)))
    assert {"e1/low/init.mp4", "e1/low/1.m4s"} <= pinned(world)
    assert not any("/2.m4s" in path for path in world.paths())


def test_a_head_is_fetched_and_the_rest_only_has_its_place() -> None:
    world = PlacedWorld()
    world.follow(world.plan(reserved(1, 8.0)))
    media = [path for path in world.paths() if path.endswith(".m4s")]
    assert media == ["/media/e1/low/1.m4s", "/media/e1/low/2.m4s"]
    assert world.figures.files_held == 1
    world.get("/media/e1/low/7.m4s")  # by a viewer
    assert "e1/low/7.m4s" in pinned(world)
    assert "/media/e1/low/3.m4s" not in world.paths()
