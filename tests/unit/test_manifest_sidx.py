"""Segment indexes in media files: the box, and the search for it."""

from __future__ import annotations

from fractions import Fraction

import pytest

from nearcast.errors import RemoteProtocolError
from nearcast.manifests import FoundIndex, IndexPlace, IndexReader
from nearcast.manifests import index_reader as reading
from nearcast.manifests.limits import SegmentBudget
from nearcast.manifests.sidx import read_sidx
from nearcast.media import ByteRange
from tests.sidx_maker import box, media, sidx

HEAD = box("ftyp", bytes(16)) + box("moov", bytes(600))
PLAIN = [(False, 100, 4000), (False, 120, 4000), (False, 50, 1500)]
FETCHES_MAX = 20


def reader(byte_range: ByteRange | None = None, offset_s: Fraction = Fraction(0)) -> IndexReader:
    place = IndexPlace(url="http://e.test/a.mp4", byte_range=byte_range, offset_s=offset_s)
    return IndexReader(place, SegmentBudget())


def read(
    content: bytes, byte_range: ByteRange | None = None, offset_s: Fraction = Fraction(0)
) -> tuple[FoundIndex, list[ByteRange]]:
    """What is found in this file, and what was asked for."""
    one = reader(byte_range, offset_s)
    asked: list[ByteRange] = []
    while one.wanted is not None:
        asked.append(one.wanted)
        assert len(asked) <= FETCHES_MAX
        one.feed(content[one.wanted.first : one.wanted.last + 1])
    assert one.found is not None
    return one.found, asked


def times(found: FoundIndex) -> list[tuple[float, float]]:
    return list(zip(found.starts_s, found.durations_s, strict=True))


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("is_large", [False, True])
def test_index_gives_ranges_and_times(version: int, is_large: bool) -> None:
    index = sidx(PLAIN, version=version, is_large=is_large, offset=7)
    content = HEAD + index + bytes(7) + media(100) + media(120) + media(50)
    at, behind = len(HEAD), len(HEAD) + len(index) + 7
    found, asked = read(content, ByteRange(at, at + len(index) - 1))
    assert asked == [ByteRange(at, at + len(index) - 1)]
    assert found.first_byte == at
    assert times(found) == [(0.0, 4.0), (4.0, 4.0), (8.0, 1.5)]
    assert found.ranges == (
        ByteRange(behind, behind + 99),
        ByteRange(behind + 100, behind + 219),
        ByteRange(behind + 220, behind + 269),
    )


def test_index_is_found_from_the_beginning_of_the_file() -> None:
    found, asked = read(HEAD + sidx(PLAIN) + media(270))
    assert found.first_byte == len(HEAD)
    assert len(asked) == 1


def test_boxes_larger_than_what_was_fetched_are_stepped_over() -> None:
    head = box("ftyp", bytes(16)) + box("moov", bytes(100_000))
    entries = [(False, 100, 1000)] * 3000  # 36 kB, more than is fetched where the size is unknown
    found, asked = read(head + sidx(entries) + bytes(1000))
    assert len(found.ranges) == 3000
    assert [each.first for each in asked] == [0, len(head), len(head)]
    assert asked[-1].size_bytes == 3000 * 12 + 32


def test_times_count_from_the_beginning_of_the_period() -> None:
    content = sidx([(False, 10, 2000), (False, 20, 2000), (False, 30, 2000)], start=9000)
    found, _ = read(content, offset_s=Fraction(12))
    assert times(found) == [(0.0, 1.0), (1.0, 2.0)]
    assert [each.size_bytes for each in found.ranges] == [20, 30]


def test_indexes_below_an_index_are_read_in_order() -> None:
    low = [sidx([(False, 50, 1000)] * 2, start=2000 * number) + media(100) for number in range(3)]
    top = sidx([(True, len(each), 2000) for each in low])
    content = HEAD + top + b"".join(low)
    found, asked = read(content, ByteRange(len(HEAD), len(HEAD) + len(top) - 1))
    assert times(found) == [(float(second), 1.0) for second in range(6)]
    assert [each.size_bytes for each in found.ranges] == [50] * 6
    assert found.first_byte == len(HEAD)
    # The first piece that was fetched behind the top index held the others as well.
    assert len(asked) == 2


