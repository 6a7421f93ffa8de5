"""Ranges far into an object: fetched as parts, kept as parts, served from parts."""

from __future__ import annotations

import pytest

from cache.http.headers import get_one
from edge.config import HttpConfig
from edge.effects import (
    CancelFill,
    Commit,
    CutFill,
    Discard,
    DropObject,
    Effect,
    Held,
    PassThrough,
    ServeFill,
    ServeObject,
    StartFill,
    StoredObject,
    UpdateStored,
)
from edge.events import (
    ClientLeft,
    FillEnded,
    FillFailed,
    FillProgress,
    Headers,
    ObjectLost,
    PassAnswered,
    Restored,
)
from nearcast.media import ByteRange
from tests.edge_bench import MAX_AGE, Bench, one

WHOLE = 100_000


def ranged(text: str, *more: tuple[str, str]) -> Headers:
    return (("range", text), *more)


def bench_with_near(**settings: object) -> Bench:
    return Bench(http=HttpConfig(range_wait_bytes_max=1000, **settings))  # type: ignore[arg-type]


def head_of_part(
    bench: Bench, started: list[Effect], first: int, last: int, headers: Headers = MAX_AGE
) -> list[Effect]:
    part = (("content-range", f"bytes {first}-{last}/{WHOLE}"),)
    return bench.head(started, headers + part, status=206, size=last - first + 1)


def store_part(
    bench: Bench, first: int = 50_000, last: int = 59_999, headers: Headers = MAX_AGE
) -> StoredObject:
    started = bench.ask("/a", ranged(f"bytes={first}-{last}"))
    head_of_part(bench, started, first, last, headers)
    return one(bench.end(started, size=last - first + 1), Commit).stored


def test_a_far_range_is_fetched_as_it_is_asked_for_and_kept() -> None:
    bench = bench_with_near()
    started = bench.ask("/a", ranged("bytes=50000-59999"))
    assert get_one(one(started, StartFill).headers, "range") == "bytes=50000-59999"
    served = one(head_of_part(bench, started, 50_000, 59_999), ServeFill)
    assert (served.status, served.byte_range) == (206, ByteRange(0, 9_999))
    assert get_one(served.headers, "content-range") == f"bytes 50000-59999/{WHOLE}"
    assert get_one(served.headers, "content-length") == "10000"
    stored = one(bench.end(started, size=10_000), Commit).stored
    assert (stored.part_first, stored.part_of_bytes, stored.size_bytes) == (50_000, WHOLE, 10_000)
    assert get_one(stored.headers, "content-range") is None


@pytest.mark.parametrize(
    ("text", "byte_range", "content_range"),
    [
        ("bytes=50000-59999", ByteRange(0, 9_999), f"bytes 50000-59999/{WHOLE}"),
        ("bytes=50010-50019", ByteRange(10, 19), f"bytes 50010-50019/{WHOLE}"),
        ("bytes=50000-50000,50001-50009", ByteRange(0, 9), f"bytes 50000-50009/{WHOLE}"),
    ],
)
def test_ranges_inside_a_part_are_hits(
    text: str, byte_range: ByteRange, content_range: str
) -> None:
    bench = bench_with_near()
    stored = store_part(bench)
    hit = bench.hit("/a", ranged(text))
    assert hit is not None
    assert (hit.object_id, hit.status, hit.byte_range) == (stored.object_id, 206, byte_range)
    assert get_one(hit.headers, "content-range") == content_range


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ranged("bytes=49999-50009"),
        ranged("bytes=59990-60000"),
        ranged("bytes=50000-"),
        ranged("bytes=-10"),
        ranged("bytes=50000-50009", ("if-range", '"v2"')),
        ranged("bytes=50000-50009", ("if-range", 'W/"v1"')),
    ],
)
def test_what_a_part_does_not_hold_is_no_hit(headers: Headers) -> None:
    bench = bench_with_near()
    store_part(bench)
    assert bench.hit("/a", headers) is None


