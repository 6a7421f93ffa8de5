"""Following a placement plan, through the whole core."""

from __future__ import annotations

import msgspec
import pytest

from edge.config import FleetConfig, PrefetchConfig
from edge.effects import Effect, ServeObject, StartFill, WriteTelemetry
from edge.events import (
    Draining,
    Hit,
    HitsServed,
    ObjectLost,
    Purge,
    Requested,
    Restored,
)
from edge.fleet.orders import FillsHeld, KeepSpent, PlanFollowed, TimeTold
from nearcast.placement import FillWindow, Peer, PlannedFile
from nearcast.telemetry import Demand, Filled
from tests.edge_world import SEGMENT_BYTES
from tests.placed_world import PlacedWorld, planned

PEER = "http://peer:8081"
PEERS = (Peer(edge="p1", url=PEER), Peer(edge="p2", url="http://other:8081"))


def of_title(no: int, rendition: str = "low", count: int = 10) -> list[str]:
    """All objects of a file, in the order to fetch them."""
    folder = f"/media/e{no}/{rendition}"
    segments = [f"{folder}/{index}.m4s" for index in range(1, count + 1)]
    return [f"/media/e{no}/manifest.mpd", f"{folder}/init.mp4", *segments]


def test_a_plan_is_fetched_in_its_order_and_pinned() -> None:
    world = PlacedWorld(fleet=FleetConfig(in_flight_max=1))
    world.follow(world.plan(planned(2), planned(1, until_s=8.0)))
    paths = world.paths()
    assert [path for path in paths if "/e2/" in path] == of_title(2)
    assert [path for path in paths if "/e1/" in path] == of_title(1, count=2)
    assert paths.index("/media/e2/low/10.m4s") < paths.index("/media/e1/low/init.mp4")
    figures, status = world.figures, world.core.status(world.now_s)
    assert (figures.file_count, figures.files_held) == (2, 2)
    assert figures.state == "all is held that can be"
    assert status.planned_bytes == status.origin_bytes == figures.spent_bytes
    assert status.pinned_bytes == status.planned_bytes
    assert (status.prefetch_bytes, status.demand_fill_bytes) == (0, 0)
    assert all(stored.is_planned for stored in world.stored.values())


def test_every_byte_fetched_for_a_plan_is_told_whatever_came_of_it() -> None:
    world = PlacedWorld(fleet=FleetConfig(in_flight_max=1), is_in_fleet=True)
    effects = world.run_all(world.plan(planned(1)), 60.0)
    world.is_slow = True
    effects += world.run_all(world.plan(planned(2), plan_id="cd" * 8), 1.0)
    assert world.deliver(100) > 0
    effects += world.run(PlanFollowed(plan=None)) + world.move_to(world.now_s + 60.0)  # given up
    told: dict[str, int] = {}
    for event in (
        one for effect in effects if isinstance(effect, WriteTelemetry) for one in effect.events
    ):
        if isinstance(event, Demand):
            assert event.client_bytes == 0
            told[event.title] = told.get(event.title, 0) + event.planned_bytes
    assert 0 < told["e2"] < told["e1"]
    assert sum(told.values()) == world.core.status(world.now_s).planned_bytes


NO_ROOM = {"pinned_bytes_max": 20_000}
NO_BYTES = {"fill_bytes_max": 20_000}


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        (planned(1), NO_ROOM),
        (planned(1), NO_BYTES),
        (msgspec.structs.replace(planned(1), rendition="4k"), {}),
        (planned(1, manifest="manifest.mpd"), {}),
        (planned(3), {}),
    ],
    ids=["no room", "no bytes", "no such rendition", "no service", "not there"],
)
def test_a_file_that_is_given_up_is_told_once_whatever_the_reason(
    file: PlannedFile, changes: dict[str, int]
) -> None:
    world = PlacedWorld(is_in_fleet=True)
    world.errors["/media/e3/manifest.mpd"] = 404
    effects = world.run_all(world.plan(file, **changes), 3_000.0)  # tried again meanwhile
    assert world.figures.files_given_up == 1
    assert [(one.title, one.is_complete) for one in told_of(effects)] == [(file.title, False)]


def test_a_file_that_is_complete_in_the_end_is_told_again() -> None:
    world = PlacedWorld(is_in_fleet=True)
    world.errors["/media/e1/manifest.mpd"] = 404
    effects = world.run_all(world.plan(planned(1)), 60.0)
    del world.errors["/media/e1/manifest.mpd"]
    effects += world.move_to(world.now_s + 3_000.0)
    assert [one.is_complete for one in told_of(effects)] == [False, True]


