"""Which segment a URL is, as learnt from manifests."""

from __future__ import annotations

import pytest

from edge.config import EdgeConfig, SessionsConfig
from edge.media_map import MediaMap
from edge.records import ManifestIgnored
from edge.services import Services
from edge.status import Counters
from nearcast.manifests import write_mpd
from nearcast.record import ListRecorder
from tests.edge_bench import UPSTREAM
from tests.edge_world import SEGMENT_COUNT, SEGMENT_S, episode, episode_texts

TEXTS = {UPSTREAM + path: text for path, text in episode_texts().items()}
E1 = f"{UPSTREAM}/media/e1"


def make(**limits: int) -> tuple[MediaMap, Counters, ListRecorder]:
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
        media_map.learn(url, TEXTS[url], 0.0)


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


@pytest.mark.parametrize("text", [b"", b"garbage", b"<MPD", b"#EXTM3U\n", b"\xff\xfe", b"{}"])
def test_what_is_no_manifest_is_counted_and_ignored(text: bytes) -> None:
    media_map, counters, recorder = make()
    media_map.learn(f"{E1}/manifest.mpd", text, 1.0)
    assert counters.manifests_ignored == 1
    assert isinstance(recorder.records[-1], ManifestIgnored)
    assert media_map.title(f"{E1}/manifest.mpd") is None


def test_a_bad_later_version_leaves_what_is_known() -> None:
    media_map, _, _ = make()
    learn(media_map, f"{E1}/manifest.mpd")
    media_map.learn(f"{E1}/manifest.mpd", b"garbage", 1.0)
    assert media_map.places(f"{E1}/low/1.m4s") != ()


def test_segments_outside_the_upstream_are_left_out() -> None:
    media_map, _, _ = make()
    text = write_mpd(episode(1), url="http://elsewhere/x.mpd").encode()
    foreign = text.replace(b"origin:8000", b"elsewhere:9")
    media_map.learn(f"{E1}/manifest.mpd", foreign, 0.0)
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


def test_the_segments_of_all_titles_are_bounded() -> None:
    media_map, _, _ = make(segments_max=40)  # one title has 33
    learn(media_map, *(f"{UPSTREAM}/media/e{no}/manifest.mpd" for no in (1, 2, 3)))
    assert len(media_map) == 1
