"""Which segment a URL is, as learnt from manifests."""

from __future__ import annotations

from typing import Any

import pytest

from edge import media_index
from edge.config import EdgeConfig, SessionsConfig
from edge.effects import ReadManifest
from edge.media_index import SHARED_MAX
from edge.media_map import MediaMap
from edge.records import ManifestIgnored
from edge.services import Services
from edge.status import Counters
from edge.texts import read_manifest
from nearcast.manifests import write_mpd
from nearcast.record import ListRecorder
from tests.edge_bench import UPSTREAM
from tests.edge_world import SEGMENT_COUNT, SEGMENT_S, episode, episode_texts

TEXTS = {UPSTREAM + path: text for path, text in episode_texts().items()}
E1 = f"{UPSTREAM}/media/e1"


def make(**limits: Any) -> tuple[MediaMap, Counters, ListRecorder]:
    counters, recorder = Counters(), ListRecorder()
    config = SessionsConfig(**limits)
    return (
        MediaMap(
            Services(EdgeConfig(upstream=UPSTREAM)), config, counters=counters, recorder=recorder
        ),
        counters,
        recorder,
    )


def learn(media_map: MediaMap, *urls: str) -> None:
    for url in urls:
        read(media_map, url, TEXTS[url])


def read(media_map: MediaMap, url: str, text: bytes, now_s: float = 0.0) -> None:
    found = read_manifest(ReadManifest(url=url, text=text))
    if found.manifest is None:
        media_map.ignore(url, found.detail, now_s)
    else:
        media_map.learn(url, found.manifest, now_s)


def test_an_mpd_places_all_its_segments() -> None:
    media_map, _, _ = make()
    learn(media_map, f"{E1}/manifest.mpd")
    (place,) = media_map.places(f"{E1}/high/3.m4s")
    assert (place.title_url, place.kind, place.representation_id) == (
        f"{E1}/manifest.mpd",
        "video",
        "high",
    )
    assert (place.segment_index, place.segment.start_s) == (2, 2 * SEGMENT_S)
    (init,) = media_map.places(f"{E1}/sound/init.mp4")
    assert (init.kind, init.segment_index) == ("audio", None)
    title = media_map.title(f"{E1}/manifest.mpd")
    assert title is not None
    assert title.runtime_s == pytest.approx(SEGMENT_COUNT * SEGMENT_S)


def test_an_hls_title_grows_with_its_playlists() -> None:
    media_map, _, _ = make()
    learn(media_map, f"{E1}/master.m3u8")
    assert media_map.places(f"{E1}/low/1.m4s") == ()
    learn(media_map, f"{E1}/low/playlist.m3u8")
    assert media_map.places(f"{E1}/low/1.m4s")[0].title_url == f"{E1}/master.m3u8"
    assert media_map.places(f"{E1}/high/1.m4s") == ()
    learn(media_map, f"{E1}/high/playlist.m3u8", f"{E1}/sound/playlist.m3u8")
    assert media_map.places(f"{E1}/sound/1.m4s")[0].kind == "audio"
    assert len(media_map) == 1


def test_a_playlist_that_came_before_its_master_is_taken_over() -> None:
    media_map, _, _ = make()
    learn(media_map, f"{E1}/low/playlist.m3u8")
    assert media_map.places(f"{E1}/low/1.m4s")[0].title_url == f"{E1}/low/playlist.m3u8"
    learn(media_map, f"{E1}/master.m3u8")
    assert media_map.places(f"{E1}/low/1.m4s")[0].title_url == f"{E1}/master.m3u8"
    assert media_map.has_text(f"{E1}/low/playlist.m3u8")


def test_a_segment_of_two_titles_has_two_places() -> None:
    media_map, _, _ = make()
    learn(media_map, f"{E1}/manifest.mpd", f"{E1}/master.m3u8", f"{E1}/low/playlist.m3u8")
    titles = {place.title_url for place in media_map.places(f"{E1}/low/1.m4s")}
    assert titles == {f"{E1}/manifest.mpd", f"{E1}/master.m3u8"}