def told_of(effects: list[Effect]) -> list[Filled]:
    writes = [effect for effect in effects if isinstance(effect, WriteTelemetry)]
    return [one for effect in writes for one in effect.events if isinstance(one, Filled)]


def test_viewers_are_served_from_what_was_placed() -> None:
    world = PlacedWorld()
    world.follow(world.plan(planned(1)))
    before = world.core.status(world.now_s).origin_bytes
    for path in of_title(1):
        assert isinstance(world.get(path)[0], ServeObject)
    assert world.core.status(world.now_s).origin_bytes == before


def test_what_is_held_costs_nothing_and_is_pinned() -> None:
    world = PlacedWorld()
    for path in of_title(1):
        world.get(path)
    world.follow(world.plan(planned(1)))
    assert world.asked == []
    assert world.figures.files_held == 1
    assert world.figures.spent_bytes == 0
    assert world.core.status(world.now_s).pinned_bytes > 0


def test_what_a_viewer_pulls_of_a_planned_file_is_pinned() -> None:
    world = PlacedWorld()
    plan = world.plan(planned(1), fill_bytes_max=0)
    world.follow(plan)
    assert world.asked == []
    for path in of_title(1, count=3):
        world.get(path)
    pinned = {
        stored.url.rpartition("/e1/")[2] for stored in world.stored.values() if stored.is_planned
    }
    assert pinned == {"low/init.mp4", "low/1.m4s", "low/2.m4s", "low/3.m4s"}
    assert world.core.status(world.now_s).planned_bytes == 0


def test_another_plan_unpins_what_it_lacks_and_drops_nothing() -> None:
    world = PlacedWorld()
    world.follow(world.plan(planned(1), planned(2)))
    asked = len(world.asked)
    world.follow(world.plan(planned(2), plan_id="cd" * 8))
    assert len(world.asked) == asked
    assert len(world.stored) == 24
    for stored in world.stored.values():
        assert stored.is_planned == ("/e2/" in stored.url)
    world.follow(None)
    assert not any(stored.is_planned for stored in world.stored.values())
    assert len(world.stored) == 24


def test_the_plans_share_of_the_store_is_kept() -> None:
    world = PlacedWorld()
    room_bytes = 12 * SEGMENT_BYTES["low"] + 150_000
    world.follow(world.plan(planned(1), planned(2, "high"), pinned_bytes_max=room_bytes))
    status = world.core.status(world.now_s)
    assert status.pinned_bytes <= room_bytes
    assert (status.placement.files_held, status.placement.files_given_up) == (1, 1)


def test_settings_bound_the_share_too() -> None:
    fleet = FleetConfig(pinned_share_max=0.01)
    world = PlacedWorld(fleet=fleet, memory_bytes=10_000_000)
    world.follow(world.plan(planned(1)))
    assert world.core.status(world.now_s).pinned_bytes <= 100_000


def test_the_bytes_of_a_plan_are_not_passed() -> None:
    world = PlacedWorld()
    world.follow(world.plan(planned(1), planned(2), fill_bytes_max=300_000))
    assert sum(size_bytes for _, size_bytes in world.arrived) <= 300_000
    assert world.figures.spent_bytes <= 300_000
    assert world.figures.files_held < 2


def test_spent_bytes_survive_a_restart_of_the_plan() -> None:
    world = PlacedWorld()
    world.follow(world.plan(planned(1), fill_bytes_max=300_000), spent_bytes=290_000)
    assert world.figures.files_held == 0
    assert sum(size_bytes for _, size_bytes in world.arrived) <= 10_000


def test_what_was_spent_is_written_down() -> None:
    world = PlacedWorld()
    plan = world.plan(planned(1), planned(2))
    kept = [e for e in world.run_all(plan, 20.0) if isinstance(e, KeepSpent)]
    kept += [e for e in world.run(Draining()) if isinstance(e, KeepSpent)]
    assert kept[-1] == KeepSpent(plan_id=plan.plan_id, spent_bytes=world.figures.spent_bytes)


def test_what_may_come_is_written_down_before_it_comes() -> None:
    world = PlacedWorld()
    world.is_slow = True
    plan = world.plan(planned(1), planned(2))
    world.follow(plan, for_s=0.5)
    assert world.asked  # it has begun
    assert world.arrived == []
    assert world.kept[plan.plan_id] >= 65_536