def test_a_part_answers_conditions_and_the_right_if_range() -> None:
    bench = bench_with_near()
    store_part(bench)
    hit = bench.hit("/a", ranged("bytes=50000-50009", ("if-none-match", '"v1"')))
    assert hit is not None
    assert hit.status == 304
    hit = bench.hit("/a", ranged("bytes=50000-50009", ("if-range", '"v1"')))
    assert hit is not None
    assert hit.status == 206
    assert bench.hit("/a", ranged("bytes=50000-50009"), method="HEAD") is None


def test_a_part_at_the_end_serves_suffixes() -> None:
    bench = bench_with_near()
    store_part(bench, 90_000, 99_999)
    hit = bench.hit("/a", ranged("bytes=-10"))
    assert hit is not None
    assert hit.byte_range == ByteRange(9_990, 9_999)


def test_equal_far_ranges_share_one_fetch() -> None:
    bench = bench_with_near()
    started = bench.ask("/a", ranged("bytes=50000-59999"))
    assert bench.ask("/a", ranged("bytes=50000-59999")) == []
    one(bench.ask("/a", ranged("bytes=70000-79999")), StartFill)
    effects = head_of_part(bench, started, 50_000, 59_999)
    assert len([effect for effect in effects if isinstance(effect, ServeFill)]) == 2
    inside = one(bench.ask("/a", ranged("bytes=50100-50199")), ServeFill)
    assert inside.byte_range == ByteRange(100, 199)


def test_a_near_request_does_not_wait_for_a_part() -> None:
    bench = bench_with_near()
    bench.ask("/a", ranged("bytes=50000-59999"))
    assert get_one(one(bench.ask("/a"), StartFill).headers, "range") is None


def test_a_stale_part_is_confirmed_with_its_range() -> None:
    bench = bench_with_near()
    stored = store_part(bench)
    bench.now_s = 100.0
    started = bench.ask("/a", ranged("bytes=50000-50009"))
    headers = one(started, StartFill).headers
    assert get_one(headers, "if-none-match") == '"v1"'
    assert get_one(headers, "range") == "bytes=50000-50009"
    effects = bench.head(started, (("cache-control", "max-age=9"),), status=304, size=None)
    renewed = one(effects, UpdateStored).stored
    assert (renewed.part_first, renewed.part_of_bytes) == (50_000, WHOLE)
    assert one(effects, ServeObject).object_id == stored.object_id


def test_a_304_for_one_part_renews_those_of_the_same_version() -> None:
    bench = bench_with_near()
    store_part(bench, 50_000, 59_999)
    store_part(bench, 70_000, 79_999)
    bench.now_s = 100.0
    started = bench.ask("/a", ranged("bytes=50000-50009"))
    effects = bench.head(started, (("cache-control", "max-age=9"),), status=304, size=None)
    assert len([effect for effect in effects if isinstance(effect, UpdateStored)]) == 2
    assert bench.hit("/a", ranged("bytes=70000-70009")) is not None


def test_a_stale_part_stands_in_for_a_failing_upstream() -> None:
    bench = bench_with_near()
    store_part(bench)
    bench.now_s = 100.0
    started = bench.ask("/a", ranged("bytes=50000-50009"))
    fill_id = one(started, StartFill).fill_id
    effects = bench.feed(FillFailed(fill_id=fill_id, cause="timeout", detail=""))
    assert one(effects, ServeObject).byte_range == ByteRange(0, 9)


def test_a_part_of_another_version_ends_the_older_parts() -> None:
    bench = bench_with_near()
    old = store_part(bench)
    started = bench.ask("/a", ranged("bytes=70000-79999"))
    head_of_part(bench, started, 70_000, 79_999, (("cache-control", "max-age=60"), ("etag", '"2"')))
    effects = bench.end(started, size=10_000)
    assert one(effects, DropObject).object_id == old.object_id


def test_parts_of_one_version_live_side_by_side_until_the_whole_is_here() -> None:
    bench = bench_with_near()
    store_part(bench, 50_000, 59_999)
    store_part(bench, 60_000, 69_999)
    started = bench.ask("/a")
    bench.head(started, size=WHOLE)
    effects = bench.end(started, size=WHOLE)
    assert len([effect for effect in effects if isinstance(effect, DropObject)]) == 2
    assert one(effects, Commit).stored.part_of_bytes is None
    assert bench.core.status(0.0).object_bytes == WHOLE


