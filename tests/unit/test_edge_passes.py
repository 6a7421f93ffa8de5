"""RFC 9111, 4.3.5 and 4.4: what writes and HEAD requests mean for what is stored."""

from __future__ import annotations

import pytest

from cache.http.headers import get_one
from edge.config import ServiceRules
from edge.effects import Commit, Discard, DropObject, PassThrough, ServeFill, UpdateStored
from edge.events import Headers, PassAnswered
from tests.edge_bench import MAX_AGE, SIZE, Bench, one

SAME = "http://origin:8000/base"


def answer(
    bench: Bench,
    method: str,
    target: str = "/a",
    *,
    status: int | None = 200,
    headers: Headers = (),
) -> list[object]:
    passed = one(bench.ask(target, method=method), PassThrough)
    return list(bench.feed(PassAnswered(passed=passed, status=status, headers=headers)))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "PROPFIND"])
@pytest.mark.parametrize(
    ("status", "is_kept"),
    [(200, False), (201, False), (302, False), (None, False), (404, True), (500, True)],
)
def test_a_write_ends_what_is_stored_unless_it_was_refused(
    method: str, status: int | None, is_kept: bool
) -> None:
    bench = Bench()
    bench.store()
    answer(bench, method, status=status)
    assert (bench.hit("/a") is not None) is is_kept


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD"])
def test_a_read_ends_nothing(method: str) -> None:
    bench = Bench()
    bench.store()
    passed = PassThrough(
        request_id=9, method=method, url=f"{SAME}/a", headers=(), cache_status="nearcast"
    )
    bench.feed(PassAnswered(passed=passed, status=204, headers=()))
    assert bench.hit("/a") is not None


@pytest.mark.parametrize("name", ["location", "content-location"])
@pytest.mark.parametrize(
    ("value", "is_kept"),
    [
        ("/base/b", False),
        ("b", False),
        (f"{SAME}/b", False),
        ("http://ORIGIN:8000/base/b#top", False),
        ("http://elsewhere/base/b", True),
        ("https://origin:8000/base/b", True),
        ("//[", True),
        ("/base/c", True),
    ],
)
def test_a_write_ends_what_its_answer_names_of_the_same_origin(
    name: str, value: str, is_kept: bool
) -> None:
    bench = Bench()
    bench.store("/b")
    answer(bench, "POST", status=201, headers=((name, value),))
    assert (bench.hit("/b") is not None) is is_kept


def test_all_variants_of_a_url_end_together() -> None:
    bench = Bench(service=ServiceRules(request_headers_allow=("accept-language",)))
    for language in ("en", "de"):
        started = bench.ask("/a", (("accept-language", language),))
        bench.head(started, (*MAX_AGE, ("vary", "Accept-Language")))
        bench.end(started)
    dropped = [effect for effect in answer(bench, "PUT") if isinstance(effect, DropObject)]
    assert len(dropped) == 2


def test_a_fetch_begun_before_the_write_was_answered_is_not_kept() -> None:
    bench = Bench()
    passed = one(bench.ask(method="POST"), PassThrough)
    started = bench.ask()
    bench.feed(PassAnswered(passed=passed, status=200))
    bench.head(started)
    one(bench.end(started), Discard)


@pytest.mark.parametrize(
    ("headers", "is_kept"),
    [
        ((("etag", '"v1"'), ("content-length", str(SIZE))), True),
        ((), True),
        ((("etag", '"v2"'),), False),
        ((("content-length", "7"),), False),
    ],
)
def test_a_head_renews_what_it_agrees_with_and_ends_the_rest(
    headers: Headers, is_kept: bool
) -> None:
    bench = Bench()
    bench.store()
    bench.now_s = 100.0
    fresh = (("cache-control", "max-age=500"), ("x-new", "1"), *headers)
    effects = answer(bench, "HEAD", headers=fresh)
    hit = bench.hit("/a")
    assert (hit is not None) is is_kept
    assert any(isinstance(effect, UpdateStored) for effect in effects) is is_kept
    if hit is not None:
        assert get_one(hit.headers, "x-new") == "1"


def test_an_error_to_a_head_says_nothing_about_what_is_stored() -> None:
    bench = Bench()
    bench.store()
    bench.now_s = 100.0
    assert not answer(bench, "HEAD", status=503)
    assert bench.core.status(100.0).object_count == 1


def test_vary_star_is_answered_from_its_own_fetch_and_kept_for_nobody() -> None:
    bench = Bench()
    started = bench.ask()
    bench.ask()
    effects = bench.head(started, (*MAX_AGE, ("vary", "*")))
    assert one(effects, ServeFill).request_id == 1
    assert one(effects, PassThrough).request_id == 2
    assert not any(isinstance(effect, Commit) for effect in bench.end(started))