def test_nothing_is_fetched_while_what_is_spent_cannot_be_written_down() -> None:
    world = PlacedWorld()
    world.folder_fails = True
    world.follow(world.plan(planned(1)), for_s=60.0)
    assert (world.asked, world.arrived) == ([], [])
    assert world.figures.state == "what is spent to be written down"
    world.folder_fails = False
    world.move_to(world.now_s + 20.0)
    assert world.figures.files_held == 1


def test_a_plan_that_is_followed_anew_has_spent_what_it_had() -> None:
    world = PlacedWorld()
    first = world.plan(planned(1), planned(2), fill_bytes_max=300_000)
    world.follow(first)
    came_bytes = world.figures.spent_bytes
    for name in ("c1", "c2"):  # another two in between
        world.follow(world.plan(planned(3), plan_id=name * 8))
    before = len(world.arrived)
    world.follow(first)
    assert came_bytes > 200_000
    assert came_bytes + sum(size for _, size in world.arrived[before:]) <= 300_000


def test_nothing_comes_before_the_window_opens() -> None:
    world = PlacedWorld()
    window = FillWindow(from_wall_s=world.wall_s + 100.0, until_wall_s=world.wall_s + 200.0)
    world.follow(world.plan(planned(1), windows=(window,)), for_s=99.0)
    assert (world.asked, world.figures.state) == ([], "the next window")
    world.move_to(world.now_s + 20.0)
    assert world.figures.files_held == 1


def test_the_origins_clock_counts() -> None:
    world = PlacedWorld()
    window = FillWindow(from_wall_s=world.wall_s + 100.0, until_wall_s=world.wall_s + 200.0)
    world.run(TimeTold(ahead_s=90.0))
    world.follow(world.plan(planned(1), windows=(window,)), for_s=9.0)
    assert world.asked == []
    world.move_to(world.now_s + 10.0)
    assert world.figures.files_held == 1


def test_what_is_under_way_when_the_window_closes_is_given_up() -> None:
    world = PlacedWorld()
    world.is_slow = True
    window = FillWindow(from_wall_s=world.wall_s, until_wall_s=world.wall_s + 30.0)
    world.follow(world.plan(planned(1), windows=(window,)), for_s=5.0)
    assert world.core.status(world.now_s).fills_in_flight == 1
    world.deliver(500)
    world.move_to(world.now_s + 30.0)
    assert world.core.status(world.now_s).fills_in_flight == 0
    assert world.deliver(10_000) == 0


def test_a_client_who_waits_comes_first() -> None:
    world = PlacedWorld()
    world.is_slow = True
    world.follow(world.plan(planned(1)))
    assert world.paused == set()
    world.hold = ("demand",)
    world.get("/media/e3/low/1.m4s")
    assert len(world.paused) == 1
    assert world.deliver(100) == 0
    world.let_go()
    assert world.paused == set()


def test_nothing_begins_while_a_client_waits() -> None:
    world = PlacedWorld()
    world.hold = ("demand",)
    world.get("/media/e3/low/1.m4s")
    world.follow(world.plan(planned(1)), for_s=1.0)
    assert (world.asked, world.figures.state) == ([], "clients, who come first")
    world.let_go()
    world.move_to(world.now_s + 10.0)
    assert world.figures.files_held == 1


def test_a_client_takes_over_what_is_being_placed() -> None:
    world = PlacedWorld()
    world.is_slow = True
    world.follow(world.plan(planned(1)))
    world.get("/media/e1/manifest.mpd")
    status = world.core.status(world.now_s)
    assert (status.collapsed_count, status.fills_in_flight) == (1, 1)
    world.is_slow = False
    world.deliver(1 << 30)
    world.move_to(world.now_s + 10.0)
    assert world.figures.files_held == 1
    assert world.core.status(world.now_s).fill_count == 12
    assert world.figures.spent_bytes == sum(size_bytes for _, size_bytes in world.arrived)


def test_a_peer_is_asked_before_the_origin_which_only_confirms() -> None:
    world = PlacedWorld()
    world.peers[PEER] = set(of_title(1))
    world.follow(world.plan(planned(1, from_edges=("p1",)), peers=PEERS))
    assert [one for one in world.asked if one[0]] == [(PEER, path) for path in of_title(1)]
    status = world.core.status(world.now_s)
    assert world.figures.files_held == 1
    assert status.peer_bytes == status.planned_bytes > 0
    assert status.origin_bytes == 0
    assert status.revalidation_count == 12


