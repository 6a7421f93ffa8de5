"""Every fault and its right answer, in virtual time (docs/reliability.md has the table)."""

from __future__ import annotations

import msgspec
import pytest

from simulation.checks import Checker
from simulation.scenario import read_scenario
from simulation.world import World
from tests.simulation.fault_bench import OTHER, SEGMENT, SEGMENTS, FaultBench

SEEDS_PER_TEST = 12


@pytest.mark.parametrize("first_seed", range(0, 120, SEEDS_PER_TEST))
def test_any_mixture_of_faults_keeps_the_invariants(first_seed: int) -> None:
    scenario = read_scenario("faults")
    for seed in range(first_seed, first_seed + SEEDS_PER_TEST):
        checker = Checker()
        world = World(msgspec.structs.replace(scenario, seed=seed), recorder=checker)
        try:
            world.run(on_event=checker.look)
            checker.end(world)
        except Exception as error:
            raise AssertionError(
                f"{error}\nreplay with: nearcast simulate run faults --seed {seed} --check"
            ) from error


def test_same_seed_breaks_the_same_things() -> None:
    scenario = read_scenario("faults")
    worlds = [World(scenario), World(scenario)]
    assert worlds[0].faults == worlds[1].faults
    assert worlds[0].run().digest == worlds[1].run().digest
    other = World(msgspec.structs.replace(scenario, seed=2))
    assert other.faults != worlds[0].faults


# The rows


@pytest.mark.parametrize("kind", ["down", "reset", "errors", "hang"])
def test_origin_down_and_object_stale_serves_it_stale(kind: str) -> None:
    bench = FaultBench(max_age_s=1)
    bench.get()
    bench.wait(5.0)
    bench.begin(kind)
    reply = bench.get()
    assert (reply.status, reply.is_whole, reply.fwd) == (200, True, "stale")
    assert reply.age_s >= 5


def test_origin_down_and_nothing_stored_gives_502_at_once() -> None:
    bench = FaultBench()
    bench.begin("down")
    reply = bench.get()
    assert (reply.status, reply.headers["retry-after"]) == (502, "1")
    assert reply.took_s < 0.1


def test_origin_that_stays_down_is_left_alone_and_found_again() -> None:
    bench = FaultBench({"http.breaker_failures": 3})
    bench.begin("down")
    for target in SEGMENTS[:3]:
        assert bench.get(target).status == 502
    reply = bench.get()
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert reply.took_s < 0.03
    bench.end()
    bench.wait(1.0)
    assert bench.get().status == 200
    assert bench.status.upstreams_troubled == 0


def test_origin_that_hangs_gives_504_within_the_set_time() -> None:
    bench = FaultBench({"http.fill_header_timeout_s": 2.0, "http.connect_timeout_s": 1.0})
    bench.begin("hang")
    reply = bench.get()
    assert reply.status == 504
    assert reply.took_s == pytest.approx(3.0, abs=0.1)


def test_origin_that_hangs_in_a_body_cuts_it() -> None:
    bench = FaultBench({"http.fill_idle_timeout_s": 2.0})
    bench.begin("hang_body")
    reply = bench.get()
    assert reply.failure is not None
    assert reply.took_s == pytest.approx(3.0, abs=0.2)  # with the second that progress may be late
    assert len(bench.edge.disk) == 0


def test_slow_origin_and_100_equal_misses_is_one_fetch() -> None:
    bench = FaultBench()
    bench.begin("slow")
    replies = [bench.send() for _ in range(100)]
    bench.finish(*replies)
    size_bytes = bench.origin.true_size_bytes(SEGMENT)
    assert {(reply.status, reply.size_bytes) for reply in replies} == {(200, size_bytes)}
    assert bench.asked() == 1


@pytest.mark.parametrize("kind", ["truncated", "truncated_chunked"])
def test_truncated_body_is_passed_on_cut_never_stored_and_counted(kind: str) -> None:
    bench = FaultBench()
    bench.begin(kind)
    reply = bench.get()
    assert reply.status == 200
    assert reply.failure is not None
    assert 0 < reply.size_bytes < (bench.origin.true_size_bytes(SEGMENT) or 0)
    assert (bench.status.upstream_cut, bench.status.object_count) == (1, 0)
    bench.end()
    assert bench.get().is_whole


