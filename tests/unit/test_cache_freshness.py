from __future__ import annotations

import pytest

from cache.http.dates import format_date
from cache.http.directives import Directives
from cache.http.freshness import (
    Reuse,
    StorageRules,
    Verdict,
    age_s,
    describe,
    freshness_lifetime_s,
    is_storable,
    judge_reuse,
    may_serve_on_error,
)
from cache.http.headers import Headers

NOW_WALL_S = 1_700_000_000.0
ETAG = ("etag", '"a"')
NO_RULES = StorageRules()


def control(text: str, *more: tuple[str, str]) -> Headers:
    return (("cache-control", text), *more)


def may_be_stored(
    method: str,
    status: int,
    request_headers: Headers,
    response: Headers,
    rules: StorageRules = NO_RULES,
) -> Verdict:
    """Of a response received a while ago."""
    return is_storable(
        method, status, request_headers, response, received_wall_s=NOW_WALL_S - 100, rules=rules
    )


def age_now_s(headers: Headers, *, requested_wall_s: float, received_wall_s: float) -> float:
    freshness = describe(
        200, headers, requested_wall_s=requested_wall_s, received_wall_s=received_wall_s
    )
    return age_s(freshness, NOW_WALL_S)


@pytest.mark.parametrize(
    ("status", "response"),
    [
        (200, control("max-age=60")),
        (200, control("s-maxage=60")),
        (200, control("max-age=0", ETAG)),
        (200, control("no-cache", ETAG)),
        (200, (ETAG,)),
        (200, (("last-modified", format_date(NOW_WALL_S)),)),
        (200, (("expires", format_date(NOW_WALL_S)),)),
        (404, control("max-age=5")),
        (302, control("max-age=5")),
        (200, control("no-store, must-understand, max-age=5")),
        (200, control("public, max-age=5", ("set-cookie", "a=b"))),
    ],
)
def test_may_be_stored(status: int, response: Headers) -> None:
    assert may_be_stored("GET", status, (), response).is_storable


@pytest.mark.parametrize(
    ("method", "status", "request_headers", "response", "reason"),
    [
        ("POST", 200, (), control("max-age=60"), "method"),
        ("HEAD", 200, (), control("max-age=60"), "method"),
        ("GET", 206, (), control("max-age=60"), "status"),
        ("GET", 304, (), control("max-age=60"), "status"),
        ("GET", 400, (), control("max-age=60"), "status"),
        ("GET", 403, (), control("max-age=60"), "status"),
        ("GET", 500, (), control("max-age=60"), "status"),
        ("GET", 599, (), control("max-age=60, must-understand"), "status"),
        ("GET", 200, (), control("no-store, max-age=60"), "no-store"),
        ("GET", 200, control("no-store"), control("max-age=60"), "request no-store"),
        ("GET", 200, (), control("private, max-age=60"), "private"),
        ("GET", 200, (("authorization", "x"),), control("max-age=60"), "authorization"),
        ("GET", 200, (), control("max-age=60", ("set-cookie", "a=b")), "set-cookie"),
        ("GET", 200, (), control("max-age=60", ("vary", "a, *")), "vary *"),
        ("GET", 200, (), (), "no lifetime, no validator"),
        ("GET", 200, (), control("max-age=0"), "no lifetime, no validator"),
        ("GET", 200, (), control("no-cache, max-age=60"), "no lifetime, no validator"),
        ("GET", 200, (), (("expires", "0"),), "no lifetime, no validator"),
        ("GET", 404, (), (ETAG,), "no lifetime, no validator"),
    ],
)
def test_may_not_be_stored(
    method: str, status: int, request_headers: Headers, response: Headers, reason: str
) -> None:
    verdict = may_be_stored(method, status, request_headers, response)
    assert (verdict.is_storable, verdict.reason) == (False, reason)


@pytest.mark.parametrize("directive", ["public", "s-maxage=60", "must-revalidate"])
def test_answers_to_authorised_requests_need_the_origins_word(directive: str) -> None:
    response = control(f"max-age=60, {directive}")
    assert may_be_stored("GET", 200, (("authorization", "x"),), response).is_storable


def test_a_default_lifetime_makes_a_bare_response_storable_but_not_an_unusual_one() -> None:
    rules = StorageRules(default_freshness_s=5)
    assert may_be_stored("GET", 200, (), (ETAG,), rules=rules).is_storable
    assert not may_be_stored("GET", 302, (), (ETAG,), rules=rules).is_storable


