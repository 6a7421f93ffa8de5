"""What the fleet answers, what it refuses and why, and who looks at whom."""

from array import array
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from nearcast.fleet import (
    Heartbeat,
    HeartbeatAnswer,
    Load,
    Observation,
    Observations,
    Refused,
    Storage,
)
from origin.fleet import (
    ConnectionLost,
    EdgeChanged,
    EdgeRemoved,
    Fleet,
    HeartbeatRead,
    OriginsKnown,
    PlanInForce,
    ProbeAnswered,
    ProbeEdge,
    StateRead,
)
from origin.fleet.contacts import Contacts
from origin.fleet.health import Evidence, Surroundings, judge
from origin.fleet.observers import OBSERVER_COUNT, Observers
from origin.records import ObservationRecord
from tests.simulated_fleet import WALL_S, record_of

BOOT, OTHER_BOOT = "0" * 15 + "1", "0" * 15 + "2"


def fleet_of(*names: str) -> Fleet:
    fleet = Fleet()
    for name in names:
        fleet.handle(EdgeChanged(record=record_of(name)), 0.0)
    return fleet


def beat(edge: str = "a", number: int = 1, **changes: object) -> Heartbeat:
    heartbeat = Heartbeat(
        edge=edge,
        boot_id=BOOT,
        sequence_no=number,
        sent_wall_s=WALL_S,
        storage=Storage(capacity_bytes=100),
    )
    return structs.replace(heartbeat, **changes)


def send(
    fleet: Fleet, heartbeat: Heartbeat, now_s: float = 1.0, certificate: str = ""
) -> HeartbeatAnswer | Refused:
    return fleet.heartbeat(
        heartbeat,
        certificate_edge=certificate or heartbeat.edge,
        received_wall_s=WALL_S,
        now_s=now_s,
    )


def answered(fleet: Fleet, heartbeat: Heartbeat, now_s: float = 1.0) -> HeartbeatAnswer:
    answer = send(fleet, heartbeat, now_s)
    assert isinstance(answer, HeartbeatAnswer)
    return answer


def test_an_edge_is_told_in_which_zone_its_plans_are_made() -> None:
    fleet, record = Fleet(), record_of("a")
    profile = structs.replace(record.profile, time_zone="Europe/Berlin")
    fleet.handle(EdgeChanged(record=structs.replace(record, profile=profile)), 0.0)
    assert answered(fleet, beat("a")).time_zone == "Europe/Berlin"


def observe(
    fleet: Fleet, observer: str, edge: str, *, is_up: bool, number: int, now_s: float = 2.0
) -> Refused | None:
    said = Observations(
        edge=observer,
        boot_id=BOOT,
        sequence_no=number,
        seen=(Observation(edge=edge, is_up=is_up, failure_count=2),),
    )
    return fleet.observations(said, certificate_edge=observer, received_wall_s=WALL_S, now_s=now_s)


def test_a_heartbeat_makes_an_edge_alive_and_says_what_to_do() -> None:
    fleet = fleet_of("a", "b")
    fleet.handle(PlanInForce(plan_id="cafe", edges=frozenset("a")), 0.0)
    fleet.handle(OriginsKnown(urls=("https://o1", "https://o2")), 0.0)
    # Who enrolled and was not started yet is not looked at.
    assert answered(fleet, beat()).probes == ()
    answered(fleet, beat("b"))
    answer = answered(fleet, beat(number=2))
    assert (answer.interval_s, answer.duty, answer.plan_id) == (1.0, "active", "cafe")
    assert [target.edge for target in answer.probes] == ["b"]
    assert answer.probes[0].url == "http://b.example:8080"
    assert answer.origins == ("https://o1", "https://o2")
    assert answered(fleet, beat("b", 2)).plan_id == ""
    row = fleet.row("a", 3.0)
    assert row is not None
    assert (row.state, row.heartbeat_age_s, row.observer_count) == ("alive", 2.0, 1)


@pytest.mark.parametrize(
    ("heartbeat", "certificate", "error"),
    [
        (beat("x"), "x", "unknown_edge"),
        (beat("a"), "b", "forged"),
        (beat("x"), "a", "forged"),
        (beat("revoked"), "revoked", "revoked"),
        (beat(sent_wall_s=WALL_S + 600), "a", "clock"),
        (beat(sent_wall_s=WALL_S - 600), "a", "clock"),
        (beat(number=5), "a", "replayed"),
        (beat(number=4), "a", "replayed"),
        (beat(number=6, held=b"123"), "a", "bad_request"),
        (beat(number=6, held=bytes(120_004)), "a", "too_large"),
    ],
)
def test_a_heartbeat_is_refused_with_a_reason(
    heartbeat: Heartbeat, certificate: str, error: str
) -> None:
    fleet = fleet_of("a", "b")
    fleet.handle(EdgeChanged(record=structs.replace(record_of("revoked"), revoked=True)), 0.0)
    answered(fleet, beat(number=5, load=Load(client_kbps=7.0)))
    refused = send(fleet, heartbeat, certificate=certificate)
    assert isinstance(refused, Refused)
    assert refused.error == error
    # What was taken before is still there, and the next goes on.
    row = fleet.row("a", 1.0)
    assert row is not None
    assert row.load.client_kbps == 7.0
    assert isinstance(send(fleet, beat(number=6)), HeartbeatAnswer)


