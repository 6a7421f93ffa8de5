"""What is written is read back the same; whatever is read, nothing but our own error comes out."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nearcast.errors import RemoteProtocolError
from nearcast.manifests import (
    HlsMaster,
    IndexedMpd,
    read_manifest,
    write_master,
    write_media,
    write_mpd,
)
from nearcast.media import ByteRange, Presentation, Rendition, Representation, Segment, TrackKind

HOME = "http://origin.example/media/one/"
TIME_S_ERROR_MAX = 1e-6

FRAME_RATES = (24.0, 25.0, 30.0, 60.0, 24000 / 1001, 30000 / 1001, 60000 / 1001, 12.5)
SAMPLE_RATES_HZ = (22050, 44100, 48000)


@st.composite
def durations_s(draw: st.DrawFn, step: float) -> list[float]:
    """Multiples of `step` (a frame or an audio frame): equal but for the last, or all different; or
    any whole microseconds."""
    if draw(st.booleans()):
        return [us / 1e6 for us in draw(st.lists(st.integers(1, 20_000_000), min_size=1))]
    if draw(st.booleans()):
        length = draw(st.integers(1, 300))
        last = draw(st.integers(1, length))
        return [length * step] * draw(st.integers(0, 20)) + [last * step]
    return [length * step for length in draw(st.lists(st.integers(1, 300), min_size=1))]


def places(rendition_id: str, count: int, layout: str) -> list[tuple[str, ByteRange | None]]:
    folder = f"{HOME}{rendition_id}/"
    if layout == "numbered":
        return [(f"{folder}{number}.m4s", None) for number in range(1, count + 1)]
    if layout == "padded":
        return [(f"{folder}s-{number:05d}.m4s?k=$1", None) for number in range(7, count + 7)]
    if layout == "named":
        return [(f"http://cdn.example/{'ab'[n % 2]}{n * n}.m4s", None) for n in range(count)]
    return [(folder + "all.mp4", ByteRange(n * 100 + 50, n * 100 + 149)) for n in range(count)]


@st.composite
def representations(draw: st.DrawFn, kind: TrackKind, rendition_id: str) -> Representation:
    frame_rate = draw(st.sampled_from(FRAME_RATES))
    sample_rate_hz = draw(st.sampled_from(SAMPLE_RATES_HZ))
    step_s = 1 / frame_rate if kind == "video" else 1024 / sample_rate_hz
    lengths_s = draw(durations_s(step_s))
    layout = draw(st.sampled_from(("numbered", "padded", "named", "ranges")))
    segments = []
    start_s = 0.0
    for (url, byte_range), length_s in zip(
        places(rendition_id, len(lengths_s), layout), lengths_s, strict=True
    ):
        segments.append(
            Segment(
                url=url,
                start_s=start_s,
                duration_s=length_s,
                byte_range=byte_range,
                size_bytes=byte_range.size_bytes if byte_range else None,
            )
        )
        start_s += length_s
    init_url, init_range = (
        (HOME + rendition_id + "/all.mp4", ByteRange(0, 49))
        if layout == "ranges"
        else (HOME + rendition_id + "/init.mp4", None)
    )
    rate_kbps = draw(st.integers(1_000, 50_000_000)) / 1000
    is_video = kind == "video"
    return Representation(
        rendition=Rendition(
            id=rendition_id,
            kind=kind,
            codecs="avc1.4d401f" if is_video else "mp4a.40.2",
            peak_kbps=rate_kbps,
            average_kbps=rate_kbps,
            width=draw(st.integers(2, 9999)) if is_video else None,
            height=draw(st.integers(2, 9999)) if is_video else None,
            frame_rate=frame_rate if is_video else None,
            sample_rate_hz=None if is_video else sample_rate_hz,
            channel_count=None if is_video else draw(st.sampled_from((None, 1, 2, 6))),
            language=None if is_video else draw(st.sampled_from((None, "en", "pt-BR"))),
        ),
        init=draw(
            st.sampled_from(
                (
                    None,
                    Segment(
                        url=init_url,
                        start_s=0.0,
                        duration_s=0.0,
                        byte_range=init_range,
                        size_bytes=None if init_range is None else init_range.size_bytes,
                    ),
                )
            )
        ),
        segments=tuple(segments),
    )


@st.composite
def presentations(draw: st.DrawFn) -> Presentation:
    video_count = draw(st.integers(0, 3))
    audio_count = draw(st.integers(0 if video_count else 1, 3))
    video = [draw(representations("video", f"v{number}")) for number in range(video_count)]
    audio = [draw(representations("audio", f"a{number}")) for number in range(audio_count)]
    return Presentation(
        url=HOME + "manifest.mpd",
        duration_s=max(one.duration_s for one in (*video, *audio)),
        video=tuple(sorted(video, key=lambda one: one.rendition.peak_kbps)),
        audio=tuple(audio),
    )


def assert_same_segments(made: Representation, wanted: Representation) -> None:
    assert (made.init is None) == (wanted.init is None)
    if made.init is not None and wanted.init is not None:
        assert (made.init.url, made.init.byte_range) == (wanted.init.url, wanted.init.byte_range)
    assert [(one.url, one.byte_range) for one in made.segments] == [
        (one.url, one.byte_range) for one in wanted.segments
    ]
    for one, two in zip(made.segments, wanted.segments, strict=True):
        assert math.isclose(one.start_s, two.start_s, rel_tol=0, abs_tol=TIME_S_ERROR_MAX)
        assert math.isclose(one.end_s, two.end_s, rel_tol=0, abs_tol=TIME_S_ERROR_MAX)


def by_id(some: Sequence[Representation]) -> dict[str, Representation]:
    return {one.rendition.id: one for one in some}


def rates_are_measured(representation: Representation) -> bool:
    return all(segment.size_bytes is not None for segment in representation.segments)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(presentations())
def test_an_mpd_reads_back_as_what_was_written(wanted: Presentation) -> None:
    made = read_manifest(write_mpd(wanted).encode(), wanted.url)
    assert isinstance(made, Presentation)
    assert math.isclose(made.duration_s, wanted.duration_s, abs_tol=TIME_S_ERROR_MAX)
    for some, wanted_some in ((made.video, wanted.video), (made.audio, wanted.audio)):
        found = by_id(some)
        assert set(found) == set(by_id(wanted_some))
        for name, wanted_one in by_id(wanted_some).items():
            assert_same_segments(found[name], wanted_one)
            if not rates_are_measured(wanted_one):
                assert found[name].rendition == wanted_one.rendition


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(presentations())
def test_playlists_read_back_as_what_was_written(wanted: Presentation) -> None:
    every = (*wanted.video, *wanted.audio)
    playlist_urls = {one.rendition.id: f"{HOME}{one.rendition.id}/playlist.m3u8" for one in every}
    url = HOME + "master.m3u8"
    made = read_manifest(write_master(wanted, url=url, playlist_urls=playlist_urls).encode(), url)
    assert isinstance(made, HlsMaster)
    assert sorted(made.playlist_urls) == sorted(playlist_urls.values())
    assembled = made.assemble(
        {
            playlist_urls[one.rendition.id]: write_media(
                one, url=playlist_urls[one.rendition.id]
            ).encode()
            for one in every
        }
    )
    for some, wanted_some in ((assembled.video, wanted.video), (assembled.audio, wanted.audio)):
        found = by_id(some)
        assert set(found) == set(by_id(wanted_some))
        for name, wanted_one in by_id(wanted_some).items():
            assert_same_segments(found[name], wanted_one)
            rendition, wanted_rendition = found[name].rendition, wanted_one.rendition
            assert rendition.codecs == wanted_rendition.codecs
            assert (rendition.width, rendition.height) == (
                wanted_rendition.width,
                wanted_rendition.height,
            )
            if wanted.video:
                assert rendition.language == wanted_rendition.language
                assert rendition.channel_count == wanted_rendition.channel_count
                assert rendition.sample_rate_hz == wanted_rendition.sample_rate_hz


PIECES = st.sampled_from(
    (
        '<MPD type="static" mediaPresentationDuration="PT9S">',
        "</MPD>",
        "<Period>",
        "</Period>",
        '<AdaptationSet contentType="video">',
        "</AdaptationSet>",
        '<Representation id="v" bandwidth="1">',
        "</Representation>",
        '<SegmentTemplate duration="3" media="$Number$">',
        '<SegmentTemplate timescale="3" media="$Time%05d$">',
        "</SegmentTemplate>",
        "<SegmentTimeline>",
        '<S t="0" d="1" r="-1"/>',
        '<S d="7" r="3"/>',
        "</SegmentTimeline>",
        "<BaseURL>a/</BaseURL>",
        '<SegmentBase indexRange="5-90"><Initialization range="0-4"/></SegmentBase>',
        '<Period start="PT5S">',
        '<Period duration="PT4S">',
        "#EXTM3U\n",
        "#EXTINF:4,\n",
        "#EXTINF:nan\n",
        "seg\n",
        "#EXT-X-BYTERANGE:4@0\n",
        '#EXT-X-MAP:URI="i"\n',
        "#EXT-X-MAP:\n",
        "#EXT-X-DISCONTINUITY\n",
        "#EXT-X-GAP\n",
        "#EXT-X-STREAM-INF:BANDWIDTH=5\n",
        '#EXT-X-STREAM-INF:AUDIO="a",BANDWIDTH=5,RESOLUTION=1x\n',
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",URI="u"\n',
        "#EXT-X-MEDIA:=,\n",
        "#EXT-X-ENDLIST\n",
    )
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=15).map("".join))
@example("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=5,CODECS=\"\n,,='\n")
@example("<MPD><!--")
def test_whatever_is_read_only_our_error_comes_out(text: str) -> None:
    url = "http://origin.example/m"
    try:
        made = read_manifest(text.encode(errors="replace"), url)
        if isinstance(made, HlsMaster):
            made = made.assemble(dict.fromkeys(made.playlist_urls, text.encode(errors="replace")))
    except RemoteProtocolError:
        return
    if isinstance(made, IndexedMpd):
        assert made.places
        return
    for _, representations_ in made.tracks():
        for representation in representations_:
            assert representation.segments
            starts_s = [segment.start_s for segment in representation.segments]
            assert starts_s == sorted(starts_s)
            for segment in representation.segments:
                assert math.isfinite(segment.end_s)
                assert segment.duration_s > 0
                assert segment.start_s >= 0
                assert segment.url.startswith(("http://", "https://"))


@settings(max_examples=80, deadline=None)
@given(presentations=presentations(), position=st.floats(0, 1), junk=st.binary(max_size=6))
def test_a_damaged_mpd_gives_a_title_or_our_error(
    presentations: Presentation, position: float, junk: bytes
) -> None:
    text = write_mpd(presentations).encode()
    at = int(position * len(text))
    with contextlib.suppress(RemoteProtocolError):
        read_manifest(text[:at] + junk + text[at + len(junk) :], presentations.url)
