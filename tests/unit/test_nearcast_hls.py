"""Reading HLS playlists: masters, groups, ranges, and what is turned away."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from nearcast.errors import RemoteProtocolError
from nearcast.manifests import HlsMaster, limits, read_manifest
from nearcast.media import ByteRange, Presentation, Representation

URL = "http://origin.example/films/one/master.m3u8"
HOME = "http://origin.example/films/one/"


def media(*lines: str) -> bytes:
    return "\n".join(["#EXTM3U", *lines, "#EXT-X-ENDLIST"]).encode()


TWO = media("#EXTINF:4.0,", "1.ts", "#EXTINF:3.5,a title", "2.ts")


def master(*lines: str) -> HlsMaster:
    made = read_manifest("\n".join(["#EXTM3U", *lines]).encode(), URL)
    assert isinstance(made, HlsMaster)
    return made


def alone(text: bytes) -> Representation:
    made = read_manifest(text, URL)
    assert isinstance(made, Presentation)
    (representation,) = made.video
    return representation


def everything(made: HlsMaster, text: bytes = TWO) -> Presentation:
    return made.assemble(dict.fromkeys(made.playlist_urls, text))


def test_a_media_playlist_alone_is_one_video_rendition() -> None:
    made = alone(TWO)
    assert [(one.url, one.start_s, one.duration_s) for one in made.segments] == [
        (HOME + "1.ts", 0.0, 4.0),
        (HOME + "2.ts", 4.0, 3.5),
    ]
    assert made.init is None
    assert made.rendition.peak_kbps > 0


def test_byte_order_mark_line_ends_and_unknown_tags_do_not_matter() -> None:
    text = b'\xef\xbb\xbf#EXTM3U\r\n\r\n#EXT-X-NEW:x="\r\n#EXT-X-DATERANGE:;\r\n# remark\r\n'
    text += b"#EXTINF:4\r\n a.ts \r\n#EXT-X-PROGRAM-DATE-TIME:yesterday\r\n#EXT-X-ENDLIST\r\n"
    assert [one.url for one in alone(text).segments] == [HOME + "a.ts"]


def test_byte_ranges_go_on_where_the_last_of_the_same_file_ended() -> None:
    made = alone(
        media(
            '#EXT-X-MAP:URI="all.mp4",BYTERANGE="700@0"',
            "#EXTINF:2,",
            "#EXT-X-BYTERANGE:1000@700",
            "all.mp4",
            "#EXT-X-BYTERANGE:500",
            "#EXTINF:2,",
            "all.mp4",
        )
    )
    assert made.init is not None
    assert made.init.byte_range == ByteRange(0, 699)
    assert [one.byte_range for one in made.segments] == [
        ByteRange(700, 1699),
        ByteRange(1700, 2199),
    ]
    assert [one.size_bytes for one in made.segments] == [1000, 500]
    assert made.rendition.peak_kbps == pytest.approx(4.0)
    assert made.rendition.average_kbps == pytest.approx(3.0)


def test_variants_are_sorted_and_described() -> None:
    made = master(
        "#EXT-X-STREAM-INF:BANDWIDTH=2000000,AVERAGE-BANDWIDTH=1500000,RESOLUTION=1280x720,"
        'FRAME-RATE=29.970,CODECS="avc1.4d401f,mp4a.40.2"',
        "high/index.m3u8",
        "#EXT-X-STREAM-INF:BANDWIDTH=500000",
        "low/index.m3u8",
    )
    assert made.playlist_urls == (HOME + "low/index.m3u8", HOME + "high/index.m3u8")
    low, high = everything(made).video
    assert (low.rendition.id, low.rendition.peak_kbps, low.rendition.codecs) == ("low", 500.0, "")
    assert low.rendition.average_kbps == 500.0
    assert (high.rendition.width, high.rendition.height) == (1280, 720)
    assert (high.rendition.frame_rate, high.rendition.average_kbps) == (29.97, 1500.0)
    assert high.rendition.codecs == "avc1.4d401f,mp4a.40.2"
    assert high.segments[1].url == HOME + "high/2.ts"


GROUPS = (
    '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="lo",NAME="English",LANGUAGE="en",CHANNELS="2",URI="en64"',
    '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="lo",NAME="Français",LANGUAGE="fr",URI="fr64"',
    '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="hi",NAME="English",LANGUAGE="en",CHANNELS="6",URI="en640"',
    '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English",URI="subtitles"',
    '#EXT-X-STREAM-INF:BANDWIDTH=900000,CODECS="avc1.4d401f,ec-3",AUDIO="hi"',
    "v",
    '#EXT-X-STREAM-INF:BANDWIDTH=500000,CODECS="avc1.4d401f,mp4a.40.2",AUDIO="lo"',
    "v",
)


def test_a_variant_listed_once_per_audio_group_is_one_rendition() -> None:
    presentation = everything(master(*GROUPS))
    assert [one.rendition.peak_kbps for one in presentation.video] == [500.0]
    assert [one.rendition.codecs for one in presentation.video] == ["avc1.4d401f"]


def test_audio_groups_give_audio_renditions_with_their_codecs() -> None:
    audio = [one.rendition for one in everything(master(*GROUPS)).audio]
    assert [(one.id, one.language, one.codecs, one.channel_count) for one in audio] == [
        ("en64", "en", "mp4a.40.2", 2),
        ("fr64", "fr", "mp4a.40.2", None),
        ("en640", "en", "ec-3", 6),
    ]


def test_known_audio_rates_are_taken_off_the_variants() -> None:
    made = master(*GROUPS)
    text = media("#EXT-X-BITRATE:64", "#EXTINF:4.0,", "1.m4s", "#EXTINF:4.0,", "2.m4s")
    playlists = dict.fromkeys(made.playlist_urls, TWO) | {HOME + "en64": text}
    presentation = made.assemble(playlists)
    assert presentation.video[0].rendition.peak_kbps == pytest.approx(436.0)
    assert presentation.audio[0].rendition.peak_kbps == pytest.approx(64.0)


def test_audio_inside_the_variants_stays_with_the_video() -> None:
    made = master(
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",DEFAULT=YES',
        '#EXT-X-STREAM-INF:BANDWIDTH=500000,CODECS="avc1.4d401f,mp4a.40.2",AUDIO="a"',
        "v.m3u8",
    )
    presentation = everything(made)
    assert presentation.audio == ()
    assert presentation.video[0].rendition.codecs == "avc1.4d401f,mp4a.40.2"


def test_the_audio_offered_as_a_variant_tells_its_rate() -> None:
    made = master(
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",URI="a.m3u8"',
        '#EXT-X-STREAM-INF:BANDWIDTH=500000,CODECS="avc1.4d401f,mp4a.40.2",AUDIO="a"',
        "v.m3u8",
        '#EXT-X-STREAM-INF:BANDWIDTH=96000,CODECS="mp4a.40.2",AUDIO="a"',
        "a.m3u8",
    )
    presentation = everything(made)
    assert [one.rendition.id for one in presentation.video] == ["v"]
    assert [one.rendition.peak_kbps for one in presentation.audio] == [96.0]


def test_a_title_of_sound_alone_has_no_video() -> None:
    made = master('#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.5"', "a.m3u8")
    presentation = everything(made)
    assert presentation.video == ()
    assert [one.rendition.kind for one in presentation.audio] == ["audio"]


def test_renditions_that_could_not_be_fetched_are_left_out() -> None:
    made = master(*GROUPS)
    presentation = made.assemble({HOME + "v": TWO, HOME + "fr64": TWO})
    assert [one.rendition.id for one in (*presentation.video, *presentation.audio)] == ["v", "fr64"]
    with pytest.raises(RemoteProtocolError, match="none of"):
        made.assemble({})


def test_equal_names_are_told_apart() -> None:
    made = master(
        "#EXT-X-STREAM-INF:BANDWIDTH=1", "a/v.m3u8", "#EXT-X-STREAM-INF:BANDWIDTH=2", "b/v.m3u8"
    )
    assert [one.rendition.id for one in everything(made).video] == ["v", "v-2"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(b"#EXT", "first line", id="not a playlist"),
        pytest.param(b"#EXTM3U\n#EXTINF:4,\na", "live", id="live"),
        pytest.param(media(), "no segments", id="empty"),
        pytest.param(media("a.ts"), "no EXTINF", id="no duration"),
        pytest.param(media("#EXTINF:,", "a"), "not a number", id="empty duration"),
        pytest.param(media("#EXTINF:nan,", "a"), "must be above 0", id="nan"),
        pytest.param(media("#EXTINF:inf,", "a"), "must be above 0", id="infinite"),
        pytest.param(media("#EXTINF:-4,", "a"), "must be above 0", id="minus"),
        pytest.param(media("#EXTINF:0,", "a"), "must be above 0", id="zero"),
        pytest.param(media("#EXTINF:1e9,", "a"), "a week", id="years"),
        pytest.param(media(*["#EXTINF:600000,", "a"] * 2), "a week", id="years in all"),
        pytest.param(media("#EXTINF:4,", "ftp://e/a"), "only http", id="scheme"),
        pytest.param(media("#EXTINF:4,", "a\x07b"), "control", id="control character"),
        pytest.param(media("#EXT-X-BYTERANGE:9", "#EXTINF:4,", "a"), "follows none", id="no start"),
        pytest.param(media("#EXT-X-BYTERANGE:0@0", "#EXTINF:4,", "a"), "empty", id="no bytes"),
        pytest.param(
            media("#EXT-X-BYTERANGE:9@9999999999999999", "#EXTINF:4,", "a"), "bounds", id="far away"
        ),
        pytest.param(media("#EXT-X-BYTERANGE:x", "#EXTINF:4,", "a"), "byte range", id="no range"),
        pytest.param(media("#EXT-X-MAP:", "#EXTINF:4,", "a"), "without URI", id="map without URI"),
        pytest.param(media("#EXT-X-GAP", "#EXTINF:4,", "a"), "no segments", id="gaps alone"),
        pytest.param(media("#EXTINF:4,", "a", "", "#EXTINF:x,", "b"), "line 5: EXTINF", id="line"),
        pytest.param(media("#EXT-X-I-FRAMES-ONLY", "#EXTINF:4,", "a"), "I-frames", id="i-frames"),
        pytest.param(media('#EXT-X-DEFINE:NAME="a",VALUE="b"'), "variables", id="variables"),
        pytest.param(media("#EXTINF:4,", "a" * 100_000), "characters long", id="long line"),
        pytest.param(b"#EXTM3U" + b"\n" * 400_001 + b"a", "lines", id="many lines"),
        pytest.param(b"#EXTM3U\n#EXT-X-STREAM-INF:", "no variant", id="no variant"),
        pytest.param(b"#EXTM3U\n#EXT-X-STREAM-INF:X=1\na", "BANDWIDTH", id="no rate"),
        pytest.param(b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=x\na", "cannot be read", id="text"),
        pytest.param(b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=-5\na", "BANDWIDTH", id="minus rate"),
        pytest.param(
            b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=inf\na", "cannot be read", id="infinite rate"
        ),
        pytest.param(
            b"#EXTM3U\n" + b"#EXT-X-STREAM-INF:BANDWIDTH=1\na\n" * 1001, "entries", id="entries"
        ),
        pytest.param(
            b"#EXTM3U\n"
            + b"".join(b"#EXT-X-STREAM-INF:BANDWIDTH=1\na%d\n" % number for number in range(101)),
            "101 renditions",
            id="renditions",
        ),
    ],
)
def test_nonsense_is_refused_with_the_reason(text: bytes, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        read_manifest(text, URL)


@pytest.mark.parametrize(
    ("playlists", "reason"),
    [
        ({HOME + "v": b"garbage"}, "first line"),
        ({HOME + "v": b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nb"}, "master playlist where"),
    ],
)
def test_a_bad_media_playlist_is_refused(playlists: Mapping[str, bytes], reason: str) -> None:
    made = master("#EXT-X-STREAM-INF:BANDWIDTH=1", "v")
    with pytest.raises(RemoteProtocolError, match=reason):
        made.assemble(playlists)


def test_segments_of_all_playlists_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    made = master("#EXT-X-STREAM-INF:BANDWIDTH=1", "a", "#EXT-X-STREAM-INF:BANDWIDTH=2", "b")
    monkeypatch.setattr(limits, "SEGMENT_COUNT_MAX", 3)
    with pytest.raises(RemoteProtocolError, match="more than 3 segments"):
        everything(made)