def test_overlapping_parts_never_hold_more_than_the_whole() -> None:
    bench = bench_with_near()
    for first in range(20_000, 60_000, 1_000):
        store_part(bench, first, first + 39_999)
        assert bench.core.status(0.0).object_bytes <= WHOLE
    assert bench.hit("/a", ranged("bytes=59000-59009")) is not None


def test_a_write_ends_the_parts_too() -> None:
    bench = bench_with_near()
    store_part(bench)
    passed = one(bench.ask(method="PUT"), PassThrough)
    one(bench.feed(PassAnswered(passed=passed, status=200)), DropObject)


def test_parts_come_back_after_a_restart() -> None:
    first = bench_with_near()
    stored = (store_part(first, 50_000, 59_999), store_part(first, 70_000, 79_999))
    bench = bench_with_near()
    bench.feed(Restored(objects=stored))
    assert bench.hit("/a", ranged("bytes=50000-50009")) is not None
    assert bench.hit("/a", ranged("bytes=70000-70009")) is not None


def test_an_upstream_that_knows_no_ranges_fills_the_whole() -> None:
    bench = bench_with_near()
    started = bench.ask("/a", ranged("bytes=50000-59999"))
    served = one(bench.head(started, size=WHOLE), ServeFill)
    assert served.byte_range == ByteRange(50_000, 59_999)
    assert one(bench.end(started, size=WHOLE), Commit).stored.part_of_bytes is None


@pytest.mark.parametrize(
    "content_range", ["bytes 50000-59999/*", "bytes */100000", "bytes 50000-59998/100000", "x"]
)
def test_a_206_that_cannot_be_trusted_is_for_its_client_alone(content_range: str) -> None:
    bench = bench_with_near()
    started = bench.ask("/a", ranged("bytes=50000-59999"))
    bench.ask("/a", ranged("bytes=50000-59999"))
    head = (*MAX_AGE, ("content-range", content_range))
    effects = bench.head(started, head, status=206, size=10_000)
    served = one(effects, ServeFill)
    assert (served.request_id, served.status, served.byte_range) == (1, 206, None)
    assert get_one(served.headers, "content-range") == content_range
    assert one(effects, PassThrough).request_id == 2
    one(bench.end(started, size=10_000), Discard)


def test_another_part_than_was_asked_for_is_passed_on_as_it_is_and_kept_as_what_it_is() -> None:
    bench = bench_with_near()
    started = bench.ask("/a", ranged("bytes=50000-59999"))
    served = one(head_of_part(bench, started, 50_000, 50_999), ServeFill)
    assert (served.status, served.byte_range) == (206, None)
    assert get_one(served.headers, "content-range") == f"bytes 50000-50999/{WHOLE}"
    assert get_one(served.headers, "content-length") == "1000"
    one(bench.end(started, size=1000), Commit)
    assert bench.hit("/a", ranged("bytes=50000-50999")) is not None


def test_a_part_of_a_newer_version_is_not_for_who_has_an_older_one() -> None:
    bench = bench_with_near()
    started = bench.ask("/a", ranged("bytes=50000-59999", ("if-range", '"old"')))
    effects = head_of_part(bench, started, 50_000, 59_999)
    assert ("if-range", '"old"') in one(effects, PassThrough).headers


def test_a_part_that_must_not_be_stored_is_only_streamed() -> None:
    bench = bench_with_near()
    started = bench.ask("/a", ranged("bytes=50000-59999"))
    one(head_of_part(bench, started, 50_000, 59_999, (("cache-control", "no-store"),)), ServeFill)
    one(bench.end(started, size=10_000), Discard)


def test_a_range_past_the_end_is_answered_as_upstream_says() -> None:
    bench = bench_with_near()
    started = bench.ask("/a", ranged("bytes=500000-"))
    effects = bench.head(started, (("content-range", f"bytes */{WHOLE}"),), status=416, size=9)
    served = one(effects, ServeFill)
    assert served.status == 416
    assert get_one(served.headers, "content-range") == f"bytes */{WHOLE}"
    assert get_one(served.headers, "content-length") == "9"
    one(bench.ask("/a"), StartFill)


# -- beginnings: what a client that left has brought, and what goes on from there

