from __future__ import annotations

import pytest

from cache.http.conditional import (
    Outcome,
    confirms,
    evaluate,
    if_range_holds,
    not_modified_headers,
    revalidation_headers,
    updated,
)
from cache.http.headers import Headers

EARLY = "Sun, 06 Nov 1994 08:49:36 GMT"
MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"
LATE = "Sun, 06 Nov 1994 08:49:38 GMT"
STORED: Headers = (("etag", '"a"'), ("last-modified", MODIFIED))


@pytest.mark.parametrize(
    ("request_headers", "expected"),
    [
        ((), "send"),
        ((("if-none-match", '"a"'),), "not_modified"),
        ((("if-none-match", 'W/"a"'),), "not_modified"),
        ((("if-none-match", '"x", W/"a" ,"y"'),), "not_modified"),
        ((("if-none-match", '"x"'), ("if-none-match", '"a"')), "not_modified"),
        ((("if-none-match", "*"),), "not_modified"),
        ((("if-none-match", '"b"'),), "send"),
        ((("if-none-match", '"A"'),), "send"),
        ((("if-none-match", '"b,"a""'),), "send"),
        ((("if-none-match", '"b"'), ("if-modified-since", LATE)), "send"),
        ((("if-modified-since", MODIFIED),), "not_modified"),
        ((("if-modified-since", LATE),), "not_modified"),
        ((("if-modified-since", EARLY),), "send"),
        ((("if-modified-since", "yesterday"),), "send"),
        ((("if-match", '"a"'),), "send"),
        ((("if-match", 'W/"a"'),), "failed"),
        ((("if-match", '"b"'),), "failed"),
        ((("if-match", "*"),), "send"),
        ((("if-unmodified-since", MODIFIED),), "send"),
        ((("if-unmodified-since", EARLY),), "failed"),
        ((("if-match", '"a"'), ("if-unmodified-since", EARLY)), "send"),
    ],
)
def test_preconditions_of_a_read(request_headers: Headers, expected: Outcome) -> None:
    assert evaluate("GET", request_headers, STORED) == expected


def test_a_write_that_must_not_replace_anything_fails() -> None:
    assert evaluate("PUT", (("if-none-match", "*"),), STORED) == "failed"
    assert evaluate("PUT", (("if-modified-since", LATE),), STORED) == "send"


def test_a_tag_may_end_in_a_backslash() -> None:
    stored = (("etag", '"a\\"'),)
    assert evaluate("GET", (("if-none-match", '"x\\", "a\\"'),), stored) == "not_modified"


def test_tags_without_quotes_match_themselves() -> None:
    assert evaluate("GET", (("if-none-match", "abc"),), (("etag", "abc"),)) == "not_modified"


@pytest.mark.parametrize(
    ("validator", "holds"),
    [
        ('"a"', True),
        ('W/"a"', False),
        ('"b"', False),
        (MODIFIED, True),
        (LATE, False),
        (EARLY, False),
        ("garbage", False),
    ],
)
def test_if_range_needs_a_strong_match(validator: str, holds: bool) -> None:
    stored = (*STORED, ("date", "Mon, 07 Nov 1994 08:49:37 GMT"))
    assert if_range_holds((("if-range", validator),), stored) is holds


def test_if_range_by_a_date_too_close_to_the_answer_is_weak() -> None:
    assert not if_range_holds((("if-range", MODIFIED),), (*STORED, ("date", MODIFIED)))
    assert if_range_holds((("if-range", MODIFIED),), (*STORED, ("date", LATE)))


def test_if_range_against_a_weak_tag_never_holds() -> None:
    assert not if_range_holds((("if-range", 'W/"a"'),), (("etag", 'W/"a"'),))


def test_without_if_range_nothing_stands_against_the_range() -> None:
    assert if_range_holds((), STORED)


def test_revalidation_sends_what_is_stored() -> None:
    assert revalidation_headers(STORED) == (
        ("if-none-match", '"a"'),
        ("if-modified-since", MODIFIED),
    )
    assert revalidation_headers((("last-modified", "long ago"),)) == ()


def test_a_304_updates_what_it_names_but_not_what_describes_the_bytes() -> None:
    stored = (
        ("content-type", "video/mp4"),
        ("content-length", "5"),
        ("age", "9"),
        ("cache-control", "max-age=1"),
        ("x-a", "1"),
        ("x-a", "2"),
    )
    fresh = (
        ("connection", "close"),
        ("content-type", "text/html"),
        ("content-length", "0"),
        ("content-encoding", "gzip"),
        ("set-cookie", "a=b"),
        ("cache-control", "max-age=2"),
        ("x-a", "3"),
    )
    assert updated(stored, fresh) == (
        ("content-length", "5"),
        ("content-type", "text/html"),
        ("cache-control", "max-age=2"),
        ("x-a", "3"),
    )
    assert ("set-cookie", "a=b") in updated(stored, fresh, with_cookies=True)


def test_the_stored_tag_stays_and_a_missing_one_is_learnt() -> None:
    assert updated((("etag", '"a"'),), (("etag", 'W/"a"'),)) == (("etag", '"a"'),)
    assert updated((), (("etag", '"a"'),)) == (("etag", '"a"'),)


def test_a_304_for_another_tag_confirms_nothing() -> None:
    assert confirms(STORED, ())
    assert confirms(STORED, (("etag", 'W/"a"'),))
    assert not confirms(STORED, (("etag", '"b"'),))
    assert confirms(STORED, (("last-modified", MODIFIED),))
    assert not confirms(STORED, (("last-modified", LATE),))
    assert confirms(STORED, (("etag", '"a"'), ("last-modified", LATE)))


def test_what_has_no_last_modified_is_read_by_its_date() -> None:
    since = (("if-modified-since", MODIFIED),)
    assert evaluate("GET", since, (("date", EARLY),)) == "not_modified"
    assert evaluate("GET", since, (("date", LATE),)) == "send"
    assert evaluate("GET", since, (("date", EARLY), ("last-modified", "nonsense"))) == "send"


def test_our_304_leaves_out_what_describes_the_body() -> None:
    headers = (*STORED, ("content-type", "video/mp4"), ("content-length", "5"), ("vary", "x"))
    assert not_modified_headers(headers) == (*STORED, ("vary", "x"))
