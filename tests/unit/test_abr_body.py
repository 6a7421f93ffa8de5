"""What a body has to be before it counts."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abr.drivers.body import TEXT_BYTES_MAX, Body, DamagedBody, TooLargeBody
from abr.drivers.fields import read_content_range, read_validator, retry_after_s
from nearcast.media import ByteRange


def box(kind: bytes, payload: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def large_box(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I4sQ", 1, kind, 16 + len(payload)) + payload


SEGMENT = box(b"styp", b"msdh0000") + box(b"moof", b"x" * 90) + box(b"mdat", b"y" * 900)


def body(
    coding: str = "identity",
    byte_range: ByteRange | None = None,
    *,
    is_partial: bool = False,
    is_resumed: bool = False,
    keeps: bool = False,
) -> Body:
    return Body(
        coding=coding,
        byte_range=byte_range,
        is_partial=is_partial,
        is_resumed=is_resumed,
        keeps=keeps,
    )


def take(made: Body, data: bytes, step: int = 37) -> Body:
    for at in range(0, len(data), step):
        made.feed(data[at : at + step])
    made.end()
    return made


@given(st.integers(1, 1500))
def test_whole_segment_is_taken_however_it_is_cut(step: int) -> None:
    assert take(body(), SEGMENT, step).received_bytes == len(SEGMENT)


@given(st.integers(9, len(SEGMENT) - 1).filter(lambda cut: cut not in (16, 114)))
def test_segment_cut_within_a_box_is_damaged(cut: int) -> None:
    """Whatever the length field said: the server may have got that wrong, too."""
    with pytest.raises(DamagedBody, match="breaks off"):
        take(body(), SEGMENT[:cut])


def test_large_and_open_boxes_are_followed() -> None:
    take(body(), box(b"moof") + large_box(b"mdat", b"z" * 500))
    take(body(), box(b"moof") + struct.pack(">I4s", 0, b"mdat") + b"to the end")
    with pytest.raises(DamagedBody):
        take(body(), box(b"moof") + large_box(b"mdat", b"z" * 500)[:-1])
    with pytest.raises(DamagedBody, match="smaller than its own head"):
        take(body(), box(b"moof", b"p" * 60) + struct.pack(">I4s", 3, b"mdat"))


@given(st.binary(max_size=300))
def test_what_is_not_boxes_is_taken_as_it_is(data: bytes) -> None:
    """MPEG-TS, packed audio, test bytes: their length field is all there is."""
    if data[4:8] in (b"moof", b"styp") or data.lstrip()[:1] == b"<":
        return
    assert take(body(), data).received_bytes == len(data)


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>404", b"\n <html><body>", b"<HEAD>"])
def test_page_is_no_media_whatever_its_type_says(page: bytes) -> None:
    with pytest.raises(DamagedBody, match="a page came"):
        take(body(), page + b"." * 100)
    with pytest.raises(DamagedBody, match="a page came"):
        take(body(), page)


@pytest.mark.parametrize(("coding", "coded"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_coded_body_is_decoded_and_counted_as_it_came(
    coding: str, coded: Callable[[bytes], bytes]
) -> None:
    data = coded(SEGMENT)
    assert take(body(coding), data).received_bytes == len(data)
    with pytest.raises(DamagedBody, match="breaks off"):
        take(body(coding), data[:-9])
    with pytest.raises(DamagedBody, match="cannot be decoded"):
        take(body(coding), b"no such coding" * 9)


def test_coded_damage_is_found_within() -> None:
    with pytest.raises(DamagedBody, match="within a box"):
        take(body("gzip"), gzip.compress(SEGMENT[:-5]))


def test_coded_manifest_is_read() -> None:
    assert take(body("gzip", keeps=True), gzip.compress(b"<MPD/>" * 99)).kept == b"<MPD/>" * 99


def test_bomb_is_stopped_at_the_bound() -> None:
    bomb = gzip.compress(b" " * (TEXT_BYTES_MAX + 1))
    with pytest.raises(TooLargeBody, match="larger than 4 MiB"):
        take(body("gzip", keeps=True), bomb, 4096)


def test_unknown_codings_and_ranges_of_coded_bodies_are_refused() -> None:
    with pytest.raises(DamagedBody, match="coded as br"):
        body("br")
    with pytest.raises(DamagedBody, match="a range of an answer coded as gzip"):
        body("gzip", ByteRange(0, 9))


def test_index_is_cut_out_of_the_whole_file() -> None:
    made = body(byte_range=ByteRange(10, 19), keeps=True)
    made.feed(b"0123456789")
    assert not made.is_enough
    made.feed(b"abcdefghijKLMNOP")
    assert made.is_enough
    made.end()
    assert made.kept == b"abcdefghij"
    with pytest.raises(DamagedBody, match="does not have the range"):
        take(body(byte_range=ByteRange(10, 19), keeps=True), b"short")


def test_rest_of_a_body_is_not_looked_at() -> None:
    take(body(byte_range=ByteRange(5, 9), is_partial=True, is_resumed=True), b"<html")


@pytest.mark.parametrize(
    ("fields", "wait_s"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "-7"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "9" * 30}, None),
        ({"Retry-After": "Fri, 01 Jan 2100 00:00:09 GMT"}, None),
        (
            {
                "Retry-After": "Fri, 01 Jan 2100 00:00:09 GMT",
                "Date": "Fri, 01 Jan 2100 00:00:00 GMT",
            },
            9.0,
        ),
        (
            {
                "Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT",
                "Date": "Fri, 01 Jan 2100 00:00:00 GMT",
            },
            0.0,
        ),
    ],
)
def test_retry_after_is_told_by_the_servers_own_clock(
    fields: dict[str, str], wait_s: float | None
) -> None:
    assert retry_after_s(fields) == wait_s


def test_content_range_is_read_strictly() -> None:
    assert read_content_range({}) is None
    assert read_content_range({"Content-Range": "bytes 5-9/10"}) == ByteRange(5, 9)
    assert read_content_range({"Content-Range": "bytes 5-9/*"}) == ByteRange(5, 9)
    for text in ("bytes 9-5/10", "bytes */10", "items 1-2/3", "bytes 1-2", "", "bytes a-b/c"):
        with pytest.raises(DamagedBody):
            read_content_range({"Content-Range": text})


def test_only_a_strong_tag_of_a_server_that_takes_ranges_names_a_version() -> None:
    ranges = {"Accept-Ranges": "bytes"}
    assert read_validator({**ranges, "ETag": '"a"'}, 200) == '"a"'
    assert read_validator({"ETag": '"a"'}, 206) == '"a"'
    assert read_validator({"ETag": '"a"'}, 200) is None
    assert read_validator({**ranges, "ETag": 'W/"a"'}, 200) is None
    assert read_validator({**ranges, "ETag": '"a\r\nX: y"'}, 200) is None
    assert read_validator(ranges, 200) is None