REST = (("content-range", f"bytes 40000-99999/{WHOLE}"), ("etag", '"v1"'), ("x-new", "1"))


def store_beginning(bench: Bench, headers: Headers = MAX_AGE) -> list[Effect]:
    """A client leaves when 40,000 bytes are here."""
    started = bench.ask("/a")
    request_id = bench.last_id
    fill_id = one(started, StartFill).fill_id
    bench.head(started, headers, size=WHOLE)
    bench.feed(FillProgress(fill_id=fill_id, received_bytes=40_000))
    effects = bench.feed(ClientLeft(request_id=request_id, sent_bytes=1))
    if any(isinstance(effect, CutFill) for effect in effects):
        effects = bench.feed(FillEnded(fill_id=fill_id, size_bytes=40_000, crc32c=1, is_cut=True))
    return effects


def test_what_a_client_that_left_has_brought_is_kept_as_the_beginning() -> None:
    bench = bench_with_near(keep_cut_bytes_min=10_000)
    stored = one(store_beginning(bench), Commit).stored
    assert (stored.status, stored.part_first, stored.size_bytes) == (206, 0, 40_000)
    assert stored.part_of_bytes == WHOLE
    hit = bench.hit("/a", ranged("bytes=100-199"))
    assert hit is not None
    assert hit.byte_range == ByteRange(100, 199)
    assert bench.hit("/a") is None


@pytest.mark.parametrize(
    ("headers", "bytes_min"),
    [
        ((("cache-control", "max-age=60"), ("etag", 'W/"v1"')), 10_000),
        ((("cache-control", "max-age=60"),), 10_000),
        ((("cache-control", "no-store"), ("etag", '"v1"')), 10_000),
        (MAX_AGE, 50_000),
    ],
)
def test_a_beginning_that_is_of_no_use_is_let_go(headers: Headers, bytes_min: int) -> None:
    bench = bench_with_near(keep_cut_bytes_min=bytes_min)
    one(store_beginning(bench, headers), CancelFill)
    assert bench.core.status(0.0).object_bytes == 0


def test_nobody_joins_a_fill_that_is_being_cut_and_its_end_is_taken_as_it_comes() -> None:
    bench = bench_with_near(keep_cut_bytes_min=10_000)
    started = bench.ask("/a")
    fill_id = one(started, StartFill).fill_id
    bench.head(started, size=WHOLE)
    bench.feed(FillProgress(fill_id=fill_id, received_bytes=40_000))
    one(bench.feed(ClientLeft(request_id=bench.last_id)), CutFill)
    again = one(bench.ask("/a"), StartFill)
    assert again.continues is None
    effects = bench.feed(FillEnded(fill_id=fill_id, size_bytes=WHOLE, crc32c=1))
    assert one(effects, Commit).stored.part_of_bytes is None


def test_who_wants_the_whole_gets_the_beginning_and_the_rest_fetched_alone() -> None:
    bench = bench_with_near(keep_cut_bytes_min=10_000)
    held = one(store_beginning(bench), Commit).stored
    bench.now_s = 100.0  # the beginning is stale: If-Range asks whether it still holds
    started = bench.ask("/a")
    fill = one(started, StartFill)
    assert get_one(fill.headers, "range") == "bytes=40000-"
    assert get_one(fill.headers, "if-range") == '"v1"'
    assert fill.continues == Held(
        object_id=held.object_id, size_bytes=40_000, of_bytes=WHOLE, headers=held.headers
    )
    origin_bytes = bench.core.status(100.0).origin_bytes
    served = one(bench.head(started, REST, status=206, size=60_000), ServeFill)
    assert (served.status, served.byte_range) == (200, None)
    assert get_one(served.headers, "content-length") == str(WHOLE)
    assert get_one(served.headers, "content-range") is None
    assert get_one(served.headers, "x-new") == "1"
    effects = bench.end(started, size=WHOLE)
    assert one(effects, DropObject).object_id == held.object_id
    stored = one(effects, Commit).stored
    assert (stored.status, stored.part_of_bytes, stored.size_bytes) == (200, None, WHOLE)
    assert bench.core.status(100.0).origin_bytes == origin_bytes + 60_000


