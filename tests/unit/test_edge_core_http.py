"""Plain hits, misses, revalidation and errors of the edge's core."""

from __future__ import annotations

import pytest

from cache.http.dates import format_date
from cache.http.headers import get_one
from edge.config import EdgeConfig, HttpConfig, ServiceRules
from edge.core import EdgeCore
from edge.effects import (
    Commit,
    Discard,
    DropObject,
    PassThrough,
    ServeFill,
    ServeObject,
    ServeText,
    StartFill,
    UpdateStored,
)
from edge.events import FillFailed, Headers, Hit, HitsServed, ObjectLost, PassAnswered, Restored
from nearcast.cache_status import CacheStatus, parse_cache_status
from nearcast.errors import ConfigError
from nearcast.media import ByteRange
from nearcast.record import NullRecorder
from tests.edge_bench import EPOCH_S, MAX_AGE, SIZE, Bench, one


def status_of(answer: ServeObject | ServeFill | ServeText) -> CacheStatus:
    text = get_one(answer.headers, "cache-status")
    assert text is not None
    return parse_cache_status(text)[-1]


@pytest.mark.parametrize(
    ("headers", "is_kept"),
    [
        ((("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),), True),
        ((("etag", '"a"'),), True),
        ((), False),
    ],
)
def test_what_says_no_lifetime_is_kept_only_if_it_could_be_confirmed(
    headers: Headers, is_kept: bool
) -> None:
    bench = Bench()
    started = bench.ask("/a")
    bench.head(started, headers=headers)
    ended = bench.end(started)
    assert any(isinstance(effect, Commit) for effect in ended) == is_kept
    assert (bench.hit("/a") is not None) == is_kept


def test_a_miss_is_fetched_once_stored_and_then_hit() -> None:
    bench = Bench()
    started = bench.ask("/a?x=1&CMCD=bl%3D2000")
    fill = one(started, StartFill)
    assert fill.url == "http://origin:8000/base/a?x=1"
    assert fill.priority == "demand"
    served = one(bench.head(started), ServeFill)
    assert status_of(served).fwd == "uri-miss"
    assert status_of(served).is_stored
    assert get_one(served.headers, "content-length") == str(SIZE)
    commit = one(bench.end(started), Commit)
    assert commit.stored.size_bytes == SIZE
    bench.now_s = 10.0
    hit = bench.hit("/a?x=1")
    assert hit is not None
    assert (hit.object_id, hit.status, hit.byte_range) == (commit.stored.object_id, 200, None)
    assert status_of(hit).is_hit
    assert status_of(hit).ttl_s == 50
    assert get_one(hit.headers, "age") == "10"


def test_an_answer_without_a_date_gets_that_of_its_arrival() -> None:
    bench = Bench()
    bench.now_s = 5.0
    stored = bench.store().stored
    assert get_one(stored.headers, "date") == format_date(EPOCH_S + 5)
    dated = (*MAX_AGE, ("date", format_date(EPOCH_S)))
    assert get_one(bench.store("/b", dated).stored.headers, "date") == format_date(EPOCH_S)


def test_a_hit_through_the_events_is_served_too() -> None:
    bench = Bench()
    bench.store()
    assert status_of(one(bench.ask(), ServeObject)).is_hit


def test_looking_for_a_hit_changes_nothing() -> None:
    bench = Bench()
    bench.store()
    before = bench.core.status(0.0)
    assert bench.hit("/a") is not None
    assert bench.hit("/b") is None
    assert bench.core.drain() == []
    assert bench.core.status(0.0) == before


@pytest.mark.parametrize(
    ("headers", "status", "byte_range", "send_body"),
    [
        ((("range", "bytes=100-199"),), 206, ByteRange(100, 199), True),
        ((("range", "bytes=-10"),), 206, ByteRange(990, 999), True),
        ((("if-none-match", '"v1"'),), 304, None, False),
        ((("range", "bytes=0-1,5-6"),), 200, None, True),
    ],
)
def test_a_hit_answers_ranges_and_conditions(
    headers: Headers, status: int, byte_range: ByteRange | None, send_body: bool
) -> None:
    bench = Bench()
    bench.store()
    hit = bench.hit("/a", headers)
    assert hit is not None
    assert (hit.status, hit.byte_range, hit.send_body) == (status, byte_range, send_body)
    if byte_range is not None:
        assert get_one(hit.headers, "content-length") == str(byte_range.size_bytes)
        assert get_one(hit.headers, "content-range") == (
            f"bytes {byte_range.first}-{byte_range.last}/{SIZE}"
        )


def test_a_range_past_the_end_is_416_with_the_size() -> None:
    bench = Bench()
    bench.store()
    assert bench.hit("/a", (("range", "bytes=5000-"),)) is None
    answer = one(bench.ask("/a", (("range", "bytes=5000-"),)), ServeText)
    assert answer.status == 416
    assert get_one(answer.headers, "content-range") == f"bytes */{SIZE}"


def test_head_of_a_stored_object_tells_its_size_and_sends_nothing() -> None:
    bench = Bench()
    bench.store()
    hit = bench.hit("/a", method="HEAD")
    assert hit is not None
    assert not hit.send_body
    assert get_one(hit.headers, "content-length") == str(SIZE)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("HEAD", ()),
        ("POST", ()),
        ("OPTIONS", ()),
        ("GET", (("authorization", "Basic x"),)),
        ("GET", (("cookie", "a=b"),)),
        ("GET", (("cache-control", "no-store"),)),
    ],
)
def test_what_the_cache_must_not_answer_is_passed_through(method: str, headers: Headers) -> None:
    bench = Bench()
    passed = one(bench.ask("/a", (*headers, ("host", "edge")), method), PassThrough)
    assert (passed.method, passed.url) == (method, "http://origin:8000/base/a")
    assert get_one(passed.headers, "host") is None
    assert headers[0] in passed.headers if headers else True


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "http://elsewhere/a", 400),
        ("GET", "a", 400),
        ("GET", "*", 400),
        ("GET", "/a/../b", 400),
        ("GET", "/a/%2e%2E/b", 400),
        ("GET", "/a/..%2fb", 400),
        ("GET", "/a\\..\\b", 400),
        ("GET", "/a b", 400),
        ("GET", "/a%00", 400),
        ("GET", "/a%0d%0aX: y", 400),
        ("GET", "/" + "x" * 9000, 414),
        ("TRACE", "/a", 405),
        ("CONNECT", "elsewhere:443", 405),
    ],
)
def test_bad_targets_and_methods_are_refused(method: str, target: str, status: int) -> None:
    bench = Bench()
    assert bench.hit(target, method=method) is None
    assert one(bench.ask(target, (("host", "edge:80"),), method), ServeText).status == status


