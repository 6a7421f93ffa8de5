"""Titles as the player sees them: holes, rungs that end early, tracks of different lengths, and the
parts that are fetched before playback."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from abr.config import RetryConfig
from abr.events import ResponseStarted
from abr.fetcher import Fetcher
from abr.holes import Holes
from abr.hosts import HostHealth, Hosts
from abr.loading import Loader, Part
from abr.throughput import ThroughputMeter
from abr.title import Title, Track
from abr.transfer import Transfer
from nearcast.errors import RemoteProtocolError
from nearcast.media import (
    ByteRange,
    InitChange,
    Presentation,
    Rendition,
    Representation,
    Segment,
    TrackKind,
)
from tests.sidx_maker import box, media, sidx

HOME = "http://e.test/"


def representation(
    name: str, kbps: float, *spans: tuple[float, float], kind: TrackKind = "video"
) -> Representation:
    """Segments from and to these times, each of as many bytes as its rung makes it."""
    return Representation(
        rendition=Rendition(
            id=name, kind=kind, codecs="", peak_kbps=kbps, average_kbps=kbps, language="en"
        ),
        init=None,
        segments=tuple(
            Segment(
                url=f"{HOME}{name}/{start_s:g}",
                start_s=start_s,
                duration_s=end_s - start_s,
                size_bytes=round((end_s - start_s) * kbps * 125),
            )
            for start_s, end_s in spans
        ),
    )


def track(*representations: Representation) -> Track:
    return Track("video", representations)


def every(step_s: float, end_s: float, *, but: tuple[float, ...] = ()) -> list[tuple[float, float]]:
    starts = np.arange(0.0, end_s, step_s)
    return [(float(s), float(min(s + step_s, end_s))) for s in starts if s not in but]


def rungs_after(one: Track, end_s: float) -> list[int]:
    return [rung for rung in range(one.rung_count) if one.has_next(rung, end_s)]


def test_hole_at_one_rung_is_had_at_another() -> None:
    one = track(
        representation("low", 100, *every(4, 20, but=(8.0,))),
        representation("high", 400, *every(4, 20, but=(12.0,))),
    )
    assert [rungs_after(one, end_s) for end_s in (0.0, 4.0, 8.0, 12.0, 16.0, 20.0)] == [
        *([0, 1], [0, 1], [1], [0], [0, 1], []),
    ]
    durations_s, sizes_bits, index, left = one.upcoming(8.0, horizon=4)
    assert (index, left) == (2, 3)
    assert durations_s[:3].tolist() == [4.0, 4.0, 4.0]
    # What a rung lacks is taken for what its rate would make it.
    assert sizes_bits[:3].tolist() == [[4e5, 16e5]] * 3


def test_hole_at_every_rung_is_gone_over() -> None:
    one = track(
        representation("low", 100, *every(4, 20, but=(8.0,))),
        representation("high", 400, *every(4, 20, but=(8.0, 12.0))),
    )
    assert rungs_after(one, 8.0) == [0], "the one that goes on soonest"
    following = one.segment_after(0, 8.0)
    assert following is not None
    assert following.start_s == 12.0
    assert one.upcoming(8.0)[2:] == (2, 2)


def test_rung_that_vanishes_leaves_the_others() -> None:
    one = track(
        representation("low", 100, *every(4, 8)),
        representation("high", 400, *every(4, 20)),
    )
    assert rungs_after(one, 8.0) == [1]
    assert not one.is_over(8.0)
    assert one.end_s == 20.0
    durations_s, _, index, left = one.upcoming(8.0)
    assert (index, left) == (2, 3)
    assert not np.isnan(durations_s[0])


def test_ends_that_differ_by_rounding_are_one_end() -> None:
    one = track(
        representation("low", 100, *every(4, 20.1)),
        representation("high", 400, *every(4, 20)),
    )
    assert one.end_s == pytest.approx(20.1)
    other = track(
        representation("low", 100, *every(4, 20)),
        representation("high", 400, *every(4, 16), (16.0, 20.9)),
    )
    assert other.end_s == 20.0
    assert other.is_over(20.0)


def test_rung_cut_differently_has_what_covers_the_place() -> None:
    one = track(
        representation("low", 100, *every(4, 24)),
        representation("high", 400, *every(6, 24)),
    )
    assert rungs_after(one, 4.0) == [0, 1]
    assert rungs_after(one, 6.0) == [0, 1]
    _, sizes_bits, _, _ = one.upcoming(4.0, horizon=2)
    assert sizes_bits[0].tolist() == [4e5, 16e5]


def test_sizes_of_one_rung_come_through_a_hole_of_another() -> None:
    low = representation("low", 100, *every(4, 20, but=(4.0,)))
    high = representation("high", 400, (0.0, 4.0), (4.0, 8.0), (8.0, 12.0), (12.0, 20.0))
    _, sizes_bits, _, _ = track(low, high).upcoming(0.0, horizon=5)
    assert sizes_bits[1].tolist() == [4e5, 16e5]
    # The last one of the high rung is as long as two of the low: its size says nothing of either.
    assert sizes_bits[3].tolist() == [4e5, 16e5]


@pytest.mark.parametrize("audio_end_s", [10.0, 12.0, 15.0])
def test_tracks_of_different_lengths_end_with_the_longer(audio_end_s: float) -> None:
    title = Title(
        Presentation(
            url=HOME,
            duration_s=12.0,
            video=(representation("v", 500, *every(4, 12)),),
            audio=(representation("a", 64, *every(2.5, audio_end_s), kind="audio"),),
        )
    )
    assert title.end_s == max(12.0, audio_end_s)
    assert title.audio_choices is not None
    assert title.audio_choices.is_over(audio_end_s)


def test_track_too_short_to_play_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="less than a frame of video"):
        track(representation("low", 100, (0.0, 0.04)))


def coded(name: str, kbps: float, codecs: str) -> Representation:
    one = representation(name, kbps, *every(4, 12))
    return msgspec.structs.replace(
        one, rendition=msgspec.structs.replace(one.rendition, codecs=codecs)
    )


@pytest.mark.parametrize(
    ("codecs", "kept"),
    [
        (("avc1.42c01e", "hvc1.1", "avc3.64001f", "av01.0"), [0, 2]),
        (("mp4a.40.2,avc1.42c01e", "hev1.1,mp4a.40.2", "hvc1.2"), [1, 2]),
        (("vp09.00", "avc1.64001f"), [0]),
        (("avc1.42c01e", "", "hvc1.1"), [0, 1, 2]),
    ],
)
def test_ladder_is_of_one_coding(codecs: tuple[str, ...], kept: list[int]) -> None:
    video = [coded(f"v{rung}", 100 * rung + 100, text) for rung, text in enumerate(codecs)]
    title = Title(Presentation(url=HOME, duration_s=12.0, video=tuple(video)))
    names = [one.rendition.id for one in title.main.representations]
    assert names == [f"v{rung}" for rung in kept]


# -- inits


def spliced(name: str, first: str, then: str) -> Representation:
    """Four segments, of which the last two need another init."""
    inits = [Segment(url=HOME + each, start_s=0.0, duration_s=0.0) for each in (first, then)]
    return msgspec.structs.replace(
        representation(name, 100, *every(4, 16)),
        init=inits[0],
        later_inits=(InitChange(start_s=8.0, init=inits[1]),),
    )


def test_init_is_fetched_again_where_it_changes_and_shared_by_rungs_that_have_the_same() -> None:
    low, high = spliced("low", "one.mp4", "two.mp4"), spliced("high", "one.mp4", "three.mp4")
    hosts = Hosts(HOME, RetryConfig(), (), HostHealth(RetryConfig()))
    fetcher = Fetcher(track(low, high), RetryConfig(), 60.0, hosts=hosts, holes=Holes())
    asked: list[tuple[str, str]] = []
    for rung in (0, 1, 1, 0):
        init, segment = fetcher.missing_init(rung), fetcher.due_segment(rung)
        assert segment is not None
        if init is not None:
            fetcher.has_init(init)
        asked.append((segment.url.removeprefix(HOME), init.url.removeprefix(HOME) if init else ""))
        fetcher.has_segment(segment, rung, 10)
    assert asked == [
        ("low/0", "one.mp4"),
        ("high/4", ""),
        ("high/8", "three.mp4"),
        ("low/12", "two.mp4"),
    ]
    assert fetcher.buffer.is_complete


def test_segment_behind_a_change_waits_for_its_own_init() -> None:
    one = spliced("low", "one.mp4", "two.mp4")
    hosts = Hosts(HOME, RetryConfig(), (), HostHealth(RetryConfig()))
    fetcher = Fetcher(track(one), RetryConfig(), 60.0, hosts=hosts, holes=Holes())
    assert one.init is not None
    fetcher.has_init(one.init)
    for segment in one.segments[:3]:
        fetcher.has_segment(segment, 0, 10)
    assert fetcher.buffer.end_s == 8.0
    late = fetcher.missing_init(0)
    assert late is not None
    fetcher.has_init(late)
    assert fetcher.buffer.end_s == 12.0


# -- parts

MASTER = b"""#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="one",URI="a.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=500000,AUDIO="a"
v0.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=900000,AUDIO="a"
v1.m3u8
"""
PLAYLIST = b"#EXTM3U\n#EXTINF:4,\n1.m4s\n#EXT-X-ENDLIST"
MPD = b"""<MPD type="static"><Period duration="PT8S"><AdaptationSet contentType="video">
<Representation id="v0" bandwidth="500000"><BaseURL>v0.mp4</BaseURL>
<SegmentBase indexRange="700-767"/></Representation>
<Representation id="v1" bandwidth="900000"><BaseURL>%s</BaseURL></Representation>
</AdaptationSet></Period></MPD>"""


def loader(text: bytes, *allowed: str) -> tuple[Loader, tuple[Part, ...]]:
    one = Loader(f"{HOME}m", allowed)
    return one, one.read(text, f"{HOME}m")


STEERED = b"""<MPD type="static"><BaseURL serviceLocation="home">./</BaseURL>
<BaseURL serviceLocation="_origin">http://origin.test/film/</BaseURL>
<BaseURL serviceLocation="far">http://far.test/film/</BaseURL>
<ContentSteering>http://origin.test/v1/steering/film</ContentSteering>
<Period duration="PT8S"><AdaptationSet contentType="video"><Representation id="v"
bandwidth="500000"><SegmentTemplate duration="4" media="$Number$.m4s"/></Representation>
</AdaptationSet></Period></MPD>"""


@pytest.mark.parametrize(("count_max", "expected"), [(16, ["home", "_origin"]), (0, ["home"])])
def test_the_steering_server_may_have_the_bytes_where_it_is_trusted(
    count_max: int, expected: list[str]
) -> None:
    one = Loader(f"{HOME}m", (), steered_count_max=count_max)
    one.read(STEERED, f"{HOME}m")
    (group,) = one.alternates
    assert [base.pathway for base in group] == expected


ORIGIN = "http://origin.test/film/m"
PERSONAL = STEERED.replace(b'"home">./', b'"ams">http://ams.test/film/').replace(
    b'"_origin">http://origin.test/film/', b'"_origin">./'
)


@pytest.mark.parametrize(
    ("count_max", "expected"), [(16, ["ams", "_origin", "far"]), (1, ["ams", "_origin"])]
)
def test_a_manifest_of_the_steering_server_itself_may_name_pathways_anywhere(
    count_max: int, expected: list[str]
) -> None:
    one = Loader(ORIGIN, (), steered_count_max=count_max)
    one.read(PERSONAL, ORIGIN)
    assert one.presentation is not None
    assert one.presentation.video[0].segments[0].url.startswith("http://ams.test/film/")
    (group,) = one.alternates
    assert [base.pathway for base in group] == expected


@pytest.mark.parametrize(
    ("text", "url", "count_max"),
    [
        (PERSONAL, ORIGIN, 0),
        (PERSONAL, f"{HOME}m", 16),
        (PERSONAL.replace(b' serviceLocation="ams"', b""), ORIGIN, 16),
        (PERSONAL.replace(b"http://origin", b"https://origin"), ORIGIN.replace(":", "s:", 1), 16),
    ],
    ids=["not trusted", "another's server", "no pathway", "https to http"],
)
def test_any_other_manifest_may_not_name_hosts(text: bytes, url: str, count_max: int) -> None:
    one = Loader(url, (), steered_count_max=count_max)
    with pytest.raises(RemoteProtocolError, match=r"allow_hosts=ams\.test"):
        one.read(text, url)


def hls() -> tuple[Loader, dict[str, Part]]:
    one, parts = loader(MASTER)
    return one, {part.url.removeprefix(HOME).removesuffix(".m3u8"): part for part in parts}


def test_playlists_are_asked_for_and_put_together() -> None:
    one, parts = hls()
    assert list(parts) == ["v0", "v1", "a"]
    for part in parts.values():
        assert one.presentation is None
        assert one.read_part(part, PLAYLIST) == ()
    assert one.presentation is not None
    assert len(one.presentation.video) == 2


def test_playlist_that_is_gone_costs_its_rung() -> None:
    one, parts = hls()
    assert one.do_without(parts["v0"])
    one.read_part(parts["a"], PLAYLIST)
    one.read_part(parts["v1"], PLAYLIST)
    assert one.presentation is not None
    assert [each.rendition.id for each in one.presentation.video] == ["v1"]
    assert len(one.presentation.audio) == 1


def test_playlist_is_read_where_it_was_found() -> None:
    one, parts = hls()
    for name, part in parts.items():
        one.read_part(part, PLAYLIST, f"{HOME}moved/{name}.m3u8")
    assert one.presentation is not None
    assert one.presentation.video[0].segments[0].url == f"{HOME}moved/1.m4s"


def test_last_playlist_that_is_gone_completes_the_rest() -> None:
    one, parts = hls()
    one.read_part(parts["a"], PLAYLIST)
    one.read_part(parts["v1"], PLAYLIST)
    assert one.do_without(parts["v0"])
    assert one.presentation is not None


@pytest.mark.parametrize("lost", [("a",), ("v0", "v1")])
def test_title_without_all_of_its_sound_or_picture_is_not_played(lost: tuple[str, ...]) -> None:
    one, parts = hls()
    for name in parts.keys() - set(lost):
        one.read_part(parts[name], PLAYLIST)
    assert [one.do_without(parts[name]) for name in lost][-1] is False
    assert one.presentation is None


def test_bad_playlist_is_refused_by_its_line_when_it_comes() -> None:
    one, parts = hls()
    with pytest.raises(RemoteProtocolError, match="line 2: EXTINF"):
        one.read_part(parts["v1"], b"#EXTM3U\n#EXTINF:x,\n1.m4s\n#EXT-X-ENDLIST")


def test_indexes_are_asked_for_until_they_are_whole() -> None:
    one, parts = loader(MPD % b"v1.mp4")
    first, second = parts
    assert first == Part(kind="index", url=f"{HOME}v0.mp4", byte_range=ByteRange(700, 767))
    assert second.byte_range is not None
    assert second.byte_range.first == 0
    assert one.read_part(first, sidx([(False, 90, 4000), (False, 80, 4000), (False, 70, 1)])) == ()
    (further,) = one.read_part(second, box("moov", bytes(20_000))[:16384])
    assert further.byte_range is not None
    assert further.byte_range.first == 20_008
    assert one.presentation is None
    assert one.read_part(further, sidx([(False, 100, 8000)]) + media(100)) == ()
    assert one.presentation is not None
    low, high = one.presentation.video
    assert [each.byte_range for each in low.segments] == [ByteRange(768, 857), ByteRange(858, 937)]
    assert high.init is not None
    assert high.init.byte_range == ByteRange(0, 20_007)


def test_index_that_is_gone_costs_its_rung() -> None:
    one, (first, second) = loader(MPD % b"v1.mp4")
    assert one.do_without(second)
    one.read_part(first, sidx([(False, 90, 8000)]))
    assert one.presentation is not None
    assert [each.rendition.id for each in one.presentation.video] == ["v0"]


def test_index_elsewhere_is_not_asked_for_unless_it_is_allowed() -> None:
    with pytest.raises(RemoteProtocolError, match="outside its own origin"):
        loader(MPD % b"http://other.test/v1.mp4")
    _, parts = loader(MPD % b"http://other.test/v1.mp4", "other.test")
    assert parts[1].url == "http://other.test/v1.mp4"


def test_range_of_an_index_may_go_beyond_the_end_of_the_file() -> None:
    part = Segment(url=HOME, start_s=0.0, duration_s=0.0, byte_range=ByteRange(100, 16483))
    transfer = Transfer(1, "index", HOME, 0.0, segment=part)
    came = ResponseStarted(
        request_id=1, status=206, url=HOME, content_range=ByteRange(100, 799), size_bytes=700
    )
    assert transfer.started(ThroughputMeter(), 1.0, came).complaint == ""
    assert transfer.size_bytes == 700
