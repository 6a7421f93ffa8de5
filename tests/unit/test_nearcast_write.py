"""What the written manifests look like, and how URLs and kinds are told."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nearcast.errors import LocalProtocolError
from nearcast.manifests import (
    foreign_urls,
    is_manifest,
    measured_rates_kbps,
    write_master,
    write_media,
    write_mpd,
)
from nearcast.manifests.ticks import fraction_text
from nearcast.manifests.urls import numbered, relative
from nearcast.media import Presentation, Rendition, Representation, Segment, TrackKind

HOME = "http://origin.example/media/one/"


def representation(
    rendition_id: str,
    kind: TrackKind,
    durations_s: Sequence[float],
    sizes_bytes: Sequence[int | None],
    *,
    language: str | None = None,
) -> Representation:
    is_video = kind == "video"
    segments = []
    start_s = 0.0
    for number, (duration_s, size_bytes) in enumerate(
        zip(durations_s, sizes_bytes, strict=True), start=1
    ):
        segments.append(
            Segment(
                url=f"{HOME}{rendition_id}/{number}.m4s",
                start_s=start_s,
                duration_s=duration_s,
                size_bytes=size_bytes,
            )
        )
        start_s += duration_s
    return Representation(
        rendition=Rendition(
            id=rendition_id,
            kind=kind,
            codecs="avc1.4d401f" if is_video else "mp4a.40.2",
            peak_kbps=800.0 if is_video else 96.0,
            average_kbps=600.0 if is_video else 90.0,
            width=640 if is_video else None,
            height=360 if is_video else None,
            frame_rate=30000 / 1001 if is_video else None,
            sample_rate_hz=None if is_video else 48000,
            channel_count=None if is_video else 2,
            language=language,
        ),
        init=Segment(url=f"{HOME}{rendition_id}/init.mp4", start_s=0.0, duration_s=0.0),
        segments=tuple(segments),
    )


VIDEO = representation("360p", "video", [2.002, 2.002, 2.002], [100_100, 300_300, 200_200])
AUDIO = representation("aac", "audio", [2.048, 1.984, 1.952], [None] * 3)
ONE = Presentation(
    url=HOME + "manifest.mpd", duration_s=VIDEO.duration_s, video=(VIDEO,), audio=(AUDIO,)
)


def test_mpd_has_template_rates_and_exact_times() -> None:
    text = write_mpd(ONE)
    assert 'profiles="urn:mpeg:dash:profile:isoff-live:2011"' in text
    assert 'mediaPresentationDuration="PT6.006S"' in text
    assert 'bandwidth="1200000"' in text  # the second segment: 300300 B in 2.002 s
    assert 'bandwidth="96000"' in text  # sizes unknown: as the rendition says
    assert 'frameRate="30000/1001"' in text
    assert (
        '<SegmentTemplate timescale="90000" duration="180180" startNumber="1" '
        'initialization="360p/init.mp4" media="360p/$Number$.m4s"/>' in text
    )
    assert 'timescale="48000"' in text
    assert '<S t="0" d="98304"/>' in text
    assert text.count('segmentAlignment="true"') == 2
    assert text.count('startWithSAP="1"') == 2


def test_constant_duration_is_not_written_where_the_period_is_longer() -> None:
    longer = representation("aac", "audio", [2.048, 2.048, 2.048], [None] * 3)
    presentation = Presentation(url=ONE.url, duration_s=6.144, video=(VIDEO,), audio=(longer,))
    text = write_mpd(presentation)
    assert '<S t="0" d="180180" r="2"/>' in text  # @duration would promise a fourth segment
    assert 'duration="98304"' in text


def test_a_wanted_timescale_is_used_where_it_is_exact() -> None:
    assert 'timescale="30000"' in write_mpd(ONE, timescales={"360p": 30000})
    assert 'timescale="25"' not in write_mpd(ONE, timescales={"360p": 25})


def test_unaligned_renditions_do_not_claim_alignment() -> None:
    other = representation("720p", "video", [3.003, 1.001, 2.002], [None] * 3)
    presentation = Presentation(url=ONE.url, duration_s=6.006, video=(VIDEO, other))
    assert "segmentAlignment" not in write_mpd(presentation)


def test_master_adds_audio_to_the_rates_of_variants() -> None:
    assert write_master(ONE, url=HOME + "master.m3u8").splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="aac",DEFAULT=YES,AUTOSELECT=YES,'
        'CHANNELS="2",SAMPLE-RATE=48000,URI="aac/playlist.m3u8"',
        "#EXT-X-STREAM-INF:BANDWIDTH=1296000,AVERAGE-BANDWIDTH=890000,"
        'CODECS="avc1.4d401f,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=29.970,AUDIO="audio"',
        "360p/playlist.m3u8",
    ]


def test_master_pairs_every_variant_with_every_audio_group() -> None:
    audio = tuple(
        representation(name, "audio", [2.0], [None], language=name[:2])
        for name in ("en-lo", "en-hi", "fr-lo")
    )
    presentation = Presentation(url=ONE.url, duration_s=6.006, video=(VIDEO,), audio=audio)
    text = write_master(presentation)
    assert text.count("#EXT-X-STREAM-INF") == 2
    assert text.count('GROUP-ID="audio"') == 2
    assert text.count('GROUP-ID="audio2"') == 1
    assert text.count("DEFAULT=YES") == 2


def test_media_playlist_follows_the_rules_of_vod() -> None:
    assert write_media(VIDEO, url=HOME + "360p/playlist.m3u8").splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        "#EXT-X-TARGETDURATION:2",
        "#EXT-X-MEDIA-SEQUENCE:1",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        '#EXT-X-MAP:URI="init.mp4"',
        "#EXT-X-BITRATE:400",
        "#EXTINF:2.002000,",
        "1.m4s",
        "#EXT-X-BITRATE:1200",
        "#EXTINF:2.002000,",
        "2.m4s",
        "#EXT-X-BITRATE:800",
        "#EXTINF:2.002000,",
        "3.m4s",
        "#EXT-X-ENDLIST",
    ]


def test_target_duration_is_not_below_any_rounded_segment() -> None:
    text = write_media(representation("a", "video", [2.5, 1.0], [None] * 2), url=HOME + "a/p")
    assert "#EXT-X-TARGETDURATION:3\n" in text


def test_a_rendition_without_segments_cannot_be_written() -> None:
    empty = representation("a", "video", [], [])
    with pytest.raises(LocalProtocolError, match="no segments"):
        write_media(empty, url=HOME + "a/p")


def test_names_that_need_escaping_survive_in_both_formats() -> None:
    odd = representation('a"&<b', "video", [2.0], [None])
    presentation = Presentation(url=ONE.url, duration_s=2.0, video=(odd,))
    assert "id='a\"&amp;&lt;b'" in write_mpd(presentation)


def segments(*pairs: tuple[float, int]) -> list[Segment]:
    return [
        Segment(url=HOME, start_s=0.0, duration_s=duration_s, size_bytes=size_bytes)
        for duration_s, size_bytes in pairs
    ]


def test_peak_rate_is_that_of_the_busiest_segment() -> None:
    measured = measured_rates_kbps(segments((2.0, 250_000), (2.0, 500_000), (2.0, 250_000)))
    assert measured == pytest.approx((2000.0, 4000 / 3))


def test_a_sliver_at_the_end_does_not_make_the_peak() -> None:
    measured = measured_rates_kbps(segments((2.0, 20_000), (2.0, 20_000), (0.02, 1_000)))
    assert measured is not None
    assert measured[0] < 100.0


def test_rates_are_unknown_while_any_size_is() -> None:
    some = [*segments((2.0, 1)), Segment(url=HOME, start_s=2.0, duration_s=2.0)]
    assert measured_rates_kbps(some) is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h/a/b/c.m4s", "b/c.m4s"),
        ("http://h/x.m4s", "../x.m4s"),
        ("http://h/a/m.mpd", "m.mpd"),
        ("http://h/a/1:2.m4s", "./1:2.m4s"),
        ("http://h/a/b/?q=1", "b/?q=1"),
        ("http://h:80/a/b", "http://h:80/a/b"),
        ("https://h/a/b", "https://h/a/b"),
        ("http://other/a/b", "http://other/a/b"),
    ],
)
def test_urls_are_written_relative_where_that_leads_back(url: str, expected: str) -> None:
    assert relative("http://h/a/m.mpd", url) == expected


def test_numbered_urls_are_found_whichever_number_counts() -> None:
    assert numbered(["720p/1.m4s", "720p/2.m4s"]) is not None
    found = numbered(["s09-720.m4s", "s10-720.m4s"])
    assert found is not None
    assert found.dash_template() == "s$Number%02d$-720.m4s"
    assert numbered(["1.m4s", "3.m4s"]) is None
    assert numbered(["a.m4s"]) is None


@pytest.mark.parametrize(
    ("rate", "text"), [(25.0, "25"), (24000 / 1001, "24000/1001"), (12.5, "25/2")]
)
def test_frame_rates_are_written_as_fractions(rate: float, text: str) -> None:
    assert fraction_text(rate) == text


@pytest.mark.parametrize(
    ("content_type", "url", "expected"),
    [
        ("application/dash+xml", "http://h/x", True),
        ("application/vnd.apple.mpegurl; charset=utf-8", "http://h/x", True),
        ("Audio/MpegURL", "http://h/x", True),
        (None, "http://h/a.MPD?x=1", True),
        ("text/plain", "http://h/a.m3u8#t", True),
        ("application/octet-stream", "/a.mpd", True),
        ("video/mp4", "http://h/a.mpd", False),
        (None, "http://h/a.m4s?x=a.mpd", False),
        ("text/html", "http://h/", False),
    ],
)
def test_manifests_are_told_by_type_or_else_by_name(
    content_type: str | None, url: str, expected: bool
) -> None:
    assert is_manifest(content_type, url) is expected


def test_foreign_urls_are_those_of_another_scheme_host_or_port() -> None:
    assert foreign_urls(ONE, "http://origin.example:80/elsewhere") == ()
    every = foreign_urls(ONE, "https://origin.example/media/one/manifest.mpd")
    assert len(every) == len(set(every)) == 8
    assert len(foreign_urls(ONE, "http://origin.example:8080/")) == 8