def test_lifetime_precedence() -> None:
    date = ("date", format_date(NOW_WALL_S))
    expires = ("expires", format_date(NOW_WALL_S + 30))
    rules = StorageRules(default_freshness_s=7)

    def lifetime_s(headers: Headers, status: int = 200) -> float:
        return freshness_lifetime_s(status, headers, received_wall_s=NOW_WALL_S - 100, rules=rules)

    assert lifetime_s(control("max-age=10, s-maxage=20", date, expires)) == 20
    assert lifetime_s(control("max-age=10", date, expires)) == 10
    assert lifetime_s((date, expires)) == 30
    assert lifetime_s((expires,)) == 130
    assert lifetime_s((ETAG,)) == 7
    assert lifetime_s(()) == 0
    assert lifetime_s((ETAG,), status=302) == 0
    assert lifetime_s((("expires", "0"),)) == 0
    assert lifetime_s((expires, ("expires", "0"))) == 0
    assert lifetime_s((date, ("expires", format_date(NOW_WALL_S - 1)))) == 0


def test_age_follows_the_rfc() -> None:
    # RFC 9111, 4.2.3: max(apparent, Age + delay) + resident time.
    headers = (("date", format_date(NOW_WALL_S - 50)), ("age", "20"))
    times = {"requested_wall_s": NOW_WALL_S - 13, "received_wall_s": NOW_WALL_S - 10}
    assert age_now_s(headers, **times) == 50
    assert age_now_s((("age", "100"),), **times) == 113


@pytest.mark.parametrize(
    ("age", "expected_s"), [("7, 0", 7), ("-7", 0), ("7.5", 0), ("x", 0), ("9" * 99, 2**31)]
)
def test_odd_age_fields(age: str, expected_s: int) -> None:
    headers = (("age", age),)
    assert age_now_s(headers, requested_wall_s=NOW_WALL_S, received_wall_s=NOW_WALL_S) == expected_s


def test_age_is_never_negative() -> None:
    headers = (("date", format_date(NOW_WALL_S + 2000)),)
    received_wall_s = NOW_WALL_S + 95  # and asked for after that: the clock was put back twice
    assert (
        age_now_s(headers, requested_wall_s=NOW_WALL_S + 100, received_wall_s=received_wall_s) == 0
    )


@pytest.mark.parametrize(
    ("text", "request_directives", "after_s", "expected"),
    [
        ("max-age=60", Directives(), 59, "fresh"),
        ("max-age=60", Directives(), 60, "validate"),
        ("max-age=60", Directives(no_cache=True), 1, "validate"),
        ("max-age=60", Directives(max_age_s=10), 10, "fresh"),
        ("max-age=60", Directives(max_age_s=10), 11, "validate"),
        ("max-age=60", Directives(min_fresh_s=10), 50, "fresh"),
        ("max-age=60", Directives(min_fresh_s=10), 51, "validate"),
        ("max-age=60", Directives(max_stale_s=10), 70, "stale"),
        ("max-age=60", Directives(max_stale_s=10), 71, "validate"),
        ("max-age=60, must-revalidate", Directives(max_stale_s=10), 61, "validate"),
        ("max-age=60, proxy-revalidate", Directives(max_stale_s=10), 61, "validate"),
        ("s-maxage=60", Directives(max_stale_s=10), 61, "validate"),
        ("no-cache, max-age=60", Directives(), 1, "validate"),
        ("max-age=60, stale-while-revalidate=30", Directives(), 89, "stale"),
        ("max-age=60, stale-while-revalidate=30", Directives(), 90, "validate"),
        ("s-maxage=60, stale-while-revalidate=30", Directives(), 61, "stale"),
        ("max-age=60, stale-while-revalidate=30, must-revalidate", Directives(), 61, "validate"),
        ("max-age=60, stale-while-revalidate=30", Directives(max_age_s=60), 61, "validate"),
    ],
)
def test_reuse(text: str, request_directives: Directives, after_s: float, expected: Reuse) -> None:
    freshness = describe(
        200, control(text), requested_wall_s=NOW_WALL_S, received_wall_s=NOW_WALL_S
    )
    assert judge_reuse(freshness, request_directives, NOW_WALL_S + after_s) == expected


def test_fresh_until_agrees_with_age_and_lifetime() -> None:
    freshness = describe(
        200,
        control("max-age=60", ("age", "15")),
        requested_wall_s=NOW_WALL_S - 2,
        received_wall_s=NOW_WALL_S,
    )
    assert freshness.fresh_until_wall_s == NOW_WALL_S + 43
    assert age_s(freshness, NOW_WALL_S + 43) == 60


def test_stale_may_stand_in_for_an_error_only_within_its_grant() -> None:
    def may(text: str, after_s: float, default_s: float = 0.0) -> bool:
        freshness = describe(
            200, control(text), requested_wall_s=NOW_WALL_S, received_wall_s=NOW_WALL_S
        )
        return may_serve_on_error(
            freshness, NOW_WALL_S + after_s, default_stale_if_error_s=default_s
        )

    assert may("max-age=60, stale-if-error=30", 89)
    assert not may("max-age=60, stale-if-error=30", 90)
    assert not may("max-age=60", 61)
    assert may("max-age=60", 61, default_s=10)
    assert not may("max-age=60, must-revalidate, stale-if-error=30", 61, default_s=10)
    assert not may("max-age=60, no-cache", 1, default_s=10)
