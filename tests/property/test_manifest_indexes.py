"""Whatever a media file holds where its index should be, reading it ends, in bounds."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast.errors import RemoteProtocolError
from nearcast.manifests import HlsMaster, IndexPlace, IndexReader, read_manifest
from nearcast.manifests.index_reader import BOXES_MAX, INDEX_BYTES_MAX, INDEXES_MAX
from nearcast.manifests.limits import SegmentBudget
from nearcast.media import ByteRange, Presentation
from tests.fuzzing import mutated
from tests.sidx_maker import box, media, sidx

MANY = settings(max_examples=400, deadline=None)
FETCHES_MAX = 2 * (BOXES_MAX + INDEXES_MAX)
LOW = sidx([(False, 50, 1000), (False, 60, 1000)]) + media(110)
EXAMPLES = (
    sidx([(False, 100, 4000), (False, 120, 4000)]) + media(220),
    box("ftyp", bytes(16)) + box("moov", bytes(60)) + sidx([(False, 100, 4000)], version=1),
    sidx([(True, len(LOW), 2000), (False, 30, 1000)], is_large=True) + LOW + media(30),
    b"".join(sidx([(False, 40, 1000), (True, 900, 9000)]) + media(40) for _ in range(4)),
)


def assert_reads_or_refuses(content: bytes, byte_range: ByteRange | None) -> None:
    place = IndexPlace(url="http://e.test/a", byte_range=byte_range, offset_s=Fraction(1, 3))
    reader = IndexReader(place, SegmentBudget())
    fetch_count = 0
    try:
        while (wanted := reader.wanted) is not None:
            fetch_count += 1
            assert fetch_count <= FETCHES_MAX
            assert 0 <= wanted.first <= wanted.last
            assert byte_range == wanted or wanted.size_bytes <= INDEX_BYTES_MAX
            reader.feed(content[wanted.first : wanted.last + 1])
    except RemoteProtocolError:
        return
    found = reader.found
    assert found is not None
    assert len(found.ranges) == len(found.starts_s) == len(found.durations_s) > 0
    assert all(length_s > 0 for length_s in found.durations_s)
    assert list(found.starts_s) == sorted(found.starts_s)
    assert all(one.first > found.first_byte for one in found.ranges)


@MANY
@given(mutated(EXAMPLES))
def test_damaged_indexes_are_read_or_refused(content: bytes) -> None:
    assert_reads_or_refuses(content, None)


@MANY
@given(mutated(EXAMPLES), st.integers(0, 400), st.integers(0, 400))
def test_ranges_that_miss_the_index_are_read_or_refused(
    content: bytes, first: int, length: int
) -> None:
    assert_reads_or_refuses(content, ByteRange(first, first + length))


ENTRIES = st.tuples(st.booleans(), st.integers(0, 2**31 - 1), st.integers(0, 2**32 - 1))


@MANY
@given(
    st.lists(ENTRIES, max_size=8),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
)
def test_any_numbers_in_an_index_are_read_or_refused(
    entries: list[tuple[bool, int, int]], timescale: int, start: int, offset: int
) -> None:
    content = sidx(entries, timescale=timescale, start=start, offset=offset, version=1)
    assert_reads_or_refuses(content * 4, None)


LINES = st.lists(
    st.sampled_from(
        (
            "#EXTINF:4,",
            "#EXTINF:2.5,",
            "a.mp4",
            "b.m4s",
            "#EXT-X-BYTERANGE:100",
            "#EXT-X-BYTERANGE:100@50",
            "#EXT-X-GAP",
            "#EXT-X-DISCONTINUITY",
            '#EXT-X-MAP:URI="i.mp4"',
            '#EXT-X-MAP:URI="a.mp4",BYTERANGE="50@0"',
            "#EXT-X-BITRATE:900",
            "#EXT-X-PROGRAM-DATE-TIME:2001-01-01T00:00:00Z",
        )
    ),
    max_size=40,
)


@MANY
@given(LINES)
def test_playlists_of_any_order_rise_in_time_and_name_their_inits(lines: list[str]) -> None:
    text = "\n".join(["#EXTM3U", *lines, "#EXT-X-ENDLIST"]).encode()
    try:
        made = read_manifest(text, "http://e.test/a.m3u8")
    except RemoteProtocolError:
        return
    assert isinstance(made, Presentation)
    assert not isinstance(made, HlsMaster)
    (one,) = made.video
    now_s = 0.0
    for segment in one.segments:
        assert segment.start_s >= now_s
        now_s = segment.end_s
    # An independent reading: the last EXT-X-MAP before each line of a segment that is there.
    maps, wanted, is_gap = "", [], False
    for line in lines:
        if line.startswith("#EXT-X-MAP"):
            maps = line
        elif line == "#EXT-X-GAP":
            is_gap = True
        elif not line.startswith("#"):
            if not is_gap:
                wanted.append(maps)
            is_gap = False
    found = [one.init_of(segment) for segment in one.segments]
    urls = ["" if init is None else init.url.rpartition("/")[2] for init in found]
    assert len(urls) == len(wanted)
    assert all((url in line) if url else not line for url, line in zip(urls, wanted, strict=True))