def test_a_changed_object_comes_whole_and_replaces_the_beginning() -> None:
    bench = bench_with_near(keep_cut_bytes_min=10_000)
    held = one(store_beginning(bench), Commit).stored
    started = bench.ask("/a")
    changed = (("cache-control", "max-age=60"), ("etag", '"v2"'))
    assert one(bench.head(started, changed, size=WHOLE), ServeFill).status == 200
    effects = bench.end(started, size=WHOLE)
    assert one(effects, DropObject).object_id == held.object_id


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (206, (("content-range", f"bytes 40000-99999/{WHOLE}"), ("etag", '"v2"'))),
        (206, (("content-range", f"bytes 40000-99999/{WHOLE}"),)),
        (206, (("content-range", f"bytes 40001-99999/{WHOLE}"), ("etag", '"v1"'))),
        (206, (("content-range", "bytes 40000-99999/100001"), ("etag", '"v1"'))),
        (416, (("content-range", "bytes */30000"),)),
        (412, ()),
    ],
)
def test_a_rest_that_does_not_fit_is_thrown_away_with_the_beginning(
    status: int, headers: Headers
) -> None:
    bench = bench_with_near(keep_cut_bytes_min=10_000)
    held = one(store_beginning(bench), Commit).stored
    effects = bench.head(bench.ask("/a"), headers, status=status, size=None)
    assert one(effects, DropObject).object_id == held.object_id
    again = one(effects, StartFill)
    assert again.continues is None
    assert get_one(again.headers, "range") is None
    assert one(bench.head(effects, size=WHOLE), ServeFill).request_id == bench.last_id


def test_a_beginning_that_has_gone_meanwhile_is_fetched_with_the_rest() -> None:
    bench = bench_with_near(keep_cut_bytes_min=10_000)
    held = one(store_beginning(bench), Commit).stored
    started = bench.ask("/a")
    bench.feed(ObjectLost(object_id=held.object_id, detail="bit rot"))
    effects = bench.head(started, REST, status=206, size=60_000)
    again = one(effects, StartFill)
    assert (again.continues, get_one(again.headers, "range")) == (None, None)


def test_a_client_that_leaves_before_the_rest_comes_leaves_the_beginning_as_it_was() -> None:
    bench = bench_with_near(keep_cut_bytes_min=10_000)
    store_beginning(bench)
    started = bench.ask("/a")
    bench.head(started, REST, status=206, size=60_000)
    one(bench.feed(ClientLeft(request_id=bench.last_id)), CancelFill)
    assert bench.hit("/a", ranged("bytes=100-199")) is not None


def test_a_client_that_leaves_in_the_rest_leaves_a_longer_beginning() -> None:
    bench = bench_with_near(keep_cut_bytes_min=10_000, finish_share=1.0)
    held = one(store_beginning(bench), Commit).stored
    started = bench.ask("/a")
    fill_id = one(started, StartFill).fill_id
    bench.head(started, REST, status=206, size=60_000)
    bench.feed(FillProgress(fill_id=fill_id, received_bytes=50_000))
    one(bench.feed(ClientLeft(request_id=bench.last_id)), CutFill)
    effects = bench.feed(FillEnded(fill_id=fill_id, size_bytes=50_000, crc32c=1, is_cut=True))
    assert one(effects, DropObject).object_id == held.object_id
    assert one(effects, Commit).stored.size_bytes == 50_000


def test_a_part_that_nobody_waits_for_is_cut_too() -> None:
    bench = bench_with_near(keep_cut_bytes_min=1000)
    started = bench.ask("/a", ranged("bytes=50000-"))
    fill_id = one(started, StartFill).fill_id
    head_of_part(bench, started, 50_000, 99_999)
    bench.feed(FillProgress(fill_id=fill_id, received_bytes=2000))
    one(bench.feed(ClientLeft(request_id=bench.last_id)), CutFill)
    effects = bench.feed(FillEnded(fill_id=fill_id, size_bytes=2500, crc32c=1, is_cut=True))
    stored = one(effects, Commit).stored
    assert (stored.part_first, stored.size_bytes) == (50_000, 2500)
    assert bench.hit("/a", ranged("bytes=52000-52499")) is not None
    assert bench.hit("/a", ranged("bytes=52000-52500")) is None
