"""Segments kept as rules and arrays: small, and found again by their URLs."""

from __future__ import annotations

import pytest

from nearcast.manifests import read_manifest
from nearcast.manifests.tables import SegmentTable, split
from nearcast.media import Presentation

URL = "http://origin.example/films/one/index.m3u8"
HOME = "http://origin.example/films/one/"


def playlist(*lines: str) -> SegmentTable:
    text = "\n".join(["#EXTM3U", "#EXT-X-TARGETDURATION:4", *lines, "#EXT-X-ENDLIST"])
    return table(text.encode())


def table(text: bytes) -> SegmentTable:
    made = read_manifest(text, URL)
    assert isinstance(made, Presentation)
    segments = made.video[0].segments
    assert isinstance(segments, SegmentTable)
    return segments


def mpd(media: str, timeline: str, more: str = "") -> SegmentTable:
    return table(
        f"""<MPD type="static" mediaPresentationDuration="PT10H"><Period>
        <AdaptationSet mimeType="video/mp4"><Representation id="v" bandwidth="1000">
        <SegmentTemplate timescale="1" media="{media}" {more}>
        <SegmentTimeline>{timeline}</SegmentTimeline>
        </SegmentTemplate></Representation></AdaptationSet></Period></MPD>""".encode()
    )


def test_a_long_run_of_a_template_costs_no_more_than_a_short_one() -> None:
    long = mpd("s$Time$.m4s", '<S t="0" d="1" r="20000"/>')
    short = mpd("s$Time$.m4s", '<S t="0" d="1" r="2"/>')
    assert len(long) == 20_001
    assert long.size_bytes == short.size_bytes < 2_000
    assert long[20_000].url == HOME + "s20000.m4s"


@pytest.mark.parametrize("name", ["seg{}.ts", "a{:032x}b.ts"])
def test_a_listed_segment_costs_less_than_a_hundred_bytes(name: str) -> None:
    count = 2_000
    lines = [f"#EXTINF:4,\n{name.format(no * no * 7 + no)}" for no in range(count)]
    segments = playlist(*lines)
    assert segments.size_bytes / count < 100
    assert segments.names is not None
    for index in (0, 1, 77, count - 1):
        url = segments[index].url
        folder, last = split(url)
        assert folder == HOME
        assert index in segments.with_name(last, 0)
    assert list(segments.with_name("other.ts", 0)) == []


def test_numbered_names_are_a_rule() -> None:
    segments = playlist(*(f"#EXTINF:4,\nseg{no:03d}.ts?x=1" for no in range(8, 1012)))
    assert segments.names is None
    assert segments.template is not None
    assert segments.template.digits == (HOME + "seg", ".ts?x=1")
    assert segments.with_digits(8) == 0
    assert segments.with_digits(1011) == 1003
    assert segments.with_digits(1012) is None
    assert segments.with_digits(7) is None
    assert segments[992].url == HOME + "seg1000.ts?x=1"


def test_a_rule_is_no_way_around_the_check_of_references() -> None:
    segments = playlist("#EXTINF:4,\nhttp://a.example:81/x", "#EXTINF:4,\nhttp://a.example:82/x")
    assert [one.url for one in segments] == ["http://a.example:81/x", "http://a.example:82/x"]


def test_times_in_urls_lead_to_their_segments() -> None:
    segments = mpd("s$Time$.m4s", '<S t="100" d="3" r="1"/><S t="200" d="5"/><S d="7"/>')
    assert [one.url.rpartition("/s")[2] for one in segments] == [
        "100.m4s", "103.m4s", "200.m4s", "205.m4s",
    ]  # fmt: skip
    assert [segments.with_digits(at) for at in (100, 103, 106, 101, 200, 205, 99)] == [
        0, 1, None, None, 2, 3, None,
    ]  # fmt: skip


def test_what_is_over_before_the_period_begins_is_left_out() -> None:
    segments = mpd(
        "s$Number$.m4s", '<S t="0" d="4" r="9"/>', 'startNumber="5" presentationTimeOffset="10"'
    )
    assert [one.url[len(HOME) :] for one in segments][:2] == ["s7.m4s", "s8.m4s"]
    assert [(one.start_s, one.duration_s) for one in segments][:2] == [(0, 2), (2, 4)]
    assert segments.with_digits(6) is None
    assert segments.with_digits(7) == 0


def test_ranges_of_one_file_are_told_apart_by_their_first_byte() -> None:
    segments = playlist(
        *(f"#EXTINF:4,\n#EXT-X-BYTERANGE:10@{first}\none.mp4" for first in (50, 60, 70))
    )
    assert [next(segments.with_name("one.mp4", first)) for first in (0, 50, 59, 60, 75, 99)] == [
        0, 0, 0, 1, 2, 2,
    ]  # fmt: skip


def test_a_table_is_a_sequence_like_any_other() -> None:
    segments = playlist("#EXTINF:4,\na.ts", "#EXTINF:2,\nb.ts", "#EXTINF:3,\nc.ts")
    assert segments == tuple(segments)
    assert segments[-1].url == HOME + "c.ts"
    assert segments[1:] == (segments[1], segments[2])
    assert segments != tuple(segments[:2])
    with pytest.raises(IndexError):
        segments[3]
