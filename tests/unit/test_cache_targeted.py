"""RFC 9213: fields that speak to caches like us in place of Cache-Control."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.http.dates import format_date
from cache.http.directives import (
    DELTA_S_MAX,
    Directives,
    parse_targeted,
    response_directives,
)
from cache.http.freshness import StorageRules, describe, is_storable
from cache.http.headers import Headers

NOW_WALL_S = 1_700_000_000.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max-age=60", Directives(is_targeted=True, max_age_s=60)),
        ("foobar, max-age=60", Directives(is_targeted=True, max_age_s=60)),
        ("max-age=60;x=1, s-maxage=5", Directives(is_targeted=True, max_age_s=60, s_maxage_s=5)),
        ("max-age=99999999999", Directives(is_targeted=True, max_age_s=DELTA_S_MAX)),
        ("max-age=-5", Directives(is_targeted=True, max_age_s=0)),
        ('max-age="10000"', Directives(is_targeted=True, max_age_s=0)),
        ("max-age=1.5", Directives(is_targeted=True, max_age_s=0)),
        ("no-store", Directives(is_targeted=True, no_store=True)),
        ("no-store=?0", Directives(is_targeted=True)),
        ('private="a", no-cache="b"', Directives(is_targeted=True, private=True, no_cache=True)),
        ("public=1", Directives(is_targeted=True)),
        ("foo", Directives(is_targeted=True)),
        ("", None),
        ("   ", None),
        ("max-age=10000, &&&&&", None),
        ("max-age =60", None),
        ("max-age= 60", None),
        ("Max-Age=60", None),
        ("max-age=60,", None),
        ("max-age=60, \u00e9", None),
        ("a," * 5000, None),
    ],
)
def test_one_field(text: str, expected: Directives | None) -> None:
    assert parse_targeted((text,)) == expected


def test_lines_of_one_field_are_one_dictionary() -> None:
    assert parse_targeted(("max-age=60", "no-cache")) == Directives(
        is_targeted=True, max_age_s=60, no_cache=True
    )
    assert parse_targeted(()) is None


@given(st.text(max_size=200))
def test_no_text_breaks_the_parser(text: str) -> None:
    parse_targeted((text,))


CC: Headers = (("cache-control", "max-age=5"),)
EXPIRES: Headers = (("expires", format_date(NOW_WALL_S + 500)),)


@pytest.mark.parametrize(
    ("headers", "lifetime_s"),
    [
        ((("cdn-cache-control", "max-age=60"), *CC), 60),
        ((*CC, ("cdn-cache-control", "max-age=60"), ("nearcast-cache-control", "max-age=7")), 7),
        ((*CC, ("cdn-cache-control", "max-age=60"), ("nearcast-cache-control", "&")), 60),
        ((*CC, ("cdn-cache-control", "&"), ("nearcast-cache-control", "")), 5),
        ((*EXPIRES, ("cdn-cache-control", "no-transform")), 9),
        ((*EXPIRES, ("cdn-cache-control", "max-age=0")), 0),
        ((*EXPIRES, ("cdn-cache-control", "&")), 500),
    ],
)
def test_ours_comes_first_and_a_valid_one_replaces_the_rest(
    headers: Headers, lifetime_s: float
) -> None:
    freshness = describe(
        200,
        (*headers, ("etag", '"a"')),
        requested_wall_s=NOW_WALL_S,
        received_wall_s=NOW_WALL_S,
        rules=StorageRules(default_freshness_s=9),
    )
    assert freshness.lifetime_s == lifetime_s


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((("cache-control", "no-store"), ("cdn-cache-control", "max-age=60")), True),
        ((("cache-control", "private"), ("cdn-cache-control", "max-age=60")), True),
        ((("cache-control", "max-age=60"), ("cdn-cache-control", "no-store")), False),
        ((("cache-control", "max-age=60"), ("cdn-cache-control", "private")), False),
        ((("cache-control", "no-store"), ("cdn-cache-control", "max-age=60, &&")), False),
    ],
)
def test_it_decides_on_storing_too(headers: Headers, expected: bool) -> None:
    assert is_storable("GET", 200, (), headers, received_wall_s=0.0).is_storable is expected


def test_cache_control_counts_when_nothing_is_targeted() -> None:
    assert response_directives(CC) == Directives(max_age_s=5)
