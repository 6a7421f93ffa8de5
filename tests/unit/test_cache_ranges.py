from __future__ import annotations

import pytest

from cache.http.ranges import (
    UNSATISFIABLE,
    Selection,
    content_range,
    parse_range,
    select_range,
    unsatisfied_range,
)
from nearcast.media import ByteRange


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes=0-499", ByteRange(0, 499)),
        ("bytes=500-", ByteRange(500, 999)),
        ("bytes=0-", ByteRange(0, 999)),
        ("bytes=-500", ByteRange(500, 999)),
        ("bytes=-5000", ByteRange(0, 999)),
        ("bytes=990-5000", ByteRange(990, 999)),
        ("bytes=999-999", ByteRange(999, 999)),
        ("BYTES=0-0", ByteRange(0, 0)),
        ("bytes= 0-0 ", ByteRange(0, 0)),
        ("bytes=000-0001", ByteRange(0, 1)),
        ("bytes=5-" + "9" * 200, ByteRange(5, 999)),
        ("bytes=1000-", UNSATISFIABLE),
        ("bytes=1000-2000", UNSATISFIABLE),
        ("bytes=18446744073709551616-", UNSATISFIABLE),
        ("bytes=-0", UNSATISFIABLE),
        (None, None),
        ("", None),
        ("bytes", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=--5", None),
        ("bytes=5-2", None),
        ("bytes=a-b", None),
        ("bytes=1-٣", None),
        ("bytes=0-1,5-6", None),
        ("bytes=0-1,2-6", ByteRange(0, 6)),
        ("bytes=5-9, 0-5 ,7-20", ByteRange(0, 20)),
        ("bytes=0-1,,1-2,", ByteRange(0, 2)),
        ("bytes=-10,980-", ByteRange(980, 999)),
        ("bytes=5000-,0-1", ByteRange(0, 1)),
        ("bytes=5000-,6000-", UNSATISFIABLE),
        ("bytes=0-1,x", None),
        ("bytes=0-1,9-2", None),
        ("bytes=,", None),
        ("bytes=" + ",".join(["0-1"] * 8), ByteRange(0, 1)),
        ("bytes=" + ",".join(["0-1"] * 9), UNSATISFIABLE),
        ("bytes=" + "0-," * 1000, UNSATISFIABLE),
        ("bytes=" + "," * 100_000, UNSATISFIABLE),
        ("bytes=0-" + "9" * 100_000, None),
        ("segments=0-5", None),
        ("bytes=0 - 5", None),
    ],
)
def test_ranges_of_a_thousand_bytes(text: str | None, expected: Selection) -> None:
    assert parse_range(text, 1000) == expected


def test_nothing_can_be_cut_from_an_empty_resource() -> None:
    assert parse_range("bytes=0-", 0) == UNSATISFIABLE
    assert parse_range("bytes=-5", 0) is None


def test_range_applies_to_get_alone() -> None:
    request_headers = (("range", "bytes=0-1"),)
    assert select_range("GET", request_headers, (), 10) == ByteRange(0, 1)
    assert select_range("HEAD", request_headers, (), 10) is None


def test_a_range_of_an_older_version_gets_the_whole() -> None:
    stored = (("etag", '"new"'),)
    request_headers = (("range", "bytes=99-"), ("if-range", '"old"'))
    assert select_range("GET", request_headers, stored, 10) is None
    request_headers = (("range", "bytes=99-"), ("if-range", '"new"'))
    assert select_range("GET", request_headers, stored, 10) == UNSATISFIABLE


def test_content_range() -> None:
    assert content_range(ByteRange(2, 4), 10) == "bytes 2-4/10"
    assert unsatisfied_range(10) == "bytes */10"