def test_an_absolute_target_of_this_host_is_its_path() -> None:
    bench = Bench()
    started = bench.ask("http://Edge:80/a", (("host", "edge:80"),))
    assert one(started, StartFill).url == "http://origin:8000/base/a"


def test_an_unsafe_method_invalidates_what_is_stored() -> None:
    bench = Bench()
    commit = bench.store()
    passed = one(bench.ask("/a", method="DELETE"), PassThrough)
    assert bench.hit("/a") is not None
    effects = bench.feed(PassAnswered(passed=passed, status=204))
    assert one(effects, DropObject).object_id == commit.stored.object_id
    assert bench.hit("/a") is None


def test_a_fill_during_a_write_is_not_stored() -> None:
    bench = Bench()
    started = bench.ask()
    bench.ask("/a", method="POST")
    bench.head(started)
    one(bench.end(started), Discard)
    assert bench.hit("/a") is None


def test_a_stale_object_is_confirmed_by_304_and_served_from_the_store() -> None:
    bench = Bench()
    commit = bench.store()
    bench.now_s = 100.0
    assert bench.hit("/a") is None
    started = bench.ask("/a")
    assert ("if-none-match", '"v1"') in one(started, StartFill).headers
    effects = bench.head(started, (("cache-control", "max-age=30"),), status=304, size=None)
    assert one(effects, UpdateStored).stored.object_id == commit.stored.object_id
    served = one(effects, ServeObject)
    assert (status_of(served).fwd, status_of(served).fwd_status) == ("stale", 304)
    one(bench.end(started, size=0), Discard)
    hit = bench.hit("/a")
    assert hit is not None
    assert status_of(hit).ttl_s == 30


def test_a_304_about_another_object_is_asked_again_without_conditions() -> None:
    bench = Bench()
    bench.store()
    bench.now_s = 100.0
    started = bench.ask("/a")
    again = bench.head(started, (("etag", '"v2"'),), status=304, size=None)
    assert get_one(one(again, StartFill).headers, "if-none-match") is None
    one(bench.head(again), ServeFill)
    one(bench.end(again), Commit)


def test_a_changed_object_replaces_the_stale_one() -> None:
    bench = Bench()
    old = bench.store()
    bench.now_s = 100.0
    started = bench.ask("/a")
    bench.head(started, (("cache-control", "max-age=60"), ("etag", '"v2"')), size=5)
    effects = bench.end(started, size=5)
    assert one(effects, DropObject).object_id == old.stored.object_id
    assert one(effects, Commit).stored.size_bytes == 5
    assert bench.core.status(100.0).object_bytes == 5


@pytest.mark.parametrize("failure", ["503", "timeout", "refused"])
def test_a_stale_object_stands_in_for_a_failing_upstream(failure: str) -> None:
    bench = Bench()
    bench.store()
    bench.now_s = 100.0
    started = bench.ask("/a")
    if failure == "503":
        effects = bench.head(started, (), status=503)
    else:
        fill_id = one(started, StartFill).fill_id
        effects = bench.feed(FillFailed(fill_id=fill_id, cause=failure, detail=""))  # type: ignore[arg-type]
    served = one(effects, ServeObject)
    assert served.status == 200
    assert status_of(served).fwd == "stale"
    assert int(get_one(served.headers, "age") or 0) == 100
    assert bench.core.status(100.0).stale_served == 1


