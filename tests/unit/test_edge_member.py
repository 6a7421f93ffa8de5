"""What an edge says to its origins, and what it makes of their answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec
import numpy as np
import pytest

from edge.config import FleetConfig
from edge.fleet.beats import Beats, Vitals
from edge.fleet.events import (
    CalendarRead,
    FetchPlan,
    Follow,
    HeartbeatAnswered,
    HeartbeatLost,
    HeartbeatRefused,
    KeepOrigins,
    Leaving,
    MemberEffect,
    MemberEvent,
    NoteZone,
    ObservationsTaken,
    PlanMissed,
    PlanRead,
    Probe,
    Probed,
    Renew,
    RenewalFailed,
    Renewed,
    SendHeartbeat,
    SendObservations,
    TakeBoot,
    TakeDuty,
    TakeTime,
)
from edge.fleet.member import Member
from edge.fleet.probes import Probes
from nearcast.fleet import HeartbeatAnswer, Refused, Target
from nearcast.placement import EdgePlan
from nearcast.seeds import Seeds
from tests.edge_bench import EPOCH_S, Bench

A, B = "https://a:1", "https://b:1"
T = TypeVar("T", bound=MemberEffect)


class Told:
    """A member whose origin answers when the test says so."""

    def __init__(self, *origins: str, renew_s: float = 1e6, time_zone: str | None = None) -> None:
        self.now_s = 0.0
        self.member = Member(
            FleetConfig(),
            origins=origins or (A,),
            renew_wall_s=EPOCH_S + renew_s,
            epoch_s=EPOCH_S,
            jitter=Seeds(1).stream("edge/fleet"),
            time_zone=time_zone,
        )

    def feed(self, event: MemberEvent) -> list[MemberEffect]:
        self.member.handle(event, self.now_s)
        return self.member.drain()

    def move(self, for_s: float) -> list[MemberEffect]:
        """Let time pass, waking the member when it wants to be."""
        until_s, seen = self.now_s + for_s, list[MemberEffect]()
        while (due_s := self.member.deadline_s()) is not None and due_s <= until_s:
            self.now_s = max(due_s, self.now_s)
            self.member.advance(self.now_s)
            effects = self.member.drain()
            if not effects:  # as a driver's timer that comes a hair too early
                self.now_s += 1e-3
            seen += effects
        self.now_s = max(until_s, self.now_s)
        self.member.advance(self.now_s)
        return seen + self.member.drain()

    def beat(self) -> SendHeartbeat:
        return only(self.move(60.0), SendHeartbeat)

    def lose_and_beat(self, beat: SendHeartbeat) -> SendHeartbeat:
        """The one after a lost one, at the moment it is sent."""
        effects = self.lose(beat)
        for _ in range(10):
            for found in of(effects, SendHeartbeat):
                return found
            due_s = self.member.deadline_s()
            assert due_s is not None
            effects = self.move(max(due_s - self.now_s, 0.0) + 1e-3)
        raise AssertionError("no heartbeat came")

    def answer(self, beat: SendHeartbeat, **said: object) -> list[MemberEffect]:
        usual = HeartbeatAnswer(interval_s=5.0, wall_s=EPOCH_S + self.now_s)
        return self.feed(
            HeartbeatAnswered(
                origin=beat.origin,
                sequence_no=beat.sequence_no,
                sent_s=self.now_s,
                answer=msgspec.structs.replace(usual, **said),
            )
        )

    def lose(self, beat: SendHeartbeat) -> list[MemberEffect]:
        lost = HeartbeatLost(origin=beat.origin, sequence_no=beat.sequence_no, detail="gone")
        return self.feed(lost)


def of(effects: Sequence[MemberEffect], kind: type[T]) -> list[T]:
    return [effect for effect in effects if isinstance(effect, kind)]


def only(effects: Sequence[MemberEffect], kind: type[T]) -> T:
    (found,) = of(effects, kind)
    return found


def a_plan(plan_id: str = "aa", from_s: float = 0.0, until_s: float = 1_000.0) -> EdgePlan:
    return EdgePlan(
        plan_id=plan_id,
        edge="e1",
        made_wall_s=EPOCH_S,
        valid_from_wall_s=EPOCH_S + from_s,
        valid_until_wall_s=EPOCH_S + until_s,
        pinned_bytes_max=1,
        fill_bytes_max=1,
        fill_kbps_max=1.0,
        windows=(),
        files=(),
    )


def test_heartbeats_come_at_the_interval_that_was_told() -> None:
    told = Told()
    first = told.beat()
    assert of(told.move(100.0), SendHeartbeat) == []  # one at a time
    told.answer(first, interval_s=2.0)
    assert of(told.move(1.7), SendHeartbeat) == []
    second = only(told.move(0.3), SendHeartbeat)
    assert second.sequence_no == first.sequence_no + 1
    assert told.member.is_joined


def test_the_held_titles_are_told_when_asked_for() -> None:
    told = Told()
    first = told.beat()
    assert first.with_held
    told.answer(first)
    second = told.beat()
    assert not second.with_held
    told.answer(second, wants_held=True)
    assert told.beat().with_held


def test_the_next_origin_is_asked_at_once_and_then_ever_more_rarely() -> None:
    told = Told(A, B)
    first = told.beat()
    (second,) = of(told.lose(first), SendHeartbeat)
    assert {first.origin, second.origin} == {A, B}
    beat, pauses = second, []
    for _ in range(20):
        before_s = told.now_s
        beat = told.lose_and_beat(beat)
        pauses.append(told.now_s - before_s)
    assert max(pauses) <= 30.1
    assert max(pauses[10:]) > 10.0
    assert "no origin answers" in told.member.state


def test_an_hour_without_an_origin_ends_within_half_a_minute() -> None:
    told = Told()
    beat = told.beat()
    while told.now_s < 3_600.0:
        beat = told.lose_and_beat(beat)
    told.answer(beat)
    assert told.member.is_joined
    assert told.member.origins.failed_in_a_row == 0


def test_a_refusal_is_shown_and_tried_again_later() -> None:
    told = Told()
    beat = told.beat()
    refused = Refused(error="clock", detail="ten minutes off")
    told.feed(HeartbeatRefused(origin=A, sequence_no=beat.sequence_no, refused=refused))
    assert told.member.state == "refused (clock): ten minutes off"
    assert of(told.move(2.0), SendHeartbeat) == []
    told.answer(only(told.move(4.0), SendHeartbeat))
    assert told.member.is_joined


def test_the_origins_time_is_that_of_the_quickest_answer() -> None:
    told = Told()
    effects = told.answer(told.beat(), wall_s=EPOCH_S + told.now_s + 30.0)
    assert only(effects, TakeTime).ahead_s == 30.0
    beat = told.beat()
    told.now_s += 4.0  # a slow answer says little
    effects = told.feed(
        HeartbeatAnswered(
            origin=A,
            sequence_no=beat.sequence_no,
            sent_s=told.now_s - 4.0,
            answer=HeartbeatAnswer(interval_s=5.0, wall_s=EPOCH_S + told.now_s + 25.0),
        )
    )
    assert of(effects, TakeTime) == []


def test_a_calendar_that_is_set_is_believed_until_an_origin_answers() -> None:
    told = Told()
    told.beat()
    assert of(told.feed(CalendarRead(wall_s=EPOCH_S + told.now_s + 0.2)), TakeTime) == []
    step = told.feed(CalendarRead(wall_s=EPOCH_S + told.now_s + 5_000.0))  # NTP, at last
    assert only(step, TakeTime).ahead_s == pytest.approx(5_000.0)
    assert of(told.feed(CalendarRead(wall_s=EPOCH_S + told.now_s + 5_000.0)), TakeTime) == []
    assert told.member.time.wall_s(told.now_s) == pytest.approx(EPOCH_S + told.now_s + 5_000.0)


def test_answers_from_before_the_machine_slept_say_nothing() -> None:
    told = Told()
    told.answer(told.beat(), wall_s=EPOCH_S + told.now_s)
    slept_s = 3_600.0  # in which the monotonic clock stood still
    told.feed(CalendarRead(wall_s=EPOCH_S + told.now_s + slept_s))
    beat = told.beat()
    told.now_s += 1.0  # slower than the answer before
    told.feed(
        HeartbeatAnswered(
            origin=A,
            sequence_no=beat.sequence_no,
            sent_s=told.now_s - 1.0,
            answer=HeartbeatAnswer(interval_s=5.0, wall_s=EPOCH_S + told.now_s + slept_s + 40.0),
        )
    )
    ahead_s = told.member.time.ahead_s
    assert ahead_s == pytest.approx(slept_s + 40.0, abs=1.0), "the origin is believed"


def test_duty_and_origins_are_passed_on_once() -> None:
    told = Told()
    effects = told.answer(told.beat(), duty="draining", origins=(A, B))
    assert only(effects, TakeDuty).duty == "draining"
    assert only(effects, KeepOrigins).origins == (A, B)
    again = told.answer(told.beat(), duty="draining", origins=(A, B))
    assert of(again, TakeDuty) == []
    assert of(again, KeepOrigins) == []


@pytest.mark.parametrize(
    ("ours", "at_origin", "count"),
    [
        ("Europe/Berlin", "Europe/Lisbon", 1),
        ("Europe/Berlin", "Europe/Berlin", 0),
        ("Europe/Berlin", "", 0),
        (None, "Europe/Lisbon", 0),
    ],
)
def test_two_time_zones_for_one_place_are_noted_once(
    ours: str | None, at_origin: str, count: int
) -> None:
    told = Told(time_zone=ours)
    effects = told.answer(told.beat(), time_zone=at_origin)
    effects += told.answer(told.beat(), time_zone=at_origin)
    assert [(one.ours, one.origins) for one in of(effects, NoteZone)] == [(ours, at_origin)] * count


def test_a_time_zone_that_was_put_right_and_wrong_again_is_noted_again() -> None:
    told = Told(time_zone="Europe/Berlin")
    zones = ("Europe/Lisbon", "Europe/Berlin", "Europe/Lisbon")
    effects = [told.answer(told.beat(), time_zone=zone) for zone in zones]
    assert [len(of(found, NoteZone)) for found in effects] == [1, 0, 1]


def test_origins_without_tls_are_not_believed() -> None:
    told = Told()
    assert of(told.answer(told.beat(), origins=("http://evil:1",)), KeepOrigins) == []
    assert told.member.origins.current == A


def test_a_plan_in_force_is_fetched_once_and_followed() -> None:
    told = Told()
    fetch = only(told.answer(told.beat(), plan_id="aa"), FetchPlan)
    assert fetch == FetchPlan(origin=A, plan_id="aa")
    assert only(told.feed(PlanRead(plan=a_plan(), spent_bytes=7)), Follow) == Follow(
        plan=a_plan(), spent_bytes=7
    )
    assert of(told.answer(told.beat(), plan_id="aa"), FetchPlan) == []


def test_a_plan_that_cannot_be_had_is_asked_for_again_but_not_a_refused_one() -> None:
    told = Told()
    told.answer(told.beat(), plan_id="aa")
    assert of(told.feed(PlanMissed(plan_id="aa", detail="busy")), FetchPlan) == []
    only(told.move(5.5), FetchPlan)
    told.feed(PlanMissed(plan_id="aa", detail="forged", is_refused=True))
    assert of(told.move(600.0), FetchPlan) == []


def test_a_plan_is_followed_from_when_it_is_valid_until_it_expires() -> None:
    told = Told()
    told.answer(told.beat())
    told.member.drain()
    told = Told()
    beat = told.beat()
    told.answer(beat, plan_id="aa", interval_s=300.0)
    begins_s, ends_s = told.now_s + 50.0, told.now_s + 100.0
    assert of(told.feed(PlanRead(plan=a_plan("aa", begins_s, ends_s))), Follow) == []
    assert of(told.move(49.0), Follow) == []
    assert only(told.move(2.0), Follow).plan is not None
    assert only(told.move(60.0), Follow).plan is None
    assert of(told.move(10.0), FetchPlan) == []  # it is over: not fetched again


def test_a_kept_plan_is_followed_before_any_origin_answers() -> None:
    told = Told()
    effects = told.feed(PlanRead(plan=a_plan()))
    assert only(effects, Follow).plan == a_plan()
    beat = only(effects, SendHeartbeat)
    for _ in range(5):
        beat = told.lose_and_beat(beat)
    assert told.feed(Probed(edge="e9", is_up=True)) == []


def test_no_plan_in_force_unpins() -> None:
    told = Told()
    beat = only(told.feed(PlanRead(plan=a_plan())), SendHeartbeat)
    assert only(told.answer(beat, plan_id=""), Follow).plan is None


def test_two_failures_in_a_row_are_told_at_once_and_again_while_they_last() -> None:
    told = Told()
    target = Target(edge="e2", url="http://e2:1")
    told.answer(told.beat(), probes=(target,), probe_s=1.0, interval_s=300.0)
    probes = of(told.move(1.5), Probe)
    assert {one.edge for one in probes} == {"e2"}
    down = Probed(edge="e2", is_up=False)
    assert of(told.feed(down), SendObservations) == []
    only(told.move(1.0), Probe)
    seen = only(told.feed(down), SendObservations)
    assert [(one.is_up, one.failure_count) for one in seen.seen] == [(False, 2)]
    told.feed(ObservationsTaken(sequence_no=seen.sequence_no))
    repeats = []
    for _ in range(6):
        effects = told.move(1.0)
        repeats += of(effects + told.feed(down), SendObservations)
    assert len(repeats) == 1
    told.feed(ObservationsTaken(sequence_no=repeats[0].sequence_no))
    told.move(1.0)
    back = only(told.feed(Probed(edge="e2", is_up=True, rtt_ms=3.0)), SendObservations)
    assert [(one.is_up, one.rtt_ms) for one in back.seen] == [(True, 3.0)]


def test_what_no_origin_took_is_told_again_with_its_age() -> None:
    probes = Probes(probe_s_min=0.5, probes_max=4, jitter=np.random.default_rng(1))
    probes.aim((Target(edge="e2", url="http://e2:1"),), 1.0, 0.0)
    probes.seen("e2", False, None, 9.0)
    probes.seen("e2", False, None, 10.0)
    first = probes.take_news(10.0)
    assert [one.age_s for one in first] == [0.0]
    probes.untold(first)
    assert [(one.edge, one.age_s) for one in probes.take_news(14.0)] == [("e2", 4.0)]


def test_a_certificate_is_renewed_in_time() -> None:
    told = Told(renew_s=1_000.0)
    told.answer(told.beat(), interval_s=300.0)
    told.move(200.0)
    effects: list[MemberEffect] = []
    while told.now_s < 1_100.0:
        effects += told.move(10.0)
        for beat in of(effects, SendHeartbeat):
            effects.remove(beat)
            effects += told.answer(beat, interval_s=300.0)
    assert len(of(effects, Renew)) == 1
    told.feed(RenewalFailed(detail="busy"))
    assert of(told.move(40.0), Renew) == []
    assert len(of(told.move(40.0), Renew)) == 1
    told.feed(Renewed(renew_wall_s=EPOCH_S + 1e6))
    assert of(told.move(1_000.0), Renew) == []


def test_who_leaves_says_so_once_and_begins_nothing() -> None:
    told = Told()
    told.answer(told.beat())
    only(told.feed(Leaving()), SendHeartbeat)
    assert told.move(1_000.0) == []
    assert told.member.deadline_s() is None


def test_a_heartbeat_says_what_the_edge_does() -> None:
    bench = Bench()
    beats = Beats("e1", boot_id="0" * 16, software="nearcast 1")
    status = bench.core.status(0.0)

    def make(at_s: float, client_bytes: int, cpu_s: float, state: str = "ok"):  # type: ignore[no-untyped-def]
        return beats.make(
            1,
            msgspec.structs.replace(status, client_bytes=client_bytes),
            Vitals(connection_count=3, cpu_s=cpu_s, store_state=state),
            wall_s=EPOCH_S,
            now_s=at_s,
            held_id="",
            held=None,
        )

    assert make(0.0, 0, 1.0).load.client_kbps == 0.0
    beat = make(10.0, 1_000_000, 6.0)
    assert (beat.load.client_kbps, beat.load.cpu_share) == (800.0, 0.5)
    assert not beat.storage.is_failing
    assert make(20.0, 0, 6.0, "read-only").storage.is_failing


def test_an_edge_that_was_followed_by_a_copy_lives_on_under_another_boot() -> None:
    told = Told()
    beat = told.beat()
    seen: list[MemberEffect] = []
    for error in ("duplicate", "duplicate", "replayed", "replayed"):
        refused = Refused(error=error, detail="followed by another")
        no = beat.sequence_no
        seen += told.feed(HeartbeatRefused(origin=A, sequence_no=no, refused=refused))
        beat = only(told.move(10.0), SendHeartbeat)
    assert len(of(seen, TakeBoot)) == 1
    told.answer(beat)
    assert told.member.is_joined


def test_another_boot_counts_from_its_beginning() -> None:
    bench = Bench()
    beats = Beats("e1", boot_id="0" * 16, software="nearcast 1")
    status = bench.core.status(0.0)

    def client_bytes(at_s: float, bytes_so_far: int) -> int:
        beat = beats.make(
            1,
            msgspec.structs.replace(status, client_bytes=bytes_so_far),
            Vitals(),
            wall_s=EPOCH_S,
            now_s=at_s,
            held_id="",
            held=None,
        )
        return beat.traffic.client_bytes

    assert client_bytes(0.0, 1_000) == 1_000
    beats.begin_anew("1" * 16)
    assert client_bytes(1.0, 1_500) == 500
    assert beats.boot_id == "1" * 16