def test_the_row_of_an_edge_counts_its_refusals() -> None:
    fleet = fleet_of("a")
    answered(fleet, beat(number=5))
    send(fleet, beat(number=5))
    send(fleet, beat(number=6, sent_wall_s=0.0))
    row = fleet.row("a", 1.0)
    assert row is not None
    assert row.refused == {"clock": 1, "replayed": 1}
    assert row.clock_offset_s == -WALL_S


def test_a_process_that_was_followed_by_another_is_a_duplicate_while_that_lives() -> None:
    fleet = fleet_of("a")
    answered(fleet, beat(number=9))
    answered(fleet, beat(number=1, boot_id=OTHER_BOOT))
    duplicate = send(fleet, beat(number=10), now_s=2.0)
    assert isinstance(duplicate, Refused)
    assert duplicate.error == "duplicate"
    late = send(fleet, beat(number=11), now_s=100.0)
    assert isinstance(late, Refused)
    assert late.error == "replayed"


def test_an_edge_is_asked_what_it_holds_when_that_changed_and_not_each_time() -> None:
    fleet = fleet_of("a")
    assert not answered(fleet, beat(number=1), 1.0).wants_held
    assert answered(fleet, beat(number=2, held_id="01"), 2.0).wants_held
    assert not answered(fleet, beat(number=3, held_id="01"), 3.0).wants_held
    held = np.array([5, 9, 2**32 - 1], dtype="<u4").tobytes()
    assert not answered(fleet, beat(number=4, held_id="01", held=held), 4.0).wants_held
    assert not answered(fleet, beat(number=5, held_id="01"), 50.0).wants_held
    assert answered(fleet, beat(number=6, held_id="02"), 51.0).wants_held
    edge = fleet.edge("a")
    assert edge is not None
    assert [edge.holds(crc) for crc in (5, 6, 9, 2**32 - 1)] == [True, False, True, True]


def test_what_an_edge_holds_is_found_though_it_was_not_sorted() -> None:
    fleet = fleet_of("a")
    held = np.array([9, 5, 9], dtype="<u4").tobytes()
    answered(fleet, beat(held_id="01", held=held))
    edge = fleet.edge("a")
    assert edge is not None
    assert edge.held == array("I", [5, 9])


def test_heartbeats_come_slower_in_a_large_fleet() -> None:
    fleet = fleet_of("a")
    records = tuple(record_of(f"e{index}") for index in range(999))
    fleet.handle(StateRead(wall_s=WALL_S, edges=(record_of("a"), *records)), 0.0)
    assert answered(fleet, beat()).interval_s == 5.0


def test_edges_that_are_no_longer_in_the_database_are_gone() -> None:
    fleet = fleet_of("a", "b")
    fleet.handle(StateRead(wall_s=WALL_S, edges=(record_of("b"), record_of("c"))), 1.0)
    assert [row.edge for row in fleet.rows(1.0)] == ["b", "c"]
    fleet.handle(EdgeRemoved(edge="c"), 1.0)
    fleet.handle(EdgeRemoved(edge="c"), 1.0)
    fleet.handle(ConnectionLost(edge="c"), 1.0)
    assert [row.edge for row in fleet.rows(1.0)] == ["b"]


def test_an_edge_that_enrols_again_after_it_was_revoked_begins_anew() -> None:
    fleet = fleet_of("a")
    answered(fleet, beat(number=7))
    fleet.handle(EdgeChanged(record=structs.replace(record_of("a"), revoked=True)), 2.0)
    assert isinstance(send(fleet, beat(number=8)), Refused)
    fleet.handle(EdgeChanged(record=structs.replace(record_of("a"), serial="02")), 3.0)
    assert isinstance(send(fleet, beat(number=1), now_s=4.0), HeartbeatAnswer)


