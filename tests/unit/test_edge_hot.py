"""What a driver may serve by itself, and what it finds ready for that."""

from __future__ import annotations

import msgspec
import pytest

from cache.http.dates import format_date
from cache.http.freshness import StorageRules
from cache.http.headers import Headers, get_one
from edge.effects import StoredObject
from edge.hot import HotEntry, HotTable

WALL_S = 1_767_225_600.0
RULES = StorageRules()
URL = "http://origin/a"


def stored(headers: Headers = (("cache-control", "max-age=60"),), **more: object) -> StoredObject:
    base = StoredObject(
        object_id="o1",
        url=URL,
        status=200,
        headers=headers,
        size_bytes=10,
        crc32c=0,
        requested_wall_s=WALL_S - 1,
        received_wall_s=WALL_S,
    )
    return msgspec.structs.replace(base, **more)


def entry(headers: Headers = (("cache-control", "max-age=60"),), **more: object) -> HotEntry:
    return HotEntry.of(stored(headers, **more), RULES)


def test_times_are_numbers_to_compare_with() -> None:
    one = entry((("cache-control", "max-age=60"), ("age", "15")))
    assert one.fresh_until_wall_s == WALL_S + 60 - 15 - 1
    assert one.made_wall_s == WALL_S - 16


@pytest.mark.parametrize(
    ("made", "is_plain"),
    [
        (entry(), True),
        (entry(status=404), False),
        (entry((("cache-control", "no-cache"),)), False),
        (entry((("cache-control", "max-age=60"), ("vary", "accept"))), False),
        (entry((("cache-control", "max-age=60"), ("vary", "*"))), False),
        (entry(part_first=0, part_of_bytes=99), False),
    ],
)
def test_what_is_plain(made: HotEntry, is_plain: bool) -> None:
    table = HotTable()
    table.put(made)
    assert made.is_plain is is_plain
    assert (table.plain(URL) is not None) is is_plain


def test_a_url_with_two_entries_has_none_that_is_plain() -> None:
    table = HotTable()
    table.put(entry())
    table.put(entry((("vary", "accept"),), object_id="o2"))
    assert table.plain(URL) is None
    table.remove("o2")
    assert table.plain(URL) is not None


@pytest.mark.parametrize(
    ("etag", "expected"),
    [('"a"', b'"a"'), ('W/"a"', b'"a"'), ('"\xfc"', b'"\xfc"'), ("bare", b"bare")],
)
def test_the_tag_is_bytes_for_the_weak_comparison(etag: str, expected: bytes) -> None:
    assert entry((("etag", etag),)).etag == expected


def test_a_date_that_is_none_counts_for_nothing() -> None:
    modified = format_date(WALL_S - 500)
    one = entry((("last-modified", modified),))
    assert (one.last_modified, one.last_modified_wall_s) == (modified.encode(), WALL_S - 500)
    assert entry((("last-modified", "long ago"),)).last_modified is None


def test_the_fields_of_both_answers_are_ready() -> None:
    one = entry(
        (
            ("content-type", "video/mp4"),
            ("age", "5"),
            ("etag", '"a"'),
            ("cache-status", "mid; hit"),
        )
    )
    assert get_one(one.fields, "content-length") == "10"
    assert get_one(one.fields, "accept-ranges") == "bytes"
    assert get_one(one.fields, "age") is None
    assert get_one(one.fields, "cache-status") is None
    assert one.cache_status_before == "mid; hit"
    assert one.not_modified_fields == (("etag", '"a"'),)


def test_parts_lie_beside_the_whole_and_never_answer_for_it() -> None:
    table = HotTable()
    table.put(entry(object_id="p", part_first=5, part_of_bytes=100))
    assert table.match(URL, ()) is None
    found = table.match_part(URL, (), "bytes=5-14")
    assert found is not None
    assert found.stored.object_id == "p"
    assert table.match_part(URL, (), "bytes=5-15") is None
    table.remove("p")
    assert table.parts(URL) == ()
    assert len(table) == 0
