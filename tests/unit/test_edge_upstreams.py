"""Upstreams that fail: silence, retries, errors remembered, and the breaker."""

from __future__ import annotations

import pytest

from cache.http.headers import get_one
from edge.config import HttpConfig
from edge.deadlines import Deadlines
from edge.effects import (
    AbortResponse,
    CancelFill,
    Effect,
    PassThrough,
    ServeFill,
    ServeObject,
    ServeText,
    StartFill,
    StreamOnly,
)
from edge.events import (
    ClientLeft,
    FailureCause,
    FillBlocked,
    FillFailed,
    FillProgress,
    ResponseEnded,
)
from tests.edge_bench import MAX_AGE, Bench, one

STALE = (("cache-control", "max-age=0"), ("etag", '"v1"'))
MANIFEST = (("cache-control", "no-store"), ("content-type", "application/dash+xml"))
NO_RETRIES = HttpConfig(retry_budget_share=0.0)


def fail(bench: Bench, started: list[Effect], cause: FailureCause = "refused") -> list[Effect]:
    """The one fetch among the effects ends without a head."""
    fill_id = one(started, StartFill).fill_id
    return bench.feed(FillFailed(fill_id=fill_id, cause=cause, detail="x"))


def pass_time(bench: Bench, until_s: float) -> list[Effect]:
    """Wake the core whenever it wants to be woken, up to a moment."""
    effects = []
    while (deadline_s := bench.core.deadline_s()) is not None and deadline_s <= until_s:
        bench.now_s = deadline_s
        bench.core.advance(deadline_s)
        effects += bench.core.drain()
    bench.now_s = until_s
    bench.core.advance(until_s)
    return effects + bench.core.drain()


# Silence


def test_no_head_in_time_gives_504_and_the_fetch_up() -> None:
    bench = Bench(http=HttpConfig(connect_timeout_s=1.0, fill_header_timeout_s=2.0))
    bench.ask()
    assert pass_time(bench, 2.9) == []
    effects = pass_time(bench, 3.0)
    one(effects, CancelFill)
    assert one(effects, ServeText).status == 504
    status = bench.core.status(3.0)
    assert (status.upstream_timeouts, status.fills_failed, status.fills_in_flight) == (1, 1, 0)


def test_no_head_in_time_gives_what_is_stored() -> None:
    bench = Bench()
    bench.store(headers=STALE)
    bench.ask()
    assert "fwd=stale" in (
        get_one(one(pass_time(bench, 8.0), ServeObject).headers, "cache-status") or ""
    )


def test_silence_in_a_body_cuts_it_and_progress_puts_that_off() -> None:
    bench = Bench(http=HttpConfig(fill_idle_timeout_s=4.0))
    started = bench.ask()
    bench.head(started)
    fill_id = one(started, StartFill).fill_id
    assert pass_time(bench, 4.5) == []
    bench.feed(FillProgress(fill_id=fill_id, received_bytes=10))
    assert pass_time(bench, 9.0) == []
    effects = pass_time(bench, 9.6)
    assert one(effects, AbortResponse).request_id == 1
    one(effects, CancelFill)
    assert bench.hit() is None


def test_silence_that_is_our_own_doing_is_not_held_against_upstream() -> None:
    bench = Bench()
    started = bench.ask()
    bench.head(started)
    fill_id = one(started, StartFill).fill_id
    bench.feed(FillBlocked(fill_id=fill_id, is_blocked=True))
    assert pass_time(bench, 1000.0) == []
    bench.feed(FillBlocked(fill_id=fill_id, is_blocked=False))
    assert pass_time(bench, 1010.9) == []
    one(pass_time(bench, 1011.1), CancelFill)


