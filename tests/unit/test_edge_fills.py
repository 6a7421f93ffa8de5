"""One fetch for equal misses, and what becomes of its waiters."""

from __future__ import annotations

import pytest

from cache.http.headers import get_one
from edge.config import HttpConfig, ServiceRules
from edge.effects import (
    AbortResponse,
    CancelFill,
    Commit,
    Discard,
    PassThrough,
    ServeFill,
    ServeInterim,
    ServeText,
    StartFill,
    StreamOnly,
)
from edge.events import (
    ClientLeft,
    FailureCause,
    FillEnded,
    FillFailed,
    FillHeaders,
    FillInterim,
    FillProgress,
    Headers,
    ResponseEnded,
)
from nearcast.cache_status import parse_cache_status
from nearcast.media import ByteRange
from tests.edge_bench import MAX_AGE, SIZE, Bench, one

PRIVATE = (("cache-control", "private"),)


def test_equal_misses_share_one_fill() -> None:
    bench = Bench()
    started = bench.ask()
    for _ in range(4):
        assert bench.ask() == []
    served = [e for e in bench.head(started) if isinstance(e, ServeFill)]
    assert sorted(e.request_id for e in served) == [1, 2, 3, 4, 5]
    status = parse_cache_status(get_one(served[-1].headers, "cache-status") or "")[0]
    assert status.is_collapsed
    assert bench.core.status(0.0).collapsed_count == 4


def test_a_request_after_the_head_reads_the_fill_at_once() -> None:
    bench = Bench()
    started = bench.ask()
    bench.head(started)
    assert one(bench.ask(), ServeFill).fill_id == one(started, StartFill).fill_id


def test_a_range_on_a_miss_is_cut_from_the_growing_whole() -> None:
    bench = Bench()
    started = bench.ask("/a", (("range", "bytes=10-19"),))
    assert get_one(one(started, StartFill).headers, "range") is None
    served = one(bench.head(started), ServeFill)
    assert (served.status, served.byte_range) == (206, ByteRange(10, 19))
    assert get_one(served.headers, "content-length") == "10"
    assert one(bench.end(started), Commit).stored.size_bytes == SIZE


def test_without_a_known_size_a_range_gets_the_whole() -> None:
    bench = Bench()
    started = bench.ask("/a", (("range", "bytes=10-19"),))
    served = one(bench.head(started, size=None), ServeFill)
    assert (served.status, served.byte_range) == (200, None)
    assert get_one(served.headers, "content-length") is None


def test_a_range_far_ahead_of_a_fill_does_not_wait_for_it() -> None:
    bench = Bench(http=HttpConfig(range_wait_bytes_max=1000))
    started = bench.ask()
    bench.head(started, size=100_000)
    far = (("range", "bytes=50000-"),)
    assert far[0] in one(bench.ask("/a", far), StartFill).headers
    fill_id = one(started, StartFill).fill_id
    bench.feed(FillProgress(fill_id=fill_id, received_bytes=49_500))
    other = (("range", "bytes=50001-"),)
    assert one(bench.ask("/a", other), ServeFill).fill_id == fill_id


def test_a_condition_on_a_miss_is_judged_when_the_head_comes() -> None:
    bench = Bench()
    started = bench.ask("/a", (("if-none-match", '"v1"'),))
    assert get_one(one(started, StartFill).headers, "if-none-match") is None
    assert one(bench.head(started), ServeText).status == 304
    one(bench.end(started), Commit)


def test_of_an_answer_that_is_not_storable_only_the_first_waiter_gets_the_fill() -> None:
    bench = Bench()
    started = bench.ask()
    bench.ask()
    bench.ask()
    effects = bench.head(started, PRIVATE)
    assert one(effects, ServeFill).request_id == 1
    assert [e.request_id for e in effects if isinstance(e, PassThrough)] == [2, 3]
    one(bench.end(started), Discard)
    assert bench.hit() is None


def test_what_was_not_storable_is_passed_through_without_queueing_for_a_while() -> None:
    bench = Bench(http=HttpConfig(uncacheable_s=5.0))
    started = bench.ask()
    bench.head(started, PRIVATE)
    one(bench.ask(), PassThrough)
    bench.now_s = 6.0
    one(bench.ask(), StartFill)