def test_periods_are_placed_one_behind_the_other() -> None:
    media_map, counters, _ = make()
    period = (
        '<Period duration="PT8S"><AdaptationSet contentType="video"><SegmentTemplate duration="4" '
        'initialization="{0}/i.mp4" media="{0}/$Number$.m4s"/><Representation id="v" '
        'bandwidth="1"/></AdaptationSet></Period>'
    )
    inside = "".join(map(period.format, ("spot", "film", "spot")))
    read(media_map, f"{E1}/manifest.mpd", f"<MPD>{inside}</MPD>".encode())
    (film,) = media_map.places(f"{E1}/film/2.m4s")
    assert (film.segment_index, film.segment.start_s) == (3, 12.0)
    # What is played twice is either of the two.
    (spot,) = media_map.places(f"{E1}/spot/1.m4s")
    assert spot.segment_index in (0, 4)
    (init,) = media_map.places(f"{E1}/spot/i.mp4")
    assert init.segment_index is None
    assert counters.manifests_ignored == 0


def test_gap_is_not_placed_and_counts_in_time() -> None:
    media_map, _, _ = make()
    lines = ("#EXTM3U", "#EXTINF:4,", "a.ts", "#EXT-X-GAP", "#EXTINF:4,", "b.ts", "#EXTINF:4,")
    text = "\n".join((*lines, "c.ts", "#EXT-X-ENDLIST")).encode()
    read(media_map, f"{E1}/one.m3u8", text)
    assert media_map.places(f"{E1}/b.ts") == ()
    (place,) = media_map.places(f"{E1}/c.ts")
    assert (place.segment_index, place.segment.start_s) == (1, 8.0)


@pytest.mark.parametrize("text", [b"", b"garbage", b"<MPD", b"#EXTM3U\n", b"\xff\xfe", b"{}"])
def test_what_is_no_manifest_is_counted_and_ignored(text: bytes) -> None:
    media_map, counters, recorder = make()
    read(media_map, f"{E1}/manifest.mpd", text, 1.0)
    assert counters.manifests_ignored == 1
    assert isinstance(recorder.records[-1], ManifestIgnored)
    assert media_map.title(f"{E1}/manifest.mpd") is None


def test_a_bad_later_version_leaves_what_is_known() -> None:
    media_map, _, _ = make()
    learn(media_map, f"{E1}/manifest.mpd")
    read(media_map, f"{E1}/manifest.mpd", b"garbage", 1.0)
    assert media_map.places(f"{E1}/low/1.m4s") != ()


def test_segments_outside_the_upstream_are_left_out() -> None:
    media_map, _, _ = make()
    text = write_mpd(episode(1), url="http://elsewhere/x.mpd").encode()
    foreign = text.replace(b"origin:8000", b"elsewhere:9")
    read(media_map, f"{E1}/manifest.mpd", foreign, 0.0)
    assert media_map.places("http://elsewhere:9/base/media/e1/low/1.m4s") == ()
    assert not media_map.is_inside("http://origin:8000/other")
    assert not media_map.is_inside("http://origin:80001/base/x")


def test_the_title_used_longest_ago_makes_room() -> None:
    media_map, _, _ = make(titles_max=2)
    first, second, third = (f"{UPSTREAM}/media/e{no}/manifest.mpd" for no in (1, 2, 3))
    learn(media_map, first, second)
    media_map.use(first)
    learn(media_map, third)
    assert media_map.title(second) is None
    assert media_map.places(f"{UPSTREAM}/media/e2/low/1.m4s") == ()
    assert media_map.places(f"{E1}/low/1.m4s") != ()


def hashed(title: str, count: int = 200) -> bytes:
    """A playlist whose names follow no rule."""
    names = (f"{title}{no * no * 7919:x}" for no in range(count))
    lines = [f"#EXTINF:4,\n{name}.ts" for name in names]
    return "\n".join(["#EXTM3U", *lines, "#EXT-X-ENDLIST"]).encode()


