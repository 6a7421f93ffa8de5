"""Reading DASH manifests: addressing, inheritance, and what is turned away."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from nearcast.errors import RemoteProtocolError
from nearcast.manifests import limits, read_manifest
from nearcast.media import ByteRange, Presentation, Representation

URL = "http://origin.example/films/one/manifest.mpd"


def mpd(
    inner: str,
    *,
    root: str = 'type="static" mediaPresentationDuration="PT9S"',
    representation: str = 'id="v" bandwidth="800000"',
    adaptation_set: str = 'contentType="video"',
    outer: str = "",
) -> bytes:
    return (
        f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" {root}>{outer}<Period>'
        f"<AdaptationSet {adaptation_set}><Representation {representation}>{inner}"
        "</Representation></AdaptationSet></Period></MPD>"
    ).encode()


def read(text: bytes) -> Presentation:
    presentation = read_manifest(text, URL)
    assert isinstance(presentation, Presentation)
    return presentation


def only(text: bytes) -> Representation:
    return read(text).video[0]


def times(representation: Representation) -> list[tuple[float, float]]:
    return [(segment.start_s, segment.duration_s) for segment in representation.segments]


def names(representation: Representation) -> list[str]:
    return [segment.url.rpartition("/")[2] for segment in representation.segments]


def template(attributes: str, timeline: str = "") -> str:
    return (
        f'<SegmentTemplate media="$Number$.m4s" {attributes}><SegmentTimeline>{timeline}'
        "</SegmentTimeline></SegmentTemplate>"
    )


def test_constant_duration_clips_the_last_segment_to_the_period() -> None:
    made = only(mpd('<SegmentTemplate timescale="1000" duration="2000" media="$Number$.m4s"/>'))
    assert times(made) == [(0.0, 2.0), (2.0, 2.0), (4.0, 2.0), (6.0, 2.0), (8.0, 1.0)]


def test_period_rounded_up_to_a_millisecond_promises_no_further_segment() -> None:
    made = only(
        mpd(
            '<SegmentTemplate duration="3" media="$Number$.m4s"/>',
            root='mediaPresentationDuration="PT9.001S"',
        )
    )
    assert times(made) == [(0.0, 3.0), (3.0, 3.0), (6.0, 3.0)]


def test_period_duration_comes_before_that_of_the_whole() -> None:
    text = mpd('<SegmentTemplate duration="3" media="$Number$.m4s"/>')
    made = only(text.replace(b"<Period>", b'<Period duration="PT6S">'))
    assert len(made.segments) == 2


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [("PT1H2M3.5S", 3723.5), ("P1DT1S", 86401.0), ("PT90M", 5400.0), ("PT0.25S", 0.25)],
)
def test_durations_are_read_exactly(text: str, expected_s: float) -> None:
    made = only(
        mpd(
            '<SegmentTemplate duration="604800" media="$Number$.m4s"/>',
            root=f'mediaPresentationDuration="{text}"',
        )
    )
    assert made.duration_s == expected_s


def test_numbers_are_padded_and_start_where_told() -> None:
    made = only(mpd('<SegmentTemplate duration="3" startNumber="9" media="a/$Number%05d$.m4s"/>'))
    assert names(made) == ["00009.m4s", "00010.m4s", "00011.m4s"]


def test_template_fills_in_id_and_rate_and_keeps_dollar_signs() -> None:
    made = only(
        mpd(
            '<SegmentTemplate duration="9" initialization="$RepresentationID$/i$$.mp4" '
            'media="$RepresentationID$-$Bandwidth$/$Time$-$$.m4s"/>'
        )
    )
    assert made.init is not None
    assert made.init.url == "http://origin.example/films/one/v/i$.mp4"
    assert made.segments[0].url == "http://origin.example/films/one/v-800000/0-$.m4s"


def test_template_may_look_like_the_digits_it_is_joined_with() -> None:
    made = only(mpd('<SegmentTemplate duration="9" media="0123456789/$Number$-01234567890.m4s"/>'))
    assert made.segments[0].url.endswith("/one/0123456789/1-01234567890.m4s")


def test_timeline_repeats_and_names_by_time() -> None:
    made = only(
        mpd(
            '<SegmentTemplate timescale="10" presentationTimeOffset="100" media="$Time$.m4s">'
            '<SegmentTimeline><S t="100" d="20" r="2"/><S d="15"/><S t="180" d="5"/>'
            "</SegmentTimeline></SegmentTemplate>"
        )
    )
    assert names(made) == ["100.m4s", "120.m4s", "140.m4s", "160.m4s", "180.m4s"]
    assert times(made) == [(0.0, 2.0), (2.0, 2.0), (4.0, 2.0), (6.0, 1.5), (8.0, 0.5)]


def test_negative_repeat_fills_up_to_the_next_entry_and_to_the_end() -> None:
    made = only(mpd(template("", '<S t="0" d="2" r="-1"/><S t="6" d="1" r="-1"/>')))
    assert times(made) == [(0.0, 2.0), (2.0, 2.0), (4.0, 2.0), (6.0, 1.0), (7.0, 1.0), (8.0, 1.0)]


def test_timeline_without_a_first_time_starts_at_zero() -> None:
    made = only(mpd(template("", '<S d="4"/><S d="5"/>')))
    assert times(made) == [(0.0, 4.0), (4.0, 5.0)]


def test_media_before_the_period_is_cut() -> None:
    made = only(mpd(template('presentationTimeOffset="3"', '<S t="0" d="2" r="3"/>')))
    assert times(made) == [(0.0, 1.0), (1.0, 2.0), (3.0, 2.0)]
    assert names(made) == ["2.m4s", "3.m4s", "4.m4s"]


def test_long_timelines_do_not_drift() -> None:
    made = only(mpd(template('timescale="90000"', '<S t="0" d="180180" r="4999"/>')))
    assert made.segments[-1].start_s == 4999 * 180180 / 90000


def test_attributes_are_inherited_one_by_one_from_the_outside_in() -> None:
    text = (
        b'<MPD mediaPresentationDuration="PT4S"><Period>'
        b'<SegmentTemplate timescale="10" duration="40" initialization="i.mp4"/>'
        b'<AdaptationSet mimeType="video/mp4" codecs="avc1.4d401f" frameRate="30000/1001">'
        b'<SegmentTemplate duration="20" media="$RepresentationID$/$Number$.m4s"/>'
        b'<Representation id="a" bandwidth="2" width="640" height="360"/>'
        b'<Representation id="b" bandwidth="1" codecs="avc1.42c00d">'
        b'<SegmentTemplate startNumber="0"/></Representation>'
        b"</AdaptationSet></Period></MPD>"
    )
    low, high = read(text).video
    assert (low.rendition.id, low.rendition.codecs) == ("b", "avc1.42c00d")
    assert (high.rendition.codecs, high.rendition.width, high.rendition.height) == (
        "avc1.4d401f",
        640,
        360,
    )
    assert high.rendition.frame_rate == 30000 / 1001
    assert [names(low), names(high)] == [["0.m4s", "1.m4s"], ["1.m4s", "2.m4s"]]
    assert low.init is not None
    assert low.init.url == "http://origin.example/films/one/i.mp4"


def test_base_urls_build_on_each_other() -> None:
    text = mpd(
        '<BaseURL>v/</BaseURL><SegmentTemplate duration="9" media="$Number$.m4s"/>',
        outer="<BaseURL>//cdn.example/x/</BaseURL>",
    ).replace(b"<Period>", b"<Period><BaseURL>p/</BaseURL>")
    assert only(text).segments[0].url == "http://cdn.example/x/p/v/1.m4s"


def test_segment_list_gives_byte_ranges_and_sizes() -> None:
    made = only(
        mpd(
            '<BaseURL>one.mp4</BaseURL><SegmentList timescale="1000" duration="5000">'
            '<Initialization range="0-99"/><SegmentURL mediaRange="100-299"/>'
            '<SegmentURL mediaRange="300-349"/></SegmentList>'
        )
    )
    assert made.init is not None
    assert made.init.byte_range == ByteRange(0, 99)
    assert [segment.byte_range for segment in made.segments] == [
        ByteRange(100, 299),
        ByteRange(300, 349),
    ]
    assert [segment.size_bytes for segment in made.segments] == [200, 50]
    assert {segment.url for segment in made.segments} == {"http://origin.example/films/one/one.mp4"}
    assert times(made) == [(0.0, 5.0), (5.0, 4.0)]


def test_subtitles_thumbnails_and_trick_play_are_passed_over() -> None:
    segments = '<SegmentTemplate duration="9" media="$RepresentationID$.m4s"/>'
    text = (
        '<MPD mediaPresentationDuration="PT9S"><Period>'
        '<AdaptationSet contentType="text"><Representation id="t" bandwidth="1"><BaseURL>a.vtt'
        "</BaseURL></Representation></AdaptationSet>"
        f'<AdaptationSet mimeType="image/jpeg">{segments}<Representation id="i" bandwidth="1"/>'
        "</AdaptationSet>"
        '<AdaptationSet contentType="video"><EssentialProperty schemeIdUri='
        f'"http://dashif.org/guidelines/trickmode" value="1"/>{segments}'
        '<Representation id="k" bandwidth="1"/></AdaptationSet>'
        f'<AdaptationSet>{segments}<Representation id="a" bandwidth="1" codecs="mp4a.40.2" '
        'audioSamplingRate="48000"/></AdaptationSet></Period></MPD>'
    )
    presentation = read(text.encode())
    assert presentation.video == ()
    assert [one.rendition.id for one in presentation.audio] == ["a"]
    assert presentation.audio[0].rendition.sample_rate_hz == 48000


def test_equal_ids_are_told_apart() -> None:
    text = mpd('<SegmentTemplate duration="9" media="$Number$.m4s"/>')
    start = text.index(b"<Representation")
    end = text.index(b"</AdaptationSet>")
    twice = text[:end] + text[start:end] + text[end:]
    assert [one.rendition.id for one in read(twice).video] == ["v", "v-2"]


def test_odd_describing_attributes_do_not_cost_the_title() -> None:
    made = only(
        mpd(
            '<SegmentTemplate duration="9" media="$Number$.m4s"/>',
            representation='id="v" bandwidth="1" width="-3" height="x" frameRate="30/0"',
        )
    )
    assert (made.rendition.width, made.rendition.height, made.rendition.frame_rate) == (
        None,
        None,
        None,
    )


FINE = '<SegmentTemplate duration="3" media="$Number$.m4s"/>'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b" \n\t ", "empty", id="blank"),
        pytest.param(b"\x00\xff\xfe garbage", "not UTF-8", id="binary"),
        pytest.param(b"hello", "neither a DASH nor an HLS", id="text"),
        pytest.param(b"<", "not well-formed", id="cut off"),
        pytest.param(b"<html><body>404</body></html>", "not an MPD", id="html"),
        pytest.param(b"<MPD/>", "no Period", id="no period"),
        pytest.param(b"<MPD><Period/></MPD>", "no video and no audio", id="empty period"),
        pytest.param(b"<" * 5_000_000, "bytes long", id="too long"),
        pytest.param(b"<MPD>" + b"<a/>" * 300_000 + b"</MPD>", "tags", id="too many tags"),
        pytest.param(b"<MPD>" + b"<a>" * 90_000, "Excessive depth", id="too deep"),
        pytest.param(mpd(FINE, root='type="dynamic"'), "live", id="live"),
        pytest.param(mpd(FINE, root=""), "how long", id="no duration"),
        pytest.param(
            mpd(FINE).replace(b"<Period>", b"<Period/><Period>"), "how long", id="unknown period"
        ),
        pytest.param(
            mpd(FINE).replace(b"<Period>", b"<Period/>" * 501 + b"<Period>"),
            "500 Periods",
            id="many",
        ),
        pytest.param(
            mpd(FINE).replace(
                b"<Period>",
                b'<Period xmlns:x="http://www.w3.org/1999/xlink" x:href="http://e/p">',
            ),
            "xlink",
            id="remote period",
        ),
        pytest.param(mpd(FINE, root='mediaPresentationDuration="PT-5S"'), "duration", id="minus"),
        pytest.param(mpd(FINE, root='mediaPresentationDuration="NaN"'), "duration", id="nan"),
        pytest.param(mpd(FINE, root='mediaPresentationDuration="PT0S"'), "above 0", id="zero"),
        pytest.param(
            mpd(FINE, root='mediaPresentationDuration="P99999D"'), "a week", id="centuries"
        ),
        pytest.param(mpd(FINE, representation='id="v"'), "no @bandwidth", id="no rate"),
        pytest.param(
            mpd(FINE, representation='id="v" bandwidth="-1"'), "whole number", id="minus rate"
        ),
        pytest.param(mpd(FINE, representation='id="v" bandwidth="0"'), "zero", id="zero rate"),
        pytest.param(
            mpd(FINE, representation=f'id="v" bandwidth="{"9" * 19}"'), "too large", id="huge rate"
        ),
        pytest.param(mpd("<SegmentBase/>"), "line 1: .* BaseURL", id="segment base of nothing"),
        pytest.param(mpd(""), "neither segments nor a BaseURL", id="nothing"),
        pytest.param(
            mpd('<BaseURL>a.mp4</BaseURL><SegmentBase indexRange="7-3"/>'),
            "indexRange .* ends before",
            id="index range",
        ),
        pytest.param(
            mpd('<BaseURL>a.mp4</BaseURL><SegmentBase indexRange="0-9999999"/>'),
            "index .* 10000000 bytes",
            id="huge index",
        ),
        pytest.param(
            mpd('<SegmentTemplate media="$Number$"/>'), "neither a SegmentTimeline", id="no timing"
        ),
        pytest.param(mpd('<SegmentTemplate duration="3"/>'), "no @media", id="no media"),
        pytest.param(
            mpd('<SegmentTemplate duration="3" media="$Nonsense$"/>'), "identifier", id="identifier"
        ),
        pytest.param(
            mpd('<SegmentTemplate duration="1" timescale="100000000" media="$Number$"/>'),
            "segments; at most",
            id="too many by duration",
        ),
        pytest.param(
            mpd('<SegmentTemplate duration="1" timescale="0" media="$Number$"/>'),
            "zero",
            id="zero timescale",
        ),
        pytest.param(
            mpd(template("", '<S t="0" d="1" r="1000000000"/>')), "more than 50000", id="repeats"
        ),
        pytest.param(mpd(template("", '<S t="0" d="-1"/>')), "whole number", id="minus segment"),
        pytest.param(mpd(template("", '<S t="0" d="0"/>')), "zero", id="zero segment"),
        pytest.param(mpd(template("", '<S t="0"/>')), "no @d", id="no length"),
        pytest.param(mpd(template("", '<S t="0" d="999999999"/>')), "lasts", id="years"),
        pytest.param(
            mpd(template("", '<S t="5" d="1"/><S t="3" d="1"/>')), "goes back", id="back in time"
        ),
        pytest.param(
            mpd(template("", '<S t="0" d="1" r="-1"/>'), root=""), "until when", id="endless"
        ),
        pytest.param(
            mpd(template('presentationTimeOffset="99"', '<S t="0" d="1"/>')),
            "before the start",
            id="before the period",
        ),
        pytest.param(mpd(template("")), "no segments", id="no segments"),
        pytest.param(
            mpd('<BaseURL>file:///etc/</BaseURL><SegmentTemplate duration="3" media="passwd"/>'),
            "only http",
            id="local file",
        ),
        pytest.param(
            mpd('<BaseURL>http://[::1/</BaseURL><SegmentTemplate duration="3" media="a"/>'),
            "not a URL",
            id="bad address",
        ),
        pytest.param(
            mpd(f'<SegmentTemplate duration="3" media="{"a" * 9000}"/>'), "too long", id="long url"
        ),
        pytest.param(
            mpd('<SegmentList duration="3"><SegmentURL media="a" mediaRange="9-3"/></SegmentList>'),
            "ends before",
            id="range",
        ),
    ],
)
def test_nonsense_is_refused_with_the_reason(text: bytes, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        read_manifest(text, URL)


def test_segments_of_all_representations_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEGMENT_COUNT_MAX", 500)
    one = b'<Representation id="%d" bandwidth="1"/>'
    text = mpd("").replace(
        b'<Representation id="v" bandwidth="800000">',
        b'<SegmentTemplate media="$Number$"><SegmentTimeline><S t="0" d="1" r="9"/>'
        b"</SegmentTimeline></SegmentTemplate>"
        + b"".join(one % number for number in range(60))
        + b'<Representation id="v" bandwidth="1">',
    )
    with pytest.raises(RemoteProtocolError, match="500 segments in all"):
        read_manifest(text, URL)


def test_too_many_representations_are_refused() -> None:
    text = mpd(FINE).replace(
        b"<Representation ",
        b'<SegmentTemplate duration="3" media="$Number$"/>'
        + b'<Representation bandwidth="1"/>' * 100
        + b"<Representation ",
    )
    with pytest.raises(RemoteProtocolError, match="more than 100 representations"):
        read_manifest(text, URL)


def test_entities_are_neither_expanded_nor_fetched() -> None:
    names = [f"a{number}" for number in range(40)]
    doubled = "".join(f'<!ENTITY {two} "&{one};&{one};">' for one, two in pairwise(names))
    bomb = b'<!DOCTYPE m [<!ENTITY a0 "ha">' + doubled.encode()
    outside = b'<!DOCTYPE m [<!ENTITY a39 SYSTEM "file:///etc/passwd">'
    for head in (bomb, outside):
        started_s = time.process_time()
        with pytest.raises(RemoteProtocolError, match="document type"):
            read_manifest(head + b"]><MPD>&a39;</MPD>", URL)
        assert time.process_time() - started_s < 1.0


def test_a_declared_encoding_cannot_hide_a_document_type() -> None:
    hidden = b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE m+AD4-<MPD/>'
    with pytest.raises(RemoteProtocolError):
        read_manifest(hidden, URL)