def test_deadlines_come_up_in_their_order_and_once() -> None:
    deadlines = Deadlines()
    for fill_id, due_s in ((1, 5.0), (2, 3.0), (3, 4.0), (2, 6.0), (3, 1.0), (4, 2.0)):
        deadlines.set(fill_id, due_s)
    deadlines.clear(4)
    assert deadlines.next_s() == 1.0
    assert deadlines.take_overdue(5.5) == [3, 1]
    assert deadlines.next_s() == 6.0
    deadlines.set(2, 7.0)
    assert deadlines.take_overdue(6.0) == []
    assert deadlines.take_overdue(7.0) == [2]
    assert deadlines.next_s() is None


# What is not kept


def test_what_may_not_be_stored_is_streamed_only_once_its_readers_are_there() -> None:
    bench = Bench()
    effects = bench.head(bench.ask(), (("cache-control", "no-store"),))
    assert [type(effect) for effect in effects] == [ServeFill, StreamOnly]


def test_manifest_that_may_not_be_stored_is_kept_until_it_was_read() -> None:
    bench = Bench()
    started = bench.ask("/m.mpd")
    effects = bench.head(started, MANIFEST, size=None)
    assert [type(effect) for effect in effects] == [ServeFill]
    assert bench.feed(ResponseEnded(request_id=1, sent_bytes=10)) == []
    fill_id = one(started, StartFill).fill_id
    one(bench.feed(FillProgress(fill_id=fill_id, received_bytes=5_000_000)), StreamOnly)


# Retries


def test_one_fetch_in_ten_may_be_tried_again_for_the_same_clients() -> None:
    bench = Bench()
    for number in range(9):
        bench.store(f"/{number}")
    started = bench.ask()
    bench.ask()
    again = fail(bench, started, "broken")
    assert [type(effect) for effect in again] == [StartFill]
    served = [e for e in bench.head(again) if isinstance(e, ServeFill)]
    assert [e.request_id for e in served] == [bench.last_id - 1, bench.last_id]
    assert bench.core.status(0.0).upstream_retry_count == 1
    # That was all there was to spend.
    assert one(fail(bench, bench.ask("/other")), ServeText).status == 502


def test_nothing_is_tried_a_third_time() -> None:
    bench = Bench(http=HttpConfig(retry_budget_share=1.0))
    again = fail(bench, bench.ask())
    assert one(fail(bench, again), ServeText).status == 502


@pytest.mark.parametrize("cause", ["timeout", "integrity", "too_large"])
def test_what_trying_again_would_not_better_is_not_tried(cause: FailureCause) -> None:
    bench = Bench(http=HttpConfig(retry_budget_share=1.0))
    one(fail(bench, bench.ask(), cause), ServeText)


def test_nobody_waiting_is_no_reason_to_try_again() -> None:
    bench = Bench(http=HttpConfig(retry_budget_share=1.0))
    bench.store(headers=(("cache-control", "max-age=0, stale-while-revalidate=60"), ("etag", "1")))
    bench.now_s = 1.0
    assert fail(bench, bench.ask()) == []


# Errors


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_error_is_not_asked_for_again_for_a_moment(status: int) -> None:
    bench = Bench()
    bench.head(bench.ask(), (), status=status)
    bench.feed(ClientLeft(request_id=1))
    answer = one(bench.ask(), ServeText)
    assert (answer.status, get_one(answer.headers, "retry-after")) == (status, "1")
    one(bench.ask("/other"), StartFill)
    one(bench.ask("/a", (("origin", "odd"),)), StartFill)
    one(bench.feed(ClientLeft(request_id=bench.last_id)), CancelFill)
    bench.now_s = 1.0
    one(bench.ask(), StartFill)


def test_error_gives_what_is_stored_without_asking() -> None:
    bench = Bench()
    bench.store(headers=STALE)
    bench.head(bench.ask(), (), status=503)
    assert "fwd=stale" in (get_one(one(bench.ask(), ServeObject).headers, "cache-status") or "")