def test_must_revalidate_forbids_standing_in() -> None:
    bench = Bench()
    bench.store(headers=(("cache-control", "max-age=60, must-revalidate"), ("etag", '"v"')))
    bench.now_s = 100.0
    started = bench.ask("/a")
    fill_id = one(started, StartFill).fill_id
    answer = one(bench.feed(FillFailed(fill_id=fill_id, cause="timeout", detail="")), ServeText)
    assert answer.status == 504


@pytest.mark.parametrize(("cause", "status"), [("refused", 502), ("broken", 502), ("timeout", 504)])
def test_a_failing_upstream_with_nothing_stored_is_an_error_at_once(
    cause: str, status: int
) -> None:
    bench = Bench()
    fill_id = one(bench.ask(), StartFill).fill_id
    effects = bench.feed(FillFailed(fill_id=fill_id, cause=cause, detail="x"))  # type: ignore[arg-type]
    answer = one(effects, ServeText)
    assert answer.status == status
    assert get_one(answer.headers, "retry-after") is not None


def test_only_if_cached_never_goes_upstream() -> None:
    bench = Bench()
    answer = one(bench.ask("/a", (("cache-control", "only-if-cached"),)), ServeText)
    assert answer.status == 504


def test_stale_while_revalidate_serves_at_once_and_renews_behind() -> None:
    bench = Bench()
    bench.store(
        headers=(("cache-control", "max-age=5, stale-while-revalidate=60"), ("etag", '"v"'))
    )
    bench.now_s = 20.0
    effects = bench.ask("/a")
    assert status_of(one(effects, ServeObject)).fwd == "stale"
    fill = one(effects, StartFill)
    assert get_one(fill.headers, "if-none-match") == '"v"'
    assert [e for e in bench.ask("/a") if isinstance(e, StartFill)] == []
    assert bench.core.status(20.0).stale_served == 2


def test_a_client_can_ask_for_a_check() -> None:
    bench = Bench()
    bench.store()
    started = bench.ask("/a", (("cache-control", "no-cache"),))
    served = one(bench.head(started, (), status=304, size=None), ServeObject)
    assert status_of(served).fwd == "request"


def test_a_404_is_kept_for_a_moment_and_a_403_never() -> None:
    bench = Bench(http=HttpConfig(negative_ttl_s=2.0))
    started = bench.ask("/gone")
    bench.head(started, (), status=404, size=9)
    one(bench.end(started, size=9), Commit)
    hit = bench.hit("/gone")
    assert hit is not None
    assert hit.status == 404
    bench.now_s = 3.0
    assert bench.hit("/gone") is None
    started = bench.ask("/no")
    bench.head(started, MAX_AGE, status=403, size=9)
    one(bench.end(started, size=9), Discard)


def test_a_hit_counts_as_use_when_it_is_reported() -> None:
    bench = Bench()
    commit = bench.store()
    hit = Hit(
        at_s=1.0,
        target="/a",
        headers=(),
        client="c",
        object_id=commit.stored.object_id,
        sent_bytes=SIZE,
    )
    bench.now_s = 2.0
    bench.feed(HitsServed(hits=(hit, hit)))
    status = bench.core.status(2.0)
    assert status.resident_bytes_sent == 2 * SIZE
    assert status.client_bytes == 3 * SIZE
    assert status.byte_hit_ratio == pytest.approx(2 / 3)
    assert status.origin_bytes == SIZE


def test_what_the_store_held_is_served_after_a_restart() -> None:
    stored = Bench().store().stored
    bench = Bench()
    bench.feed(Restored(objects=(stored,)))
    hit = bench.hit("/a")
    assert hit is not None
    assert hit.object_id == stored.object_id


def test_a_lost_object_is_not_served_again() -> None:
    bench = Bench()
    stored = bench.store().stored
    assert one(bench.feed(ObjectLost(object_id=stored.object_id, detail="gone")), DropObject)
    assert bench.hit("/a") is None
    assert bench.core.status(0.0).object_bytes == 0


def test_variants_are_told_apart_by_vary() -> None:
    bench = Bench(service=ServiceRules(request_headers_allow=("accept-language",)))
    english, german = (("accept-language", "en"),), (("accept-language", "de"),)
    headers = (*MAX_AGE, ("vary", "Accept-Language"))
    for language in (english, german):
        started = bench.ask("/a", language)
        bench.head(started, headers)
        bench.end(started)
    one_id, other_id = bench.hit("/a", english), bench.hit("/a", german)
    assert one_id is not None
    assert other_id is not None
    assert one_id.object_id != other_id.object_id
    assert bench.hit("/a", (("accept-language", "fr"),)) is None


def test_an_answer_that_varies_by_what_is_not_forwarded_is_passed_through() -> None:
    bench = Bench()
    headers = (*MAX_AGE, ("vary", "X-Device"))
    started = bench.ask("/a", (("x-device", "tv"),))
    one(bench.head(started, headers), PassThrough)
    bench.end(started)
    one(bench.ask("/a", (("x-device", "tv"),)), PassThrough)
    assert bench.hit("/a") is not None


def test_an_edge_without_upstream_says_so() -> None:
    with pytest.raises(ConfigError, match="upstream"):
        EdgeCore.from_config(EdgeConfig(), epoch_s=0.0, recorder=NullRecorder())
