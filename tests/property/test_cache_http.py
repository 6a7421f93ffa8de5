"""Whatever a peer sends, the HTTP rules give an answer, and a careful one."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from cache.http.conditional import evaluate, if_range_holds, updated
from cache.http.dates import format_date, parse_date
from cache.http.directives import DELTA_S_MAX, Directives, parse_cache_control
from cache.http.freshness import age_s, describe, is_storable, judge_reuse
from cache.http.headers import Headers, end_to_end, split_list, storable
from cache.http.ranges import RANGES_MAX, UNSATISFIABLE, parse_range
from cache.http.vary import is_match, secondary_key
from nearcast.media import ByteRange

PIECES = st.sampled_from(
    [
        *("max-age", "s-maxage", "no-store", "no-cache", "private", "public", "stale-if-error"),
        *("=", ",", '"', "\\", " ", "\t", ";", "*", "-", "W/", "bytes=", '"a"', "\x00", "é"),
        *("0", "1", "60", "-1", "99999999999999999999", "1e9"),
        *("Sun, 06 Nov 1994 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"),
    ]
)
VALUES = st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=40)
NAMES = st.sampled_from(
    [
        *("cache-control", "expires", "date", "age", "etag", "last-modified", "vary", "connection"),
        *("set-cookie", "if-none-match", "if-modified-since", "if-range", "range", "pragma"),
        *("authorization", "content-length", "x-a"),
    ]
)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=8).map(tuple)
# Whole seconds: sums of fractions are not exact at this size.
WALL_S = st.integers(0, 4_000_000_000)


@given(
    headers=HEADERS, request_headers=HEADERS, requested_wall_s=WALL_S, delay_s=st.integers(0, 60)
)
@settings(max_examples=300, deadline=None)
def test_no_header_breaks_a_decision(
    headers: Headers, request_headers: Headers, requested_wall_s: int, delay_s: int
) -> None:
    received_wall_s = requested_wall_s + delay_s
    verdict = is_storable("GET", 200, request_headers, headers, received_wall_s=received_wall_s)
    assert verdict.is_storable != bool(verdict.reason)
    freshness = describe(
        200,
        headers,
        requested_wall_s=requested_wall_s,
        received_wall_s=received_wall_s,
    )
    assert 0 <= freshness.lifetime_s <= DELTA_S_MAX
    now_wall_s = received_wall_s + 5
    age_now_s = age_s(freshness, now_wall_s)
    assert math.isclose(age_now_s, age_s(freshness, received_wall_s) + 5)
    assert age_now_s >= 5
    reuse = judge_reuse(freshness, Directives(), now_wall_s)
    if reuse == "fresh":
        assert freshness.lifetime_s > age_now_s
    assert evaluate("GET", request_headers, headers) in ("send", "not_modified", "failed")
    assert if_range_holds(request_headers, headers) in (True, False)
    assert updated(headers, request_headers) is not None


@given(headers=HEADERS)
@settings(max_examples=100, deadline=None)
def test_stripping_twice_changes_nothing(headers: Headers) -> None:
    assert end_to_end(end_to_end(headers)) == end_to_end(headers)
    assert set(storable(headers)) <= set(end_to_end(headers)) <= set(headers)


@given(headers=HEADERS, request_headers=HEADERS)
@settings(max_examples=100, deadline=None)
def test_a_response_answers_the_request_it_was_stored_for(
    headers: Headers, request_headers: Headers
) -> None:
    key = secondary_key(headers, request_headers)
    assert key is None or is_match(headers, key, request_headers)


@given(lines=st.lists(VALUES, max_size=4))
@settings(max_examples=200, deadline=None)
def test_a_word_in_the_list_is_heard_whatever_stands_beside_it(lines: list[str]) -> None:
    balanced = [line for line in lines if line.count('"') == 0]
    assert parse_cache_control([*balanced, "no-store"]).no_store
    assert parse_cache_control([*balanced, "x"]) == parse_cache_control(balanced)


@given(text=VALUES)
def test_members_are_never_empty_and_come_from_the_text(text: str) -> None:
    assert all(member and member in text for member in split_list(text))


@given(text=VALUES | VALUES.map("bytes={}".format), size_bytes=st.integers(0, 2**40))
@settings(max_examples=300, deadline=None)
def test_a_range_lies_inside_the_resource(text: str, size_bytes: int) -> None:
    selection = parse_range(text, size_bytes)
    if isinstance(selection, ByteRange):
        assert 0 <= selection.first <= selection.last < size_bytes
    else:
        assert selection in (None, UNSATISFIABLE)


@given(first=st.integers(0, 300), last=st.integers(0, 300), size_bytes=st.integers(1, 200))
def test_a_range_cuts_what_a_slice_cuts(first: int, last: int, size_bytes: int) -> None:
    body = bytes(index % 251 for index in range(size_bytes))
    for text, part in (
        (f"bytes={first}-{last}", body[first : last + 1]),
        (f"bytes={first}-", body[first:]),
        (f"bytes=-{last}", body[-last:] if last else b""),
    ):
        selection = parse_range(text, size_bytes)
        if isinstance(selection, ByteRange):
            assert body[selection.first : selection.last + 1] == part
            assert selection.size_bytes == len(part)
        else:
            assert part == b""


@given(
    ranges=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=10),
    size_bytes=st.integers(1, 50),
)
def test_several_ranges_are_one_where_they_touch(
    ranges: list[tuple[int, int]], size_bytes: int
) -> None:
    text = "bytes=" + ",".join(f"{first}-{last}" for first, last in ranges)
    wanted = {i for first, last in ranges for i in range(first, last + 1) if i < size_bytes}
    selection = parse_range(text, size_bytes)
    if len(ranges) > RANGES_MAX:
        assert selection == UNSATISFIABLE
    elif any(last < first for first, last in ranges):
        assert selection is None
    elif not wanted:
        assert selection == UNSATISFIABLE
    elif max(wanted) - min(wanted) + 1 > len(wanted):
        assert selection is None
    else:
        assert selection == ByteRange(min(wanted), max(wanted))


@given(wall_s=st.floats(0, 253_402_300_799))
def test_dates_survive_the_way_there_and_back(wall_s: float) -> None:
    assert parse_date(format_date(wall_s)) == math.floor(wall_s)


@given(text=st.text(max_size=60))
def test_no_text_breaks_the_date_parser(text: str) -> None:
    parsed_wall_s = parse_date(text)
    assert parsed_wall_s is None or math.isfinite(parsed_wall_s)