@pytest.mark.parametrize("status", [400, 403, 405, 413, 429, 431, 501])
def test_other_errors_are_never_remembered(status: int) -> None:
    bench = Bench()
    bench.head(bench.ask(), (), status=status)
    effects = bench.ask()
    assert not any(isinstance(effect, ServeText) for effect in effects)


# The breaker


def broken(bench: Bench, count: int = 10) -> None:
    for number in range(count):
        fail(bench, bench.ask(f"/down/{number}"), "timeout")


def test_breaker_opens_after_failures_in_a_row_and_answers_at_once() -> None:
    bench = Bench(http=NO_RETRIES)
    bench.store(headers=STALE)
    broken(bench, 9)
    bench.store("/good")
    broken(bench, 9)
    one(bench.ask("/still-asked"), StartFill)
    broken(bench, 1)
    answer = one(bench.ask("/x"), ServeText)
    assert (answer.status, get_one(answer.headers, "retry-after")) == (503, "1")
    one(bench.ask(), ServeObject)
    status = bench.core.status(0.0)
    assert (status.breaker_opening_count, status.upstreams_troubled) == (1, 1)
    assert status.upstream_spared_count == 2


def test_half_open_one_probe_goes_and_equal_misses_wait_with_it() -> None:
    bench = Bench(http=NO_RETRIES)
    broken(bench)
    bench.now_s = 1.0
    probe = bench.ask("/x")
    one(probe, StartFill)
    assert bench.ask("/x") == []
    assert one(bench.ask("/y"), ServeText).status == 503
    assert len([e for e in bench.head(probe, MAX_AGE) if isinstance(e, ServeFill)]) == 2
    one(bench.ask("/y"), StartFill)
    assert bench.core.status(0.0).upstreams_troubled == 0


def test_each_probe_that_fails_doubles_the_wait_up_to_a_bound() -> None:
    bench = Bench(http=HttpConfig(breaker_open_s=2.0, breaker_open_s_max=5.0, retry_budget_share=0))
    broken(bench)
    for wait_s in (2.0, 4.0, 5.0, 5.0):
        bench.now_s += wait_s - 0.01
        one(bench.ask("/x"), ServeText)
        bench.now_s += 0.01
        fail(bench, bench.ask("/x"))


def test_probe_whose_client_left_lets_another_be_tried() -> None:
    bench = Bench(http=NO_RETRIES)
    broken(bench)
    bench.now_s = 1.0
    bench.ask("/x")
    one(bench.feed(ClientLeft(request_id=bench.last_id)), CancelFill)
    one(bench.ask("/y"), StartFill)


def test_storm_of_errors_opens_the_breaker_and_a_broken_page_does_not() -> None:
    bench = Bench(http=NO_RETRIES)
    for number in range(30):
        bench.head(bench.ask(f"/{number}"), (), status=500)
    assert bench.core.status(0.0).upstreams_troubled == 0
    for number in range(30):
        effects = bench.ask(f"/storm/{number}")
        if number < 10:
            bench.head(effects, (), status=503)
        else:
            one(effects, ServeText)


def test_breaker_can_be_switched_off() -> None:
    bench = Bench(http=HttpConfig(breaker_failures=0, retry_budget_share=0.0))
    broken(bench, 50)
    one(bench.ask(), StartFill)


def test_while_it_is_open_reads_are_not_passed_through_and_writes_are() -> None:
    bench = Bench(http=NO_RETRIES)
    broken(bench)
    assert one(bench.ask("/x", method="HEAD"), ServeText).status == 503
    one(bench.ask("/x", method="POST"), PassThrough)
    bench.now_s = 1.0
    one(bench.ask("/x", method="HEAD"), PassThrough)


def test_no_room_for_a_fetch_gives_what_is_stored() -> None:
    bench = Bench(http=HttpConfig(fills_max=1))
    bench.store(headers=STALE)
    one(bench.ask("/hangs"), StartFill)
    one(bench.ask(), ServeObject)
    assert one(bench.ask("/other"), ServeText).status == 503
