"""Whole fleets on a virtual clock: who is found dead, when, and who never is."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from nearcast.fleet import Refused
from nearcast.seeds import Seeds
from nearcast.steering import HOME_PATHWAY, decode
from origin.fleet import EdgeChanged, Fleet, HeartbeatRead, PlayerErrors, StateRead
from origin.steering import Steering
from tests.simulated_fleet import FleetWorld, record_of

DEAD_S = 5.0


def world(count: int, *, seed: int = 1, loss: float = 0.01, origins: int = 1) -> FleetWorld:
    records = [record_of(f"e{index:03}", cluster=f"c{index // 4}") for index in range(count)]
    made = FleetWorld(records, seed=seed, loss=loss, origins=origins)
    made.run(15.0 + seed * 0.37)
    assert all(
        made.state(name, index) == "alive" for name in made.edges for index in range(origins)
    )
    made.changes.clear()
    return made


def offered(world: FleetWorld, steering: Steering, title: str = "t") -> tuple[str, ...]:
    answer = steering.answer("192.0.2.1", title, "", wall_s=world.wall_s, now_s=world.now_s)
    return decode(answer).pathways


@pytest.mark.parametrize("power", [False, True], ids=["killed", "power cut"])
@pytest.mark.parametrize("count", [1, 2, 3, 8, 40])
def test_a_dead_edge_leaves_the_ranking_within_five_seconds(count: int, power: bool) -> None:
    for seed in range(1, 4):
        fleet = world(count, seed=seed)
        steering = Steering(fleet.fleets[0])
        fleet.kill("e000", power=power)
        fleet.run(DEAD_S)
        assert fleet.state("e000") == "dead"
        assert fleet.states("dead") == ["e000"]
        for title in range(20):
            assert "e000" not in offered(fleet, steering, f"t{title}")


def test_an_edge_that_comes_back_is_on_trial_and_longer_each_time() -> None:
    fleet = world(8, loss=0.0)
    trials = []
    for _ in range(4):
        fleet.kill("e000")
        fleet.run(2.0)
        assert fleet.state("e000") == "dead"
        fleet.start("e000")
        fleet.changes.clear()
        fleet.run(60.0)
        (back_s, back), (well_s, well) = fleet.changes
        assert (back.after, well.after) == ("suspect", "alive")
        trials.append(well_s - back_s)
    assert trials == pytest.approx([5.0, 10.0, 20.0, 40.0], abs=0.1)


def test_lost_probes_kill_nobody() -> None:
    """Five minutes of 60 edges; an hour of 1,000 is in docs/fleet.md."""
    fleet = world(60)
    fleet.run(300.0)
    assert fleet.states("dead") == []
    assert len(fleet.states("suspect")) <= 3


def test_an_observer_that_is_cut_off_kills_nobody() -> None:
    fleet = world(20, loss=0.0)
    fleet.cut_off(["e000"], [name for name in fleet.edges if name != "e000"])
    fleet.run(120.0)
    assert fleet.states("dead") == []
    assert set(fleet.states("suspect")) == {"e000"}
    assert fleet.state("e000") == "suspect"
    fleet.cut.clear()
    fleet.run(20.0)
    assert {fleet.state(name) for name in fleet.edges} == {"alive"}


def test_observers_that_see_nobody_make_no_one_suspect_whom_others_see() -> None:
    fleet = world(30, loss=0.0)
    names = sorted(fleet.edges)
    watched: dict[str, list[str]] = {name: [] for name in names}
    for edge in fleet.edges.values():
        assert edge.answer is not None
        for target in edge.answer.probes:
            watched[target.edge].append(edge.name)
    observers = watched["e000"]
    assert len(observers) == 3
    fleet.cut_off(observers, [name for name in names if name not in observers])
    fleet.run(60.0)
    assert fleet.states("dead") == []
    # Who looks at two that are cut off sees most of its targets down, too.
    lookers = Counter(looker for name in observers for looker in watched[name])
    doubted = {*observers, *(name for name, count in lookers.items() if count > 1)}
    assert "e000" not in doubted
    assert set(fleet.states("suspect")) <= doubted


def test_two_regions_that_cannot_see_each_other_kill_nobody() -> None:
    fleet = world(20)
    names = sorted(fleet.edges)
    fleet.cut_off(names[:10], names[10:])
    fleet.run(120.0)
    assert fleet.states("dead") == []


def test_an_origin_that_is_cut_off_kills_nobody() -> None:
    fleet = world(20)
    fleet.cut_off(["origin0"], list(fleet.edges))
    fleet.run(600.0)
    assert fleet.states("dead") == []
    assert len(offered(fleet, Steering(fleet.fleets[0]))) > 1
    fleet.cut.clear()
    fleet.run(30.0)
    assert fleet.states("dead") == []
    assert {fleet.state(name) for name in fleet.edges} == {"alive"}


def test_half_of_a_fleet_that_dies_at_once_is_found_dead_and_no_more() -> None:
    fleet = world(40)
    victims = [name for index, name in enumerate(sorted(fleet.edges)) if index % 2]
    for name in victims:
        fleet.kill(name, power=True)
    fleet.run(12.0)
    assert sorted(fleet.states("dead")) == victims
    fleet.changes.clear()
    fleet.run(60.0)
    assert set(fleet.states("dead")) <= set(victims)


def test_players_alone_kill_nobody() -> None:
    fleet = world(8, loss=0.0)
    for _ in range(1_000):
        fleet.fleets[0].handle(PlayerErrors(edge="e000", count=1_000), fleet.now_s)
        fleet.run(0.02)
    assert fleet.states("dead") == fleet.states("suspect") == []


def test_an_edge_that_players_cannot_reach_dies_though_it_sends_heartbeats() -> None:
    fleet = world(8)
    fleet.cut |= {(other, "e000") for other in [*fleet.edges, "origin0"]}
    fleet.run(DEAD_S)
    assert fleet.state("e000") == "dead"
    fleet.run(60.0)
    assert fleet.state("e000") == "dead"
    assert fleet.states("dead") == ["e000"]


def test_an_origin_without_a_way_to_the_edges_believes_the_observers() -> None:
    records = [record_of(f"e{index}") for index in range(8)]
    fleet = FleetWorld(records, loss=0.01)
    fleet.cut |= {("origin0", name) for name in fleet.edges}
    fleet.run(200.0)
    assert fleet.states("suspect") == []
    fleet.kill("e0", power=True)
    fleet.run(DEAD_S)
    assert fleet.state("e0") == "dead"
    fleet.start("e0")
    fleet.run(20.0)
    assert fleet.state("e0") == "alive"


def test_maintenance_is_no_alarm_and_draining_takes_no_players() -> None:
    fleet = world(4, loss=0.0)
    steering = Steering(fleet.fleets[0])
    fleet.fleets[0].handle(EdgeChanged(record=record_of("e000", duty="draining")), fleet.now_s)
    assert "e000" not in offered(fleet, steering)
    record = record_of("e000", duty="maintenance", cluster="c0")
    fleet.fleets[0].handle(EdgeChanged(record=record), fleet.now_s)
    fleet.kill("e000")
    fleet.run(100.0)
    assert fleet.changes == []
    assert "e000" not in offered(fleet, steering)
    fleet.start("e000")
    fleet.fleets[0].handle(EdgeChanged(record=record_of("e000", cluster="c0")), fleet.now_s)
    fleet.run(10.0)
    assert fleet.states("dead") == []
    assert "e000" in offered(fleet, steering)


def restarted(fleet: FleetWorld, heartbeats: list[HeartbeatRead]) -> None:
    """Another process in the place of the origin, which has the database and nothing else."""
    fleet.fleets[0] = Fleet()
    records = tuple(edge.record for edge in fleet.edges.values())
    event = StateRead(wall_s=fleet.wall_s, edges=records, heartbeats=tuple(heartbeats))
    fleet.fleets[0].handle(event, fleet.now_s)


def kept(fleet: FleetWorld) -> list[HeartbeatRead]:
    return [
        HeartbeatRead(heartbeat=edge.heartbeat, received_wall_s=edge.heartbeat.sent_wall_s)
        for edge in fleet.fleets[0].edges()
        if edge.heartbeat is not None
    ]


def test_an_origin_that_starts_again_goes_on_where_it_was() -> None:
    fleet = world(20)
    database = kept(fleet)
    fleet.kill("e001", power=True)
    restarted(fleet, database)
    assert len(offered(fleet, Steering(fleet.fleets[0]))) > 1
    fleet.run(60.0)
    assert fleet.states("dead") == ["e001"]
    assert {fleet.state(name) for name in fleet.edges} == {"alive", "dead"}


def test_an_origin_that_was_away_declares_nobody_dead_who_lives() -> None:
    fleet = world(20)
    database = kept(fleet)
    fleet.is_up[0] = False
    fleet.kill("e001", power=True)
    fleet.run(900.0)
    fleet.is_up[0] = True
    restarted(fleet, database)
    fleet.run(60.0)
    assert fleet.states("dead") == ["e001"]
    assert Counter(fleet.state(name) for name in fleet.edges) == {"alive": 19, "dead": 1}


def test_two_origins_agree_and_one_goes_on_alone() -> None:
    fleet = world(12, origins=2)
    fleet.kill("e000", power=True)
    fleet.run(DEAD_S)
    assert [fleet.state("e000", index) for index in (0, 1)] == ["dead", "dead"]
    fleet.start("e000")
    fleet.run(20.0)
    assert [fleet.state("e000", index) for index in (0, 1)] == ["alive", "alive"]
    fleet.changes.clear()
    fleet.is_up[0] = False
    fleet.run(60.0)
    assert fleet.states("dead") == fleet.states("suspect") == []
    fleet.kill("e003", power=True)
    fleet.run(DEAD_S)
    assert fleet.state("e003", 1) == "dead"


def test_a_database_that_is_away_makes_nobody_suspect_who_speaks_to_the_other_origin() -> None:
    fleet = world(8, loss=0.0, origins=2)
    fleet.is_database_up = False
    fleet.run(120.0)
    assert fleet.changes == []
    fleet.kill("e000", power=True)
    fleet.run(DEAD_S)
    assert fleet.state("e000", 0) == "dead"
    fleet.is_database_up = True
    fleet.run(3.0)
    assert fleet.state("e000", 1) == "dead"


@pytest.mark.parametrize("power", [False, True], ids=["killed", "power cut"])
@pytest.mark.parametrize("count", [2, 3, 40])
def test_without_a_database_an_origin_finds_edges_of_the_other_dead_by_itself(
    count: int, power: bool
) -> None:
    fleet = world(count, origins=2)
    fleet.is_database_up = False
    fleet.run(60.0)
    fleet.kill("e000", power=power)
    fleet.run(DEAD_S)
    assert [fleet.state("e000", index) for index in (0, 1)] == ["dead", "dead"]
    assert set(fleet.states("dead")) == {"e000"}
    assert "e000" not in offered(fleet, Steering(fleet.fleets[1]))
    fleet.start("e000")
    fleet.run(30.0)
    assert fleet.state("e000", 1) == "alive"
    fleet.is_database_up = True
    fleet.run(30.0)
    assert fleet.states("dead") == ["e000", "e000"]
    assert {fleet.state(name, 1) for name in fleet.edges} == {"alive"}


def test_an_origin_that_is_cut_off_from_database_and_edges_kills_nobody() -> None:
    fleet = world(8, origins=2)
    fleet.is_database_up = False
    fleet.cut_off(["origin1"], list(fleet.edges))
    fleet.run(120.0)
    assert fleet.states("dead") == []


def test_an_edge_whose_clock_is_wrong_is_told_so_and_is_not_dead() -> None:
    fleet = world(8, loss=0.0)
    fleet.edges["e000"].clock_off_s = 600.0
    fleet.run(60.0)
    assert {refused.error for refused in fleet.refused} == {"clock"}
    assert "600 s ahead" in fleet.refused[0].detail
    assert fleet.states("dead") == []
    fleet.edges["e000"].clock_off_s = 0.0
    fleet.run(20.0)
    assert fleet.state("e000") == "alive"


def test_two_processes_of_one_identity_are_found_out() -> None:
    fleet = world(8, loss=0.0)
    first = fleet.edges["e000"]
    beats = []
    for boot, number in ((2, 1), (1, first.number + 1), (2, 2), (1, first.number + 2)):
        first.boots, first.number = boot, number - 1
        fleet.refused.clear()
        before = len(fleet.refused)
        fleet._beat(first)
        beats.append(fleet.refused[before].error if fleet.refused[before:] else "")
        fleet.run(0.1)
    assert beats == ["", "duplicate", "", "duplicate"]
    assert fleet.state("e000") == "alive"


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_storm_of_faults(seed: int) -> None:
    """Crashes, power cuts, drains, starts and single broken paths, with 1 % of probes lost: what
    players are told stays right after every event."""
    fleet = world(14, seed=seed)
    steering = Steering(fleet.fleets[0])
    random = Seeds(seed).stream("tests/storm")
    stopped_s: dict[str, float] = {}
    running_s = dict.fromkeys(fleet.edges, fleet.now_s)
    drained: set[str] = set()

    def check() -> None:
        named = offered(fleet, steering)
        assert named[-1] == HOME_PATHWAY, f"seed {seed}"
        gone = {name for name, at_s in stopped_s.items() if fleet.now_s - at_s > DEAD_S}
        assert not gone & set(named), f"seed {seed} at {fleet.now_s}"
        assert not drained & set(named), f"seed {seed} at {fleet.now_s}"
        steady = [
            name
            for name, since_s in running_s.items()
            if name not in drained and fleet.now_s - since_s > 30.0
        ]
        if steady:
            assert any(name in running_s for name in named), f"seed {seed} at {fleet.now_s}"

    fleet.after_each = check
    faults: list[Callable[[str], None]] = []

    def stop(name: str, *, power: bool) -> None:
        if name in running_s:
            stopped_s[name] = fleet.now_s
            del running_s[name]
            fleet.kill(name, power=power)

    def start(name: str) -> None:
        if name in stopped_s:
            running_s[name] = fleet.now_s
            del stopped_s[name]
            fleet.start(name)

    def drain(name: str) -> None:
        duty = "active" if name in drained else "draining"
        drained.symmetric_difference_update({name})
        record = record_of(name, duty=duty, cluster=fleet.edges[name].record.profile.cluster)
        fleet.fleets[0].handle(EdgeChanged(record=record), fleet.now_s)

    def break_path(name: str) -> None:
        other = str(random.choice(sorted(fleet.edges)))
        fleet.cut.clear()
        fleet.cut |= {(name, other), (other, name)}

    faults = [
        lambda name: stop(name, power=False),
        lambda name: stop(name, power=True),
        start,
        start,
        drain,
        break_path,
    ]
    names = np.array(sorted(fleet.edges))
    for _ in range(60):
        faults[int(random.integers(len(faults)))](str(random.choice(names)))
        for _ in range(6):
            fleet.run(float(random.uniform(0.2, 1.5)))
            check()
    assert all(not isinstance(refused, Refused) for refused in fleet.refused)
    for name in sorted(fleet.edges):
        start(name)
    fleet.cut.clear()
    fleet.run(200.0)
    assert {fleet.state(name) for name in fleet.edges} == {"alive"}
