"""Cache-Status fields, ours and those of other caches."""

from __future__ import annotations

import pytest

from nearcast.cache_status import CacheStatus, format_cache_status, parse_cache_status


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (CacheStatus(cache="ams1", is_hit=True, ttl_s=30), "ams1; hit; ttl=30"),
        (CacheStatus(cache="ams1", is_hit=True, fwd="miss", ttl_s=-2), "ams1; hit; ttl=-2"),
        (
            CacheStatus(
                cache="ams1", fwd="uri-miss", fwd_status=200, is_stored=True, is_collapsed=True
            ),
            "ams1; fwd=uri-miss; fwd-status=200; stored; collapsed",
        ),
        (
            CacheStatus(cache="a b", fwd="bypass", detail='"x"'),
            '"a b"; fwd=bypass; detail="\\"x\\""',
        ),
    ],
)
def test_fields_are_written_as_the_standard_has_them(status: CacheStatus, text: str) -> None:
    assert format_cache_status(status) == text


def test_ours_goes_behind_what_came_from_upstream() -> None:
    text = format_cache_status(CacheStatus(cache="home", is_hit=True), after="cdn; fwd=miss")
    assert text == "cdn; fwd=miss, home; hit"


def test_the_examples_of_the_standard_are_read() -> None:
    # RFC 9211, section 3.
    text = (
        'OriginCache; hit; ttl=1100, "CDN Company Here"; fwd=stale; fwd-status=304; collapsed; '
        'ttl=-412; detail=MEMORY; key="https://a"'
    )
    assert parse_cache_status(text) == (
        CacheStatus(cache="OriginCache", is_hit=True, ttl_s=1100),
        CacheStatus(
            cache="CDN Company Here",
            fwd="stale",
            fwd_status=304,
            is_collapsed=True,
            ttl_s=-412,
            detail="MEMORY",
        ),
    )


def test_parameters_of_the_wrong_type_are_left_out() -> None:
    assert parse_cache_status('a; hit=?0; fwd=3; fwd-status=x; ttl=1.5; stored="yes"') == (
        CacheStatus(cache="a"),
    )


def test_members_that_name_no_cache_are_left_out() -> None:
    assert parse_cache_status("(a b); hit, 5; hit, ok; hit") == (
        CacheStatus(cache="ok", is_hit=True),
    )


@pytest.mark.parametrize(
    "text", ["", "HIT from cache, (", "é", "a;", "a" * 5000, "a; ttl=" + "9" * 99]
)
def test_garbage_gives_nothing(text: str) -> None:
    assert parse_cache_status(text) == ()
