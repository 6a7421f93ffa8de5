from __future__ import annotations

import pytest

from cache.http.directives import (
    DELTA_S_MAX,
    Directives,
    parse_cache_control,
    request_directives,
    response_directives,
)


def parse(*lines: str) -> Directives:
    return parse_cache_control(lines)


def test_a_usual_header_is_read() -> None:
    assert parse("public, max-age=60, s-maxage=120, stale-while-revalidate=30") == Directives(
        public=True, max_age_s=60, s_maxage_s=120, stale_while_revalidate_s=30
    )


def test_names_ignore_case_and_several_lines_are_one_list() -> None:
    assert parse("Max-Age=1", "NO-STORE , ,") == Directives(max_age_s=1, no_store=True)


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [
        ("max-age=0", 0),
        ('max-age="60"', 60),
        ("max-age=00000000000000000000060", 60),
        ("max-age=2147483648", DELTA_S_MAX),
        ("max-age=2147483649", DELTA_S_MAX),
        ("max-age=" + "9" * 5000, DELTA_S_MAX),
        ("max-age=-1", 0),
        ("max-age=1.5", 0),
        ("max-age='60'", 0),
        ("max-age", 0),
        ("max-age=", 0),
        ("max-age =60", 0),
        ("max-age= 60", 0),
        ("max-age=6٣", 0),
        ("max-age=60, max-age=60", 60),
        ("max-age=60, max-age=61", 0),
        ("max-age=61, max-age=60, max-age=60", 0),
        ("max-age=60, max-age=x", 0),
        ("max-age=60;public", 0),
        ("x-max-age=60", None),
    ],
)
def test_a_lifetime_is_a_whole_number_said_once(text: str, expected_s: int | None) -> None:
    assert parse(text).max_age_s == expected_s


def test_a_comma_inside_quotes_does_not_start_a_directive() -> None:
    assert parse('foo="a, no-store, \\" private", max-age=3') == Directives(max_age_s=3)


def test_an_open_quote_swallows_the_rest() -> None:
    assert parse('no-store, foo="bar, max-age=3') == Directives(no_store=True)


def test_qualified_forms_count_as_unqualified() -> None:
    control = parse('private="set-cookie", no-cache="a, b"')
    assert control.private
    assert control.no_cache


def test_unreadable_permissions_are_not_given_and_the_smaller_counts() -> None:
    control = parse("stale-if-error=x, stale-while-revalidate=9, stale-while-revalidate=5")
    assert control.stale_if_error_s is None
    assert control.stale_while_revalidate_s == 5


def test_request_directives() -> None:
    assert parse("max-stale").max_stale_s == DELTA_S_MAX
    assert parse("max-stale=5, min-fresh=3, only-if-cached") == Directives(
        max_stale_s=5, min_fresh_s=3, only_if_cached=True
    )


def test_pragma_counts_only_without_cache_control() -> None:
    pragma = ("pragma", "No-Cache")
    assert request_directives((pragma,)).no_cache
    assert not request_directives((pragma, ("cache-control", "max-age=5"))).no_cache
    assert not response_directives((pragma,)).no_cache