def test_an_error_is_shared_by_all_who_wait_and_not_stored() -> None:
    bench = Bench()
    started = bench.ask()
    bench.ask()
    effects = bench.head(started, (), status=503)
    served = [e for e in effects if isinstance(e, ServeFill)]
    assert [e.status for e in served] == [503, 503]
    assert effects == [*served, StreamOnly(fill_id=1)]
    one(bench.end(started), Discard)


@pytest.mark.parametrize("cause", ["refused", "timeout", "broken", "integrity", "too_large"])
def test_a_failure_before_the_head_answers_everyone(cause: FailureCause) -> None:
    bench = Bench()
    started = bench.ask()
    bench.ask()
    failed = FillFailed(fill_id=one(started, StartFill).fill_id, cause=cause, detail="")
    answers = [e for e in bench.feed(failed) if isinstance(e, ServeText)]
    assert [e.request_id for e in answers] == [1, 2]


def test_a_failure_after_the_head_closes_the_connections() -> None:
    bench = Bench()
    started = bench.ask()
    bench.ask()
    bench.head(started)
    failed = FillFailed(fill_id=one(started, StartFill).fill_id, cause="broken", detail="")
    effects = bench.feed(failed)
    assert [e.request_id for e in effects if isinstance(e, AbortResponse)] == [1, 2]
    assert bench.hit() is None
    for request_id in (1, 2):
        assert bench.feed(ClientLeft(request_id=request_id, sent_bytes=10)) == []


def test_a_full_disk_lets_the_waiters_finish_and_stores_nothing() -> None:
    bench = Bench()
    started = bench.ask()
    bench.head(started)
    failed = FillFailed(fill_id=one(started, StartFill).fill_id, cause="disk", detail="full")
    assert bench.feed(failed) == [StreamOnly(fill_id=1)]
    one(bench.ask(), StartFill)
    one(bench.end(started), Discard)


def test_a_body_of_another_size_than_announced_is_not_stored() -> None:
    bench = Bench()
    started = bench.ask()
    bench.head(started, size=SIZE)
    effects = bench.end(started, size=SIZE - 1)
    one(effects, Discard)
    one(effects, AbortResponse)


@pytest.mark.parametrize(
    "headers", [(("content-length", "5"), ("content-length", "6")), (("content-length", "-1"),)]
)
def test_nonsense_about_the_size_is_502(headers: Headers) -> None:
    bench = Bench()
    started = bench.ask()
    effects = bench.head(started, headers, size=None)
    assert one(effects, ServeText).status == 502
    one(effects, CancelFill)


@pytest.mark.parametrize("status", [206, 304, 101])
def test_an_answer_to_another_question_is_502(status: int) -> None:
    bench = Bench()
    started = bench.ask()
    effects = bench.head(started, MAX_AGE, status=status, size=None)
    assert one(effects, ServeText).status == 502
    one(effects, CancelFill)


def test_an_object_over_the_limit_is_passed_on_but_not_stored() -> None:
    bench = Bench(object_bytes_max=500)
    started = bench.ask()
    one(bench.head(started), ServeFill)
    one(bench.end(started), Discard)
    started = bench.ask("/unknown-size")
    bench.head(started, size=None)
    fill_id = one(started, StartFill).fill_id
    bench.feed(FillProgress(fill_id=fill_id, received_bytes=501))
    one(bench.end(started, size=600), Discard)


def test_the_last_client_to_leave_early_cancels_the_fill() -> None:
    bench = Bench()
    started = bench.ask()
    bench.ask()
    bench.head(started)
    assert bench.feed(ClientLeft(request_id=1)) == []
    one(bench.feed(ClientLeft(request_id=2)), CancelFill)
    assert bench.end(started) == []


def test_a_fill_that_is_mostly_here_goes_on_without_clients() -> None:
    bench = Bench(http=HttpConfig(finish_share=0.5))
    started = bench.ask()
    bench.head(started)
    bench.feed(FillProgress(fill_id=one(started, StartFill).fill_id, received_bytes=600))
    assert bench.feed(ClientLeft(request_id=1, sent_bytes=600)) == []
    one(bench.end(started), Commit)