def test_chain_of_indexes_is_followed_to_its_end() -> None:
    content = b""
    for number in reversed(range(5)):
        rest = [] if not content else [(True, len(content), 1000)]
        content = sidx([(False, 40, 1000), *rest], start=1000 * number) + media(40) + content
    found, _ = read(content)
    assert times(found) == [(float(second), 1.0) for second in range(5)]
    assert found.starts_s == (0.0, 1.0, 2.0, 3.0, 4.0)


def test_indexes_of_one_file_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "INDEXES_MAX", 3)
    low = [sidx([(False, 50, 1000)], start=1000 * number) + media(50) for number in range(4)]
    with pytest.raises(RemoteProtocolError, match="more than 3 sidx"):
        read(sidx([(True, len(each), 1000) for each in low]) + b"".join(low))


def test_segments_of_all_indexes_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearcast.manifests.limits.SEGMENT_COUNT_MAX", 5)
    budget = SegmentBudget()
    place = IndexPlace(url="http://e.test/a.mp4", byte_range=None, offset_s=Fraction(0))
    one, two = IndexReader(place, budget), IndexReader(place, budget)
    one.feed(sidx(PLAIN))
    with pytest.raises(RemoteProtocolError, match="more than 5 segments"):
        two.feed(sidx(PLAIN))


WEEK = 7 * 24 * 3600


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "cut off after 0 bytes", id="nothing"),
        pytest.param(b"\0\0\0\x08mo", "cut off after 6 bytes", id="half a head"),
        pytest.param(b"<html><body>gone</body></html>", "not an MP4 box", id="a page"),
        pytest.param(b"\x1a\x45\xdf\xa3" + bytes(90), "WebM", id="webm"),
        pytest.param(HEAD + media(100) + sidx(PLAIN), "no sidx box before 'moof'", id="behind"),
        pytest.param(HEAD + b"\0\0\0\0free", "no sidx box before 'free'", id="to the end"),
        pytest.param(b"\0\0\0\x04free", "says that it has 4 bytes", id="small box"),
        pytest.param(b"\0\0\0\x01free" + b"\xff" * 8, "bytes", id="huge box"),
        pytest.param(box("free") * 40, "first 32 boxes", id="many boxes"),
        pytest.param(HEAD, "cut off after 0 bytes", id="only a head"),
        pytest.param(HEAD + sidx(PLAIN)[:30], "cut off: 30 of 68", id="half an index"),
        pytest.param(sidx([]), "lists no segments", id="no entries"),
        pytest.param(sidx(PLAIN, count=4), "lists 4 segments and has room for 3", id="count"),
        pytest.param(sidx(PLAIN, count=65535), "room for 3", id="huge count"),
        pytest.param(sidx(PLAIN, timescale=0), "timescale .* zero", id="no timescale"),
        pytest.param(sidx(PLAIN, version=2), "version 2", id="version"),
        pytest.param(sidx([(False, 0, 1000)]), "without bytes", id="no bytes"),
        pytest.param(sidx([(False, 10, 0)]), "without duration", id="no time"),
        pytest.param(sidx([(False, 10, WEEK * 1000 + 1)]), "than a week", id="years"),
        pytest.param(sidx(PLAIN, start=WEEK * 2000), "after more than a week", id="late"),
        pytest.param(sidx(PLAIN, version=1, start=2**63 + 1), "out of bounds", id="far late"),
        pytest.param(sidx(PLAIN, version=1, offset=2**60), "out of bounds", id="far away"),
        pytest.param(sidx(PLAIN, version=1, offset=2**53 - 150), "out of bounds", id="off the end"),
        pytest.param(sidx([(True, 100, 1000)]) + media(100), "'moof' as another", id="no index"),
        pytest.param(
            sidx([(True, 44, 1000), (True, 44, 1000)]) + 2 * sidx([(False, 9, 100)], start=500),
            "go back",
            id="twice the same time",
        ),
        pytest.param(b"\0\xff\xff\xffsidx" + bytes(50), "sidx box of 16777215", id="huge index"),
    ],
)
def test_nonsense_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        read(content)


def test_index_that_lies_before_the_period_alone_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="before the start of the Period"):
        read(sidx(PLAIN), offset_s=Fraction(100))


def test_empty_body_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="cut off after 0"):
        read_sidx(b"")
