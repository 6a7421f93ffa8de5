"""What no evidence may do to an edge, whatever the rest says."""

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import structs

from nearcast.fleet import CLOCK_SKEW_S_MAX, Heartbeat, HeartbeatAnswer, Refused, Storage
from nearcast.steering import HOME_PATHWAY, decode, read_query
from origin.fleet import EdgeChanged, Fleet
from origin.fleet.health import Evidence, Surroundings, judge
from origin.fleet.observers import OBSERVER_COUNT, Observers
from origin.steering import Steering
from tests.simulated_fleet import WALL_S, record_of

counts = st.integers(0, 3)
evidence = st.builds(
    Evidence,
    claims=counts,
    doubtful_claims=counts,
    silent_observers=counts,
    probe_failures=st.integers(0, 6),
    is_refused=st.booleans(),
    is_probe_ok=st.booleans(),
    is_quiet=st.booleans(),
    is_silent_long=st.booleans(),
    is_unseen=st.booleans(),
    is_heard=st.booleans(),
    wrong_claims=counts,
)
surroundings = st.builds(
    Surroundings,
    fleet_size=st.integers(1, 1_000),
    others_heard=st.booleans(),
    silent_share=st.floats(0, 1),
)


@given(evidence, surroundings)
def test_nobody_dies_of_one_kind_of_witness_that_this_origin_could_check(
    said: Evidence, around: Surroundings
) -> None:
    assume(not said.is_unseen)
    only_claims = structs.replace(said, probe_failures=0, is_refused=False, is_quiet=False)
    only_probes = structs.replace(said, claims=0, doubtful_claims=0, is_quiet=False)
    only_silence = structs.replace(
        said, claims=0, doubtful_claims=0, probe_failures=0, is_refused=False
    )
    for one in (only_claims, only_probes, only_silence):
        assert not judge(one, around).is_dead


@given(evidence, surroundings)
def test_a_single_observer_kills_nobody_who_does_not_refuse_or_fall_silent(
    said: Evidence, around: Surroundings
) -> None:
    said = structs.replace(
        said, claims=min(said.claims, 1), doubtful_claims=0, is_refused=False, is_quiet=False
    )
    assert not judge(said, around).is_dead


@given(evidence, surroundings)
def test_doubtful_observers_add_nothing_to_what_answers(
    said: Evidence, around: Surroundings
) -> None:
    said = structs.replace(said, probe_failures=0, is_refused=False)
    without = structs.replace(said, doubtful_claims=0)
    assert judge(said, around) == judge(without, around)


@given(evidence, surroundings)
def test_an_origin_that_hears_nobody_kills_nobody(said: Evidence, around: Surroundings) -> None:
    around = structs.replace(around, fleet_size=max(3, around.fleet_size), others_heard=False)
    assert not judge(structs.replace(said, is_refused=False), around).is_dead


@given(evidence, surroundings)
def test_more_for_down_saves_nobody_and_more_for_up_kills_nobody(
    said: Evidence, around: Surroundings
) -> None:
    worse = structs.replace(said, claims=said.claims + 1, is_quiet=True)
    better = structs.replace(
        said, silent_observers=said.silent_observers + 1, is_probe_ok=True, is_heard=True
    )
    assert judge(worse, around).is_dead or not judge(said, around).is_dead
    assert judge(said, around).is_dead or not judge(better, around).is_dead


@given(evidence, surroundings)
def test_whoever_is_dead_is_suspect_and_has_a_reason(said: Evidence, around: Surroundings) -> None:
    verdict = judge(said, around)
    if verdict.is_dead:
        assert verdict.is_suspect
        assert verdict.reason


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 12), st.integers(0, 3)), max_size=40))
def test_observers_are_the_same_however_the_fleet_came_to_be(
    changes: list[tuple[bool, int, int]],
) -> None:
    grown, clusters = Observers(), dict[str, str]()
    for is_joining, number, cluster in changes:
        edge = f"e{number}"
        if is_joining:
            clusters[edge] = f"c{cluster}" if cluster else ""
            grown.put({edge: clusters[edge]})
        else:
            clusters.pop(edge, None)
            grown.remove(edge)
    fresh = Observers()
    fresh.put(clusters)
    for edge in clusters:
        assert grown.of(edge) == fresh.of(edge)
        assert grown.watched_by(edge) == fresh.watched_by(edge)
        assert len(grown.of(edge)) == min(OBSERVER_COUNT, len(clusters) - 1)
        assert edge not in grown.of(edge)