def test_more_bytes_than_content_length_cost_the_connection_only() -> None:
    bench = FaultBench({"http.retry_budget_share": 1.0})
    bench.begin("extra_bytes")
    for target in SEGMENTS:
        reply = bench.get(target)
        assert (reply.status, reply.size_bytes) == (200, bench.origin.true_size_bytes(target))
    bench.end()
    assert all(bench.get(target).is_hit for target in SEGMENTS)


def test_connection_that_went_stale_is_retried_within_the_budget() -> None:
    bench = FaultBench({"http.retry_budget_share": 0.5})
    for target in SEGMENTS[:2]:
        bench.get(target)
    bench.begin("reset", lasts_s=0.02)
    assert bench.get(SEGMENTS[2]).status == 200
    assert bench.status.upstream_retry_count == 1


def test_disk_full_serves_on_without_storing() -> None:
    bench = FaultBench()
    bench.get(OTHER)
    bench.begin("disk_full")
    for _ in range(2):
        reply = bench.get()
        assert (reply.status, reply.is_whole, reply.is_hit) == (200, True, False)
    assert bench.get(OTHER).is_hit
    bench.end()
    bench.get()
    assert bench.get().is_hit


def test_bit_rot_is_noticed_dropped_and_fetched_again() -> None:
    bench = FaultBench({"memory_bytes": 0})
    bench.get()
    bench.begin("bit_rot", count=10)
    reply = bench.get()
    assert (reply.status, reply.is_whole, reply.is_hit) == (200, True, False)
    assert bench.asked() == 2
    assert bench.get().is_hit


def test_kill_in_a_write_serves_nothing_partial_and_hits_what_was_stored() -> None:
    bench = FaultBench()
    bench.get(OTHER)
    bench.begin("slow", lasts_s=1.0)
    reply = bench.send()
    bench.wait(1.0)
    bench.begin("kill", lasts_s=0.5)
    bench.finish(reply)
    assert reply.failure is not None
    bench.wait(1.0)
    assert bench.get(OTHER).is_hit
    again = bench.get()
    assert (again.is_whole, again.is_hit) == (True, False)


@pytest.mark.parametrize("step_s", [-86_400.0, -10.0, 10.0, 86_400.0])
def test_clock_jump_never_makes_an_age_negative_nor_an_object_fresh_for_ever(
    step_s: float,
) -> None:
    bench = FaultBench(max_age_s=60)
    bench.get()
    bench.begin("clock", lasts_s=0.5, step_s=step_s)
    bench.wait(1.0)
    reply = bench.get()
    assert reply.is_whole
    assert reply.age_s >= 0
    if step_s <= 10:
        assert reply.is_hit
    bench.wait(61.0)
    assert not bench.get().is_hit, "a minute is over, whatever the wall clock says"


def test_broken_model_leaves_the_rule() -> None:
    bench = FaultBench({"prefetch.enabled": True})
    bench.begin("model")
    assert bench.status.model_id is None
    assert bench.get().status == 200
    bench.end()
    assert bench.status.model_id is not None


def test_cut_link_is_a_silent_origin_and_mends() -> None:
    bench = FaultBench({"http.fill_header_timeout_s": 2.0, "http.connect_timeout_s": 1.0})
    bench.get(OTHER)
    bench.begin("link", lasts_s=4.0)
    assert bench.get(OTHER).is_hit
    assert bench.get().status == 504
    bench.wait(2.0)
    assert bench.get().status == 200


def test_client_that_leaves_early_ends_the_fetch_and_late_does_not() -> None:
    bench = FaultBench()
    for leaves_after_s, is_stored in ((1.0, False), (2.5, True)):
        bench.begin("slow")
        reply = bench.send(target := SEGMENTS[3 if is_stored else 4])
        bench.wait(leaves_after_s)
        bench.leave(reply)
        bench.wait(5.0)
        bench.end()
        assert bench.get(target).is_hit is is_stored


def test_storm_of_errors_costs_the_origin_few_requests() -> None:
    bench = FaultBench()
    bench.begin("errors")
    for _ in range(50):
        reply = bench.get()
        assert reply.status == 503
        bench.wait(0.1)
    assert bench.asked() <= 6
    bench.end()
    bench.wait(1.0)
    assert bench.get().status == 200
