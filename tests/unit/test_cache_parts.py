"""RFC 9111, 3.3 and 3.4: parts of a resource, and what may be put together."""

from __future__ import annotations

import pytest

from cache.http.headers import Headers
from cache.http.parts import Part, continues, part_of, rest_headers, strong_etag, wanted_of
from nearcast.media import ByteRange

ETAG: Headers = (("etag", '"a"'),)


def ranged(text: str, *more: tuple[str, str]) -> Headers:
    return (("content-range", text), *more)


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (206, ranged("bytes 4-9/10"), Part(first=4, last=9, of_bytes=10)),
        (206, ranged("bytes 0-9/10"), Part(first=0, last=9, of_bytes=10)),
        (206, ranged("Bytes 4-9/10", ("content-length", "6")), Part(first=4, last=9, of_bytes=10)),
        (206, ranged("bytes 4-9/10", ("content-length", "5")), None),
        (206, ranged("bytes 4-9/10", ("content-length", "x")), None),
        (206, ranged("bytes 4-9/10", ("content-range", "bytes 4-8/10")), None),
        (206, ranged("bytes 4-9/*"), None),
        (206, ranged("bytes */10"), None),
        (206, ranged("bytes 9-4/10"), None),
        (206, ranged("bytes 4-10/10"), None),
        (206, ranged("bytes 4-9/" + "9" * 40), None),
        (206, ranged("segments 4-9/10"), None),
        (206, (), None),
        (200, ranged("bytes 4-9/10"), None),
    ],
)
def test_what_a_206_brings(status: int, headers: Headers, expected: Part | None) -> None:
    assert part_of(status, headers) == expected


def test_a_part_holds_what_lies_inside_it() -> None:
    part = Part(first=4, last=9, of_bytes=10)
    assert part.holds(ByteRange(4, 9))
    assert not part.holds(ByteRange(3, 9))
    assert not part.holds(ByteRange(4, 10))
    assert wanted_of("bytes=-2", 10) == ByteRange(8, 9)
    assert wanted_of("bytes=99-", 10) is None
    assert wanted_of(None, 10) is None


def test_only_a_strong_tag_proves_anything() -> None:
    assert strong_etag(ETAG) == '"a"'
    assert strong_etag((("etag", 'W/"a"'),)) is None
    assert strong_etag((("etag", "a"),)) is None
    assert strong_etag((("last-modified", "Sun, 06 Nov 1994 08:49:36 GMT"),)) is None
    assert rest_headers(ETAG, 5) == (("range", "bytes=5-"), ("if-range", '"a"'))
    assert rest_headers((), 5) == ()


@pytest.mark.parametrize(
    ("held", "status", "headers", "expected"),
    [
        (ETAG, 206, ranged("bytes 5-9/10", *ETAG), True),
        (ETAG, 206, ranged("bytes 5-8/10", *ETAG), False),
        (ETAG, 206, ranged("bytes 4-9/10", *ETAG), False),
        (ETAG, 206, ranged("bytes 5-10/11", *ETAG), False),
        (ETAG, 206, ranged("bytes 5-9/10", ("etag", '"b"')), False),
        (ETAG, 206, ranged("bytes 5-9/10", ("etag", 'W/"a"')), False),
        (ETAG, 206, ranged("bytes 5-9/10"), False),
        ((("etag", 'W/"a"'),), 206, ranged("bytes 5-9/10", ("etag", 'W/"a"')), False),
        (ETAG, 200, ETAG, False),
    ],
)
def test_the_rest_must_prove_that_it_is_the_rest(
    held: Headers, status: int, headers: Headers, expected: bool
) -> None:
    assert continues(held, 5, 10, status, headers) is expected
