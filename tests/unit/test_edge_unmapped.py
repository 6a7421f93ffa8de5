"""Players that have their manifest from elsewhere: an edge finds out what they watch."""

from __future__ import annotations

from nearcast.cmcd import Cmcd, to_query
from tests.edge_world import World

MANIFEST = "/media/e1/manifest.mpd"


def test_the_manifest_of_a_steered_players_title_is_fetched_once() -> None:
    world = World(is_in_fleet=True)
    for number in range(1, 6):
        world.get(f"/media/e1/low/{number}.m4s")
        world.now_s += 4.0
    paths = [path for _, path in world.fetched]
    assert paths.count(MANIFEST) == 1
    status = world.core.status(world.now_s)
    assert (status.title_count, status.sessions_started) == (1, 1)


def test_a_steered_viewer_is_followed_and_counted() -> None:
    world = World(is_in_fleet=True)
    world.get("/media/e1/low/init.mp4", sid="s")
    world.watch_on(1, 30.0, sid="s")
    assert "/media/e2/low/1.m4s" in world.prefetched()
    assert world.core.telemetry.qoe.session_count == 1


def test_a_failing_manifest_is_not_asked_for_with_every_segment() -> None:
    world = World(is_in_fleet=True)
    world.texts[MANIFEST] = b"no manifest at all"
    for number in range(1, 11):
        world.get(f"/media/e1/low/{number}.m4s")
        world.now_s += 4.0
    assert [path for _, path in world.fetched].count(MANIFEST) == 1


def test_what_the_catalogue_does_not_name_is_left_alone() -> None:
    world = World(is_in_fleet=True)
    query = to_query(Cmcd(session_id="s"))
    world.get(f"/media/e1-other/low/1.m4s?CMCD={query}")
    assert [path for _, path in world.fetched] == ["/media/e1-other/low/1.m4s"]


def test_an_edge_on_its_own_fetches_no_manifest_of_its_own_accord() -> None:
    world = World()
    world.get("/media/e1/low/1.m4s")
    assert [path for _, path in world.fetched] == ["/media/e1/low/1.m4s"]