def test_a_client_that_leaves_while_waiting_is_not_answered() -> None:
    bench = Bench()
    started = bench.ask()
    bench.ask()
    bench.feed(ClientLeft(request_id=1))
    served = [e for e in bench.head(started) if isinstance(e, ServeFill)]
    assert [e.request_id for e in served] == [2]


def test_waiters_of_another_variant_are_fetched_for_on_their_own() -> None:
    bench = Bench(service=ServiceRules(request_headers_allow=("accept-language",)))
    started = bench.ask("/a", (("accept-language", "en"),))
    bench.ask("/a", (("accept-language", "de"),))
    effects = bench.head(started, (*MAX_AGE, ("vary", "accept-language")))
    assert one(effects, ServeFill).request_id == 1
    second = one(effects, StartFill)
    assert ("accept-language", "de") in second.headers
    again = bench.feed(
        FillHeaders(
            fill_id=second.fill_id, status=200, headers=(*MAX_AGE, ("vary", "accept-language"))
        )
    )
    assert one(again, ServeFill).request_id == 2


def test_more_fetches_than_allowed_are_refused() -> None:
    bench = Bench(http=HttpConfig(fills_max=2, passes_max=1))
    bench.ask("/1")
    bench.ask("/2")
    answer = one(bench.ask("/3"), ServeText)
    assert (answer.status, get_one(answer.headers, "retry-after")) == (503, "1")
    one(bench.ask("/4", method="POST"), PassThrough)
    passed_id = bench.last_id
    assert one(bench.ask("/5", method="POST"), ServeText).status == 503
    bench.feed(ResponseEnded(request_id=passed_id, sent_bytes=5))
    one(bench.ask("/6", method="POST"), PassThrough)


def test_more_waiters_than_allowed_are_passed_through() -> None:
    bench = Bench(http=HttpConfig(waiters_max=2))
    bench.ask()
    assert bench.ask() == []
    one(bench.ask(), PassThrough)


def test_a_fill_that_ends_without_a_head_is_an_error() -> None:
    bench = Bench()
    started = bench.ask()
    effects = bench.feed(FillEnded(fill_id=one(started, StartFill).fill_id, size_bytes=0, crc32c=0))
    assert one(effects, ServeText).status == 502
    one(effects, Discard)


def test_events_of_a_fill_that_is_not_open_do_nothing() -> None:
    bench = Bench()
    for event in (
        FillHeaders(fill_id=9, status=200, headers=MAX_AGE),
        FillProgress(fill_id=9, received_bytes=5),
        FillEnded(fill_id=9, size_bytes=5, crc32c=0),
        FillFailed(fill_id=9, cause="broken", detail=""),
    ):
        assert bench.feed(event) == []
    assert bench.core.status(0.0).origin_bytes == 0


def test_bytes_are_counted_where_they_came_from() -> None:
    bench = Bench()
    started = bench.ask()
    bench.head(started)
    bench.feed(FillProgress(fill_id=1, received_bytes=400))
    bench.end(started)
    bench.feed(ResponseEnded(request_id=1, sent_bytes=SIZE))
    bench.ask("/p", method="POST")
    bench.feed(ResponseEnded(request_id=2, sent_bytes=30))
    status = bench.core.status(0.0)
    assert status.demand_fill_bytes == SIZE
    assert status.pass_bytes == 30
    assert status.origin_bytes == SIZE + 30
    assert status.client_bytes == SIZE + 30
    assert status.byte_hit_ratio == 0.0


def test_word_before_the_answer_goes_to_everyone_who_waits() -> None:
    bench = Bench()
    started = bench.ask()
    bench.ask()
    fill_id = one(started, StartFill).fill_id
    hint = FillInterim(fill_id=fill_id, status=103, headers=(("link", "</a>"),))
    effects = bench.feed(hint)
    assert [type(effect) for effect in effects] == [ServeInterim, ServeInterim]
    bench.head(started)
    assert bench.feed(hint) == []