def test_the_memory_of_all_titles_is_bounded() -> None:
    media_map, _, _ = make(titles_bytes_max=50_000)
    for no in range(20):
        read(media_map, f"{E1}/{no}.m3u8", hashed(f"t{no}-"))
        assert media_map.size_bytes <= 50_000
    assert 1 < len(media_map) < 20
    assert media_map.title(f"{E1}/19.m3u8") is not None
    assert media_map.title(f"{E1}/0.m3u8") is None
    assert media_map.places(f"{E1}/t0-0.ts") == ()
    assert [place.title_url for place in media_map.places(f"{E1}/t19-0.ts")] == [f"{E1}/19.m3u8"]


def test_nothing_is_left_of_titles_that_are_renewed_or_forgotten() -> None:
    media_map, _, _ = make(titles_max=1)
    for _ in range(3):
        learn(media_map, f"{E1}/manifest.mpd")
        once = media_map.size_bytes
        learn(media_map, f"{E1}/low/playlist.m3u8", f"{E1}/master.m3u8")
        learn(media_map, f"{E1}/low/playlist.m3u8", f"{E1}/manifest.mpd")
        assert len(media_map) == 1
        assert media_map.size_bytes == once
    assert {place.title_url for place in media_map.places(f"{E1}/low/1.m4s")} == {
        f"{E1}/manifest.mpd"
    }


def test_titles_without_number_in_one_folder_are_told_apart() -> None:
    media_map, _, _ = make()
    for title in ("one", "two"):
        read(media_map, f"{E1}/{title}.m3u8", hashed(title))
    (place,) = media_map.places(f"{E1}/two{7919:x}.ts?x=1") or media_map.places(
        f"{E1}/two{7919:x}.ts"
    )
    assert (place.title_url, place.segment_index) == (f"{E1}/two.m3u8", 1)
    assert media_map.places(f"{E1}/three.ts") == ()


def test_ranges_of_one_file_are_places_by_their_first_byte() -> None:
    media_map, _, _ = make()
    text = b"""#EXTM3U
#EXT-X-MAP:URI="one.mp4",BYTERANGE="100@0"
#EXTINF:4,
#EXT-X-BYTERANGE:50@100
one.mp4
#EXTINF:4,
#EXT-X-BYTERANGE:50@150
one.mp4
#EXT-X-ENDLIST
"""
    read(media_map, f"{E1}/one.m3u8", text)
    indexes = [
        media_map.places(f"{E1}/one.mp4", first)[0].segment_index
        for first in (0, 99, 100, 149, 150)
    ]
    assert indexes == [None, None, 0, 0, 1]


def test_many_titles_of_the_same_urls_do_not_slow_each_other_down() -> None:
    media_map, _, _ = make()
    for no in range(200):
        read(media_map, f"{E1}/{no}.m3u8", b"#EXTM3U\n#EXTINF:4,\nseg1.ts\n#EXT-X-ENDLIST")
    assert len(media_map.places(f"{E1}/seg1.ts")) == SHARED_MAX
    assert len(media_map) == 200


def test_a_number_longer_than_any_is_no_segment() -> None:
    media_map, _, _ = make()
    learn(media_map, f"{E1}/manifest.mpd")
    assert media_map.places(f"{E1}/low/{'1' * 5000}.m4s") == ()


def test_what_is_remembered_of_a_url_ends_with_what_it_rests_on() -> None:
    media_map, _, _ = make(titles_max=1)
    url = f"{E1}/low/1.m4s"
    learn(media_map, f"{E1}/manifest.mpd")
    (place,) = media_map.places(url)
    assert media_map.places(url)[0] is place
    learn(media_map, f"{E1}/low/playlist.m3u8")
    assert [one.title_url for one in media_map.places(url)] == [f"{E1}/low/playlist.m3u8"]
    learn(media_map, f"{UPSTREAM}/media/e2/manifest.mpd")
    assert media_map.places(url) == ()


def test_no_more_than_so_many_answers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_index, "REMEMBERED_MAX", 3)
    media_map, _, _ = make()
    learn(media_map, f"{E1}/manifest.mpd")
    for no in range(20):
        assert media_map.places(f"{E1}/none{no}") == ()
        assert media_map.places(f"{E1}/low/1.m4s") != ()
        assert len(media_map._index._remembered) <= 3
