"""Titles that are put together: Periods, indexes in files, and inits that change."""

from __future__ import annotations

from fractions import Fraction

import pytest

from nearcast.errors import LocalProtocolError, RemoteProtocolError
from nearcast.manifests import (
    FoundIndex,
    IndexedMpd,
    foreign_urls,
    limits,
    read_manifest,
    read_part,
    write_media,
    write_mpd,
)
from nearcast.media import ByteRange, Presentation, Representation

URL = "http://origin.example/films/one/manifest.mpd"
HOME = "http://origin.example/films/one/"


def mpd(*periods: str, root: str = "") -> bytes:
    return f'<MPD type="static" {root}>{"".join(periods)}</MPD>'.encode()


def video(name: str, *rates_kbps: int, codecs: str = "avc1.4d401f") -> str:
    inside = "".join(
        f'<Representation id="{name}{rate}" bandwidth="{rate}000" codecs="{codecs}"/>'
        for rate in rates_kbps
    )
    return _set("video", inside)


def audio(name: str, language: str = "en", rate_kbps: int = 96) -> str:
    inside = f'<Representation id="{name}" bandwidth="{rate_kbps}000"/>'
    return _set("audio", inside, f'lang="{language}"')


def _set(kind: str, inside: str, more: str = "") -> str:
    return (
        f'<AdaptationSet contentType="{kind}" {more}><SegmentTemplate duration="4" '
        'initialization="$RepresentationID$/i.mp4" media="$RepresentationID$/$Number$.m4s"/>'
        f"{inside}</AdaptationSet>"
    )


def period(*sets: str, attributes: str = 'duration="PT8S"') -> str:
    return f"<Period {attributes}>{''.join(sets)}</Period>"


def read(text: bytes) -> Presentation:
    made = read_manifest(text, URL)
    assert isinstance(made, Presentation)
    return made


def names(one: Representation) -> list[str]:
    return [segment.url.removeprefix(HOME).removesuffix(".m4s") for segment in one.segments]


def times(one: Representation) -> list[tuple[float, float]]:
    return [(segment.start_s, segment.duration_s) for segment in one.segments]


def inits(one: Representation) -> list[str]:
    """Of each segment."""
    found = [one.init_of(segment) for segment in one.segments]
    return [
        "-" if init is None else init.url.removeprefix(HOME).removesuffix("/i.mp4")
        for init in found
    ]


def test_periods_follow_each_other_on_one_timeline() -> None:
    made = read(mpd(period(video("a", 500)), period(video("b", 500), attributes='duration="PT6S"')))
    (one,) = made.video
    assert names(one) == ["a500/1", "a500/2", "b500/1", "b500/2"]
    assert times(one) == [(0.0, 4.0), (4.0, 4.0), (8.0, 4.0), (12.0, 2.0)]
    assert inits(one) == ["a500", "a500", "b500", "b500"]
    assert [init.url for init in one.inits] == [f"{HOME}a500/i.mp4", f"{HOME}b500/i.mp4"]
    assert made.duration_s == 14.0


def test_rungs_of_ladders_of_one_length_are_matched_in_order() -> None:
    made = read(
        mpd(
            period(video("a", 500, 2000)),
            period(video("b", 900, 700), attributes='duration="PT4S"'),
        )
    )
    assert [names(one)[-1] for one in made.video] == ["b700/1", "b900/1"]


def test_ladder_is_that_of_the_longest_period_and_others_give_their_nearest() -> None:
    made = read(
        mpd(
            period(video("spot", 600, 3000), attributes='duration="PT4S"'),
            period(video("film", 500, 1000, 2500), attributes='duration="PT60S"'),
        )
    )
    assert [one.rendition.peak_kbps for one in made.video] == [500.0, 1000.0, 2500.0]
    assert [names(one)[0] for one in made.video] == ["spot600/1", "spot600/1", "spot3000/1"]
    assert [names(one)[1] for one in made.video] == ["film500/1", "film1000/1", "film2500/1"]


def test_language_and_coding_come_before_rate() -> None:
    made = read(
        mpd(
            period(
                audio("en1"), audio("fr1", "fr"), video("v", 500), attributes='duration="PT60S"'
            ),
            period(
                audio("fr2", "fr", 300),
                audio("en2", "en", 20),
                video("h", 500, codecs="hvc1"),
                video("a", 4000),
            ),
        )
    )
    assert [names(one)[-1] for one in made.audio] == ["en2/2", "fr2/2"]
    assert names(made.video[0])[-1] == "a4000/2"


def test_a_kind_that_a_period_lacks_leaves_a_hole() -> None:
    made = read(
        mpd(
            period(video("v", 500), audio("a")),
            period(video("w", 500)),
            period(video("x", 500), audio("c")),
        )
    )
    assert [start_s for start_s, _ in times(made.audio[0])] == [0.0, 4.0, 16.0, 20.0]
    assert len(made.video[0].segments) == 6