@dataclass(frozen=True)
class Sent:
    boot: int
    number: int
    offset_s: float
    certificate: str


sent = st.builds(
    Sent,
    boot=st.integers(1, 3),
    number=st.integers(1, 6),
    offset_s=st.sampled_from([0.0, 30.0, -90.0, 121.0, -600.0]),
    certificate=st.sampled_from(["a", "a", "a", "b", "x"]),
)


@given(st.lists(sent, max_size=25))
def test_of_each_process_heartbeats_are_taken_once_and_in_order(messages: list[Sent]) -> None:
    fleet = Fleet()
    for name in "ab":
        fleet.handle(EdgeChanged(record=record_of(name)), 0.0)
    taken: list[Sent] = []
    refused = 0
    for index, message in enumerate(messages):
        heartbeat = Heartbeat(
            edge="a",
            boot_id=f"{message.boot:016x}",
            sequence_no=message.number,
            sent_wall_s=WALL_S + message.offset_s,
            storage=Storage(capacity_bytes=1),
        )
        answer = fleet.heartbeat(
            heartbeat,
            certificate_edge=message.certificate,
            received_wall_s=WALL_S,
            now_s=float(index),
        )
        if isinstance(answer, HeartbeatAnswer):
            taken.append(message)
        else:
            assert isinstance(answer, Refused)
            assert answer.detail
            refused += message.certificate == "a"
    row = fleet.row("a", 100.0)
    assert row is not None
    assert sum(row.refused.values()) == refused  # what others say in its name is not its
    assert all(abs(message.offset_s) <= CLOCK_SKEW_S_MAX for message in taken)
    assert all(message.certificate == "a" for message in taken)
    boots = [message.boot for message in taken]
    changes = sum(before != after for before, after in pairwise(boots))
    assert len(set(boots)) == changes + bool(boots)
    for boot in set(boots):
        numbers = [message.number for message in taken if message.boot == boot]
        assert numbers == sorted(set(numbers))


query_text = st.one_of(
    st.text(max_size=60),
    st.from_regex(r"_(HLS|DASH)_pathway=(%22)?[a-z0-9,.]{0,20}(%22)?&_HLS_throughput=[0-9.,]{0,9}"),
    st.from_regex(r"tried=(e[0-9]\.[0-9]{1,11}\.[0-9]{1,9}_?){0,6}&_HLS_pathway=e[0-9]"),
)


@given(st.text(max_size=45), st.text(st.characters(), max_size=20), query_text)
def test_whatever_a_player_asks_it_gets_an_answer_that_players_read(
    client: str, title: str, query: str
) -> None:
    fleet = Fleet()
    for index in range(6):
        record = record_of(f"e{index}", networks=("192.0.2.0/24",) if index % 2 else ())
        fleet.handle(EdgeChanged(record=record), 0.0)
        beat = Heartbeat(
            edge=record.edge,
            boot_id="0" * 16,
            sequence_no=1,
            sent_wall_s=WALL_S,
            storage=Storage(capacity_bytes=1),
        )
        fleet.heartbeat(beat, certificate_edge=record.edge, received_wall_s=WALL_S, now_s=1.0)
    steering = Steering(fleet)
    answer = decode(steering.answer(client, title, query, wall_s=WALL_S, now_s=100.0))
    assert answer.pathways[-1] == HOME_PATHWAY
    assert 2 <= len(answer.pathways) <= 5
    assert {clone.id for clone in answer.clones} == set(answer.pathways[:-1])
    assert answer.reload_uri.startswith("?")
    # And what it is told to ask next is understood, and moves nobody who is well.
    again = f"{answer.reload_uri[1:]}&_HLS_pathway={answer.pathways[0]}"
    assert read_query(again)
    second = decode(steering.answer(client, title, again, wall_s=WALL_S + 10, now_s=110.0))
    assert second.pathways[0] == answer.pathways[0]