def test_a_peer_that_lacks_it_is_waited_for_and_then_the_origin_asked() -> None:
    world = PlacedWorld()
    world.peers[PEER] = set()
    world.follow(world.plan(planned(1, from_edges=("p1",)), peers=PEERS), for_s=1_700.0)
    assert {peer for peer, _ in world.asked} == {PEER}
    world.move_to(world.now_s + 200.0)
    assert world.figures.files_held == 1
    assert world.core.status(world.now_s).peer_bytes == 0


def test_a_peer_that_fills_itself_is_used_when_it_is_there() -> None:
    world = PlacedWorld()
    world.peers[PEER] = set()
    world.follow(world.plan(planned(1, from_edges=("p1",)), peers=PEERS), for_s=100.0)
    world.peers[PEER] = set(of_title(1))
    world.move_to(world.now_s + 100.0)
    assert world.figures.files_held == 1
    assert world.core.status(world.now_s).origin_bytes == 0


def test_a_dead_peer_keeps_nobody_waiting() -> None:
    world = PlacedWorld()
    world.down.add(PEER)
    world.peers["http://other:8081"] = set(of_title(1))
    world.follow(world.plan(planned(1, from_edges=("p1", "p2")), peers=PEERS), for_s=60.0)
    assert world.figures.files_held == 1
    assert sum(peer == PEER for peer, _ in world.asked) <= 4
    assert world.core.status(world.now_s).origin_bytes == 0


def test_a_damaged_copy_of_a_peer_is_not_kept() -> None:
    world = PlacedWorld()
    world.peers[PEER] = set(of_title(1))
    world.etags["/media/e1/low/3.m4s"] = f'"{1:08x}-{SEGMENT_BYTES["low"]:x}"'
    world.follow(world.plan(planned(1, from_edges=("p1",)), peers=PEERS), for_s=3_000.0)
    assert world.core.status(world.now_s).placement.peer_refusals >= 1
    assert ("", "/media/e1/low/3.m4s") in world.asked
    assert world.figures.files_held == 1


def test_only_edges_that_the_plan_names_are_asked() -> None:
    world = PlacedWorld()
    world.follow(world.plan(planned(1, from_edges=("p9",)), peers=PEERS))
    assert {peer for peer, _ in world.asked} == {""}


def test_peer_fill_can_be_switched_off() -> None:
    world = PlacedWorld(fleet=FleetConfig(peer_fill=False))
    world.peers[PEER] = set(of_title(1))
    world.follow(world.plan(planned(1, from_edges=("p1",)), peers=PEERS))
    assert {peer for peer, _ in world.asked} == {""}


def test_a_client_does_not_wait_for_a_peer_that_has_not_answered() -> None:
    world = PlacedWorld()
    world.is_slow = True
    world.peers[PEER] = set(of_title(1))
    world.silent.add(PEER)
    world.follow(world.plan(planned(1, from_edges=("p1",)), peers=PEERS))
    assert world.asked == [(PEER, "/media/e1/manifest.mpd")]
    effects = world.get("/media/e1/manifest.mpd")
    assert any(isinstance(e, StartFill) and not e.peer for e in effects)


def test_in_maintenance_nothing_is_fetched_and_pins_stay() -> None:
    world = PlacedWorld()
    world.follow(world.plan(planned(1)))
    world.run(FillsHeld(is_held=True))
    world.follow(world.plan(planned(1), planned(2), plan_id="cd" * 8))
    assert world.figures.state == "the end of maintenance"
    assert world.core.status(world.now_s).pinned_bytes > 0
    asked = len(world.asked)
    world.run(FillsHeld(is_held=False))
    world.move_to(world.now_s + 10.0)
    assert len(world.asked) == asked + 12


def test_a_full_disk_is_left_alone_for_a_while() -> None:
    world = PlacedWorld()
    world.disk_fails = True
    world.follow(world.plan(planned(1)), for_s=5.0)
    assert len(world.asked) <= 2
    assert world.figures.state == "a store that takes something"
    world.disk_fails = False
    world.move_to(world.now_s + 60.0)
    assert world.figures.files_held == 1


def test_a_file_that_is_not_there_is_given_up_and_the_next_one_fetched() -> None:
    world = PlacedWorld()
    world.errors["/media/e1/manifest.mpd"] = 404
    world.follow(world.plan(planned(1), planned(2)), for_s=60.0)
    assert (world.figures.files_held, world.figures.files_given_up) == (1, 1)
    assert world.paths().count("/media/e1/manifest.mpd") == 3