def test_starts_end_the_period_before_and_media_beyond_it_is_cut() -> None:
    made = read(
        mpd(
            period(video("a", 500), attributes='start="PT100S"'),
            period(video("b", 500), attributes='start="PT106S" duration="PT40S"'),
            period(video("c", 500), attributes='start="PT111S"'),
            root='mediaPresentationDuration="PT15S"',
        )
    )
    assert times(made.video[0]) == [(0, 4), (4, 2), (6, 4), (10, 1), (11, 4)]


def test_period_as_long_as_its_timeline_needs_no_duration() -> None:
    listed = (
        '<AdaptationSet contentType="video"><Representation id="l" bandwidth="1"><SegmentTemplate '
        'media="$Time$"><SegmentTimeline><S d="3" r="1"/></SegmentTimeline></SegmentTemplate>'
        "</Representation></AdaptationSet>"
    )
    made = read(mpd(period(listed, attributes=""), period(video("b", 500))))
    assert times(made.video[0])[2] == (6.0, 4.0)


def test_periods_of_no_length_or_resolved_to_nothing_are_passed_over() -> None:
    nothing = (
        '<Period xmlns:x="http://www.w3.org/1999/xlink" '
        'x:href="urn:mpeg:dash:resolve-to-zero:2013"/>'
    )
    made = read(
        mpd(period(attributes='duration="PT0S"'), nothing, period(video("a", 500)), nothing)
    )
    assert names(made.video[0]) == ["a500/1", "a500/2"]


def test_period_that_ends_before_it_begins_is_refused_by_its_line() -> None:
    text = mpd(
        "\n",
        period(video("a", 500), attributes='start="PT9S"'),
        period(video("b", 500), attributes='start="PT5S"'),
    )
    with pytest.raises(RemoteProtocolError, match="line 2: the Period ends before"):
        read_manifest(text, URL)


def test_rungs_that_share_a_short_period_count_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEGMENT_COUNT_MAX", 60)
    many = _set("video", '<Representation id="m" bandwidth="1"/>').replace(
        'duration="4"', 'duration="1" timescale="6"'
    )
    text = mpd(period(video("a", *range(1, 6)), attributes='duration="PT16S"'), period(many))
    with pytest.raises(RemoteProtocolError, match="60 segments in all"):
        read_manifest(text, URL)


def test_what_has_several_inits_is_not_written_as_if_it_had_one() -> None:
    made = read(mpd(period(video("a", 500)), period(video("b", 500))))
    with pytest.raises(LocalProtocolError, match="one init"):
        write_mpd(made)
    with pytest.raises(LocalProtocolError, match="one init"):
        write_media(made.video[0], url=f"{HOME}a.m3u8")


def test_dates_say_nothing_about_a_finished_title() -> None:
    dates = 'availabilityStartTime="2999-01-01T00:00:00Z" publishTime="1970-01-01T00:00:00Z"'
    assert len(read(mpd(period(video("a", 500)), root=dates)).video[0].segments) == 2


def test_all_inits_are_looked_at_for_foreign_places() -> None:
    second = video("b", 500).replace("$RepresentationID$/i.mp4", "http://other.example/i.mp4")
    made = read(mpd(period(video("a", 500)), period(second)))
    assert foreign_urls(made, URL) == ("http://other.example/i.mp4",)


# -- indexes

FILE = (
    '<Representation id="{name}" bandwidth="500000"><BaseURL>{name}.mp4</BaseURL>'
    '<SegmentBase timescale="10" presentationTimeOffset="25" indexRange="700-799">'
    "{init}</SegmentBase></Representation>"
)


def indexed(*files: str) -> IndexedMpd:
    inside = f'<AdaptationSet contentType="video">{"".join(files)}</AdaptationSet>'
    made = read_manifest(mpd(period(inside)), URL)
    assert isinstance(made, IndexedMpd)
    return made


def listing(*lengths_s: float, first_byte: int = 700) -> FoundIndex:
    starts = [sum(lengths_s[:index]) for index in range(len(lengths_s))]
    return FoundIndex(
        first_byte=first_byte,
        starts_s=tuple(starts),
        durations_s=lengths_s,
        ranges=tuple(ByteRange(1000 + 10 * n, 1009 + 10 * n) for n in range(len(lengths_s))),
    )