def test_only_those_asked_to_look_are_believed() -> None:
    fleet = fleet_of(*"abcdefgh")
    for name in "abcdefgh":
        answered(fleet, beat(name))
    watched = {target.edge for target in answered(fleet, beat("a", 2)).probes}
    stranger = next(name for name in "bcdefgh" if name not in watched)
    assert observe(fleet, "a", stranger, is_up=False, number=1) is None
    assert observe(fleet, "a", min(watched), is_up=False, number=2) is None
    downs = {row.edge: row.observers_down for row in fleet.rows(2.0) if row.observers_down}
    assert downs == {min(watched): ("a",)}
    assert observe(fleet, "a", min(watched), is_up=True, number=3) is None
    assert all(row.observers_down == () for row in fleet.rows(2.0))


def test_observations_are_refused_like_heartbeats() -> None:
    fleet = fleet_of("a", "b")
    answered(fleet, beat("a", 5))
    assert observe(fleet, "a", "b", is_up=False, number=7) is None
    for observer, number, error in (("a", 7, "replayed"), ("x", 1, "unknown_edge")):
        refused = observe(fleet, observer, "b", is_up=False, number=number)
        assert refused is not None
        assert refused.error == error


def test_claims_that_another_origin_took_count_too() -> None:
    fleet = fleet_of("a", "b")
    answered(fleet, beat("a"))
    answered(fleet, beat("b"))
    seen = ObservationRecord(
        observer="b", edge="a", is_up=False, failure_count=2, seen_wall_s=WALL_S, origin_id="o2"
    )
    fleet.handle(StateRead(wall_s=WALL_S, observations=(seen,)), 2.0)
    row = fleet.row("a", 2.0)
    assert row is not None
    assert row.observers_down == ("b",)


def test_an_edge_is_probed_when_it_comes_and_when_its_connection_breaks() -> None:
    fleet = fleet_of("a")
    answered(fleet, beat())
    (probe,) = [effect for effect in fleet.drain() if isinstance(effect, ProbeEdge)]
    assert probe.url == "http://a.example:8080"
    fleet.handle(ProbeAnswered(edge="a", outcome="ok", rtt_s=0.01), 1.1)
    answered(fleet, beat(number=2), 1.2)
    fleet.drain()
    fleet.handle(ConnectionLost(edge="a"), 1.5)
    assert [type(effect) for effect in fleet.drain()] == [ProbeEdge]
    # One is under way: no second beside it.
    fleet.handle(ConnectionLost(edge="a"), 1.6)
    assert fleet.drain() == []


def test_an_edge_whose_url_leads_to_somebody_else_is_not_alive() -> None:
    """Also where the origin never had an answer there: that one it has."""
    fleet = fleet_of("a", "b", "c")
    for name in "abc":
        answered(fleet, beat(name))
    for number in range(2, 5):
        now_s = float(number)
        for name in "abc":
            answered(fleet, beat(name, number), now_s)
        fleet.handle(ProbeAnswered(edge="a", outcome="stranger"), now_s)
        fleet.advance(now_s + 0.9)
    row = fleet.row("a", 5.0)
    assert row is not None
    assert (row.state, row.reason) == (
        "suspect",
        "somebody else answers at its URL, yet sends heartbeats",
    )
    assert observe(fleet, "b", "a", is_up=False, number=9, now_s=4.95) is None
    row = fleet.row("a", 5.0)
    assert row is not None
    assert row.state == "dead"


def test_an_answer_nobody_waits_for_changes_nothing() -> None:
    fleet = fleet_of("a")
    for outcome in ("refused", "stranger", "timeout", "error", "ok"):
        fleet.handle(ProbeAnswered(edge="a", outcome=outcome), 1.0)
        fleet.handle(ProbeAnswered(edge="nobody", outcome=outcome), 1.0)
    row = fleet.row("a", 1.0)
    assert row is not None
    assert (row.state, row.probe_rtt_ms) == ("unknown", None)


def test_observers_are_of_other_clusters_if_there_are_enough() -> None:
    observers = Observers()
    clusters = {f"e{index}": f"c{index % 5}" for index in range(40)}
    observers.put(clusters)
    for edge, cluster in clusters.items():
        lookers = observers.of(edge)
        assert len(set(lookers) - {edge}) == OBSERVER_COUNT
        assert all(clusters[looker] != cluster for looker in lookers)
        assert all(edge in observers.watched_by(looker) for looker in lookers)


def test_observers_change_only_with_those_who_come_and_go() -> None:
    clusters = {f"e{index}": "" for index in range(60)}
    one, other = Observers(), Observers()
    one.put(clusters)
    for edge in reversed(clusters):
        other.put({edge: ""})
    lists = {edge: one.of(edge) for edge in clusters}
    assert {edge: other.of(edge) for edge in clusters} == lists
    one.remove("e7")
    changed = [edge for edge in clusters if edge != "e7" and one.of(edge) != lists[edge]]
    assert changed == [edge for edge in clusters if edge != "e7" and "e7" in lists[edge]]
    one.put({"e7": ""})
    assert {edge: one.of(edge) for edge in clusters} == lists