def test_a_rendition_that_does_not_exist_is_given_up() -> None:
    world = PlacedWorld()
    unknown = msgspec.structs.replace(planned(1), rendition="4k")
    world.follow(world.plan(unknown))
    assert (world.figures.files_held, world.figures.files_given_up) == (0, 1)


def test_a_failing_origin_is_left_alone() -> None:
    world = PlacedWorld()
    for path in of_title(1):
        world.errors[path] = 503
    world.follow(world.plan(planned(1)), for_s=300.0)
    assert len(world.asked) < 30


@pytest.mark.parametrize("how", ["lost", "purged"])
def test_a_part_that_was_lost_is_fetched_again(how: str) -> None:
    world = PlacedWorld()
    world.follow(world.plan(planned(1)))
    victim = next(one for one in world.stored.values() if one.url.endswith("/low/4.m4s"))
    if how == "lost":
        world.run(ObjectLost(object_id=victim.object_id, detail="gone"))
    else:
        world.run(Purge(purge_id=1, kind="url", value="/media/e1/low/4.m4s"))
    world.move_to(world.now_s + 60.0)
    assert world.paths().count("/media/e1/low/4.m4s") == 2
    assert world.figures.files_held == 1


def test_a_restart_finds_its_pins_and_fetches_nothing() -> None:
    before = PlacedWorld(store="/nowhere")
    plan = before.plan(planned(1), planned(2))
    before.follow(plan)
    after = PlacedWorld(store="/nowhere")
    after.objects = {one.object_id: before.texts_of(one.url) for one in before.stored.values()}
    after.run(Restored(objects=tuple(before.stored.values())))
    assert after.core.status(after.now_s).pinned_bytes == before.core.status(0.0).pinned_bytes
    after.follow(plan)
    assert after.asked == []
    assert after.figures.files_held == 2


def test_a_restart_without_the_plan_unpins() -> None:
    before = PlacedWorld(store="/nowhere")
    before.follow(before.plan(planned(1)))
    after = PlacedWorld(store="/nowhere")
    after.run(Restored(objects=tuple(before.stored.values())))
    after.follow(None)
    status = after.core.status(after.now_s)
    assert (status.pinned_bytes, status.object_count) == (0, 12)


def test_stopping_gives_up_what_is_under_way() -> None:
    world = PlacedWorld()
    world.is_slow = True
    world.follow(world.plan(planned(1)))
    world.run(Draining())
    assert world.core.status(world.now_s).fills_in_flight == 0


def test_a_fill_that_breaks_is_tried_again_and_then_left() -> None:
    world = PlacedWorld()
    world.broken.add("/media/e1/low/2.m4s")
    world.follow(world.plan(planned(1)), for_s=30.0)
    assert world.paths().count("/media/e1/low/2.m4s") == 3
    assert world.figures.files_given_up == 1


def test_what_another_edge_takes_is_no_viewers_demand() -> None:
    world = PlacedWorld(is_in_fleet=True)
    world.follow(world.plan(planned(1)))
    before = world.core.status(world.now_s)
    request = Requested(
        request_id=10_000,
        method="GET",
        target="/media/e1/low/1.m4s",
        headers=(("accept-encoding", "identity"), ("cache-control", "only-if-cached")),
        client="a peer",
    )
    found = world.core.find_hit(request, world.now_s)
    assert found is not None
    hit = Hit(
        at_s=world.now_s,
        target=request.target,
        headers=request.headers,
        client=request.client,
        object_id=found.object_id,
        sent_bytes=20_000,
    )
    world.run(HitsServed(hits=(hit,)))
    after = world.core.status(world.now_s)
    assert (after.client_bytes, after.request_count) == (before.client_bytes, before.request_count)
    assert (after.peer_sent_bytes, after.session_count) == (20_000, 0)


def test_prefetching_and_placing_fetch_nothing_twice() -> None:
    world = PlacedWorld(prefetch=PrefetchConfig(head_s=20.0))
    window = FillWindow(from_wall_s=world.wall_s + 25.0, until_wall_s=world.wall_s + 3_600.0)
    world.follow(world.plan(planned(2), planned(3), windows=(window,)), for_s=0.0)
    world.watch(1, 40.0)
    paths = world.paths() + [path for _, path in world.fetched]
    assert len(paths) == len(set(paths))
    assert set(of_title(2)) <= set(paths)
    assert world.prefetched()
    assert world.figures.files_held == 2