def test_index_gives_segments_with_sizes_and_the_init_before_it() -> None:
    made = indexed(FILE.format(name="v", init=""))
    (place,) = made.places
    assert (place.url, place.byte_range) == (f"{HOME}v.mp4", ByteRange(700, 799))
    assert place.offset_s == Fraction(5, 2)
    one = made.assemble({place: listing(4.0, 4.0, 4.0)}).video[0]
    assert one.init is not None
    assert one.init.byte_range == ByteRange(0, 699)
    assert [each.size_bytes for each in one.segments] == [10, 10], "the third is past the Period"
    assert {each.url for each in one.segments} == {f"{HOME}v.mp4"}


def test_initialization_that_is_told_comes_first() -> None:
    init = '<Initialization sourceURL="init.mp4" range="5-99"/>'
    made = indexed(FILE.format(name="v", init=init))
    one = made.assemble({made.places[0]: listing(8.0)}).video[0]
    assert one.init is not None
    assert (one.init.url, one.init.byte_range) == (f"{HOME}init.mp4", ByteRange(5, 99))


def test_what_has_no_index_is_left_out() -> None:
    made = indexed(FILE.format(name="v", init=""), FILE.format(name="w", init=""))
    kept = made.assemble({made.places[1]: listing(4.0, 4.0)})
    assert [one.rendition.id for one in kept.video] == ["w"]
    with pytest.raises(RemoteProtocolError, match="no video and no audio"):
        made.assemble({})


def test_webm_files_beside_mp4_are_passed_over() -> None:
    webm = FILE.format(name="w", init="").replace("bandwidth", 'mimeType="video/webm" bandwidth')
    assert len(indexed(webm, FILE.format(name="v", init="")).places) == 1
    with pytest.raises(RemoteProtocolError, match="but WebM files"):
        indexed(webm)


def test_index_of_one_fragment_does_not_pass_for_that_of_a_file() -> None:
    made = indexed(FILE.format(name="v", init=""))
    with pytest.raises(RemoteProtocolError, match="fragment only"):
        made.assemble({made.places[0]: listing(2.0)})


def test_who_fetches_nothing_is_told_that_the_index_is_inside() -> None:
    inside = FILE.format(name="v", init="")
    text = mpd(period(f'<AdaptationSet contentType="video">{inside}</AdaptationSet>'))
    with pytest.raises(RemoteProtocolError, match="sidx"):
        read_part(text, URL)


# -- HLS

PLAYLIST = f"{HOME}a.m3u8"


def playlist(*lines: str) -> Representation:
    text = "\n".join(["#EXTM3U", *lines, "#EXT-X-ENDLIST"]).encode()
    made = read_manifest(text, PLAYLIST)
    assert isinstance(made, Presentation)
    return made.video[0]


def test_maps_hold_from_where_they_stand() -> None:
    one = playlist(
        *("#EXTINF:4,", "ts/1.m4s"),
        *("#EXT-X-DISCONTINUITY", '#EXT-X-MAP:URI="spot/i.mp4"', "#EXTINF:2,", "spot/1.m4s"),
        *('#EXT-X-MAP:URI="spot/i.mp4"', "#EXTINF:2,", "spot/2.m4s"),
        *("#EXT-X-DISCONTINUITY", '#EXT-X-MAP:URI="film.mp4",BYTERANGE="90@10"'),
        *("#EXT-X-BYTERANGE:300@100", "#EXTINF:4,", "film.mp4"),
        *("#EXT-X-BYTERANGE:200", "#EXTINF:4,", "film.mp4"),
    )
    assert inits(one)[:3] == ["-", "spot", "spot"]
    assert len(one.later_inits) == 2
    film = one.init_of(one.segments[3])
    assert film is not None
    assert film.byte_range == ByteRange(10, 99)
    assert one.init_of(one.segments[4]) is film
    assert [each.byte_range for each in one.segments[3:]] == [
        ByteRange(100, 399),
        ByteRange(400, 599),
    ]
    assert [each.start_s for each in one.segments] == [0.0, 4.0, 6.0, 8.0, 12.0]


def test_gaps_leave_holes_and_count_as_bytes_of_their_file() -> None:
    one = playlist(
        *("#EXT-X-BYTERANGE:10@0", "#EXTINF:4,", "a.mp4"),
        *("#EXT-X-GAP", "#EXT-X-BYTERANGE:20", "#EXTINF:4,", "a.mp4"),
        *("#EXTINF:4,", "#EXT-X-BYTERANGE:30", "a.mp4"),
    )
    assert times(one) == [(0.0, 4.0), (8.0, 4.0)]
    assert [each.byte_range for each in one.segments] == [ByteRange(0, 9), ByteRange(30, 59)]


def test_inits_of_a_playlist_are_bounded() -> None:
    lines = [(f'#EXT-X-MAP:URI="{number}"', "#EXTINF:4,", "a") for number in range(1002)]
    with pytest.raises(RemoteProtocolError, match=r"line 3004: more than 1000 EXT-X-MAP"):
        playlist(*(line for three in lines for line in three))