def test_a_small_fleet_has_as_many_observers_as_there_are() -> None:
    observers = Observers()
    observers.put({"a": ""})
    assert observers.of("a") == ()
    observers.put({"b": "", "c": ""})
    assert sorted(observers.of("a")) == ["b", "c"]
    observers.remove("b")
    assert observers.of("a") == ("c",)
    assert observers.watched_by("b") == set()


def test_silence_is_measured_over_those_who_are_expected() -> None:
    contacts = Contacts()
    for index in range(10):
        contacts.heard(f"e{index}", float(index))
    assert contacts.silent_share(10.0, 5.0) == 0.5
    contacts.heard("e0", 10.0)
    assert contacts.silent_share(10.0, 5.0) == 0.4
    contacts.forget("e1")
    assert contacts.silent_share(10.0, 5.0) == pytest.approx(3 / 9)
    assert contacts.others_heard("e0", 9.0)
    assert not contacts.others_heard("e0", 9.5)
    assert contacts.others_heard("e9", 10.0)


SEES = Surroundings(fleet_size=10, others_heard=True, silent_share=0.1)


@pytest.mark.parametrize(
    ("evidence", "state"),
    [
        (Evidence(), "alive"),
        (Evidence(claims=1), "alive"),
        (Evidence(probe_failures=1), "alive"),
        (Evidence(is_quiet=True), "alive"),
        (Evidence(claims=2), "suspect"),
        (Evidence(claims=1, probe_failures=1), "suspect"),
        (Evidence(probe_failures=5), "suspect"),
        (Evidence(is_refused=True), "suspect"),
        (Evidence(is_quiet=True, probe_failures=1), "suspect"),
        (Evidence(is_quiet=True, is_silent_long=True, is_probe_ok=True), "suspect"),
        (Evidence(wrong_claims=2), "suspect"),
        (Evidence(claims=2, probe_failures=1), "suspect"),
        (Evidence(claims=1, probe_failures=3), "suspect"),
        (Evidence(claims=3, is_probe_ok=True, is_heard=True), "suspect"),
        (Evidence(claims=3, probe_failures=2, is_heard=True), "suspect"),
        (Evidence(claims=2, probe_failures=2), "dead"),
        (Evidence(claims=3, probe_failures=1), "dead"),
        (Evidence(claims=3, probe_failures=3, is_heard=True), "dead"),
        (Evidence(is_quiet=True, is_refused=True), "dead"),
        (Evidence(claims=1, is_refused=True), "dead"),
        (Evidence(claims=1, is_refused=True, is_another_there=True, is_heard=True), "dead"),
        (Evidence(is_quiet=True, probe_failures=3), "dead"),
        (Evidence(is_quiet=True, probe_failures=3, silent_observers=2), "dead"),
        (Evidence(claims=3, is_unseen=True), "dead"),
        (Evidence(claims=3, is_unseen=True, is_heard=True), "suspect"),
    ],
)
def test_evidence_adds_up(evidence: Evidence, state: str) -> None:
    verdict = judge(evidence, SEES)
    found = "dead" if verdict.is_dead else "suspect" if verdict.is_suspect else "alive"
    assert found == state


def test_an_origin_that_starts_again_waits_for_edges_to_find_it() -> None:
    fleet = Fleet()
    beats = tuple(
        HeartbeatRead(heartbeat=beat(name), received_wall_s=WALL_S - 5.0) for name in "abcd"
    )
    records = tuple(record_of(name) for name in "abcd")
    fleet.handle(StateRead(wall_s=WALL_S, edges=records, heartbeats=beats), 0.0)
    for second in range(1, 26):
        fleet.handle(StateRead(wall_s=WALL_S + second), float(second))
        for name in "cd":
            answered(fleet, beat(name, second + 1), float(second))
        fleet.advance(float(second))
        fleet.drain()
    assert {row.state for row in fleet.rows(25.0)} == {"alive"}


@pytest.mark.parametrize(
    ("change", "is_forgotten"),
    [({"region": "eu", "networks": ("10.0.0.0/8",)}, False), ({"url": "http://a2:80"}, True)],
)
def test_what_was_seen_of_an_edge_holds_until_it_is_elsewhere(
    change: dict[str, Any], is_forgotten: bool
) -> None:
    fleet = fleet_of("a", "b")
    answered(fleet, beat())
    answered(fleet, beat("b"))
    assert observe(fleet, "b", "a", is_up=False, number=5) is None
    before = fleet.generation
    fleet.handle(EdgeChanged(record=record_of("a", **change)), 3.0)
    assert fleet.generation == before + 1
    row = fleet.row("a", 3.0)
    assert row is not None
    assert row.observers_down == (() if is_forgotten else ("b",))
