"""Several hosts for the same bytes, as DASH and HLS manifests name them."""

from __future__ import annotations

import pytest

from nearcast.errors import RemoteProtocolError
from nearcast.manifests import HlsMaster, read_alternates, read_manifest
from nearcast.manifests.alternates import BASE_COUNT_MAX

URL = "http://a.test/film/manifest.mpd"


def mpd(root: str = "", inner: str = "") -> bytes:
    return f"""<?xml version="1.0"?>
    <MPD xmlns="urn:mpeg:dash:schema:mpd:2011" xmlns:dvb="urn:dvb:dash:dash-extensions:2014-1"
     type="static" mediaPresentationDuration="PT4S" profiles="x" minBufferTime="PT2S">{root}
     <Period><AdaptationSet contentType="video" mimeType="video/mp4">
     <SegmentTemplate timescale="1" duration="2" media="$RepresentationID$/$Number$.m4s"/>
     <Representation id="v0" bandwidth="100000" codecs="avc1.42c00d">{inner}</Representation>
     </AdaptationSet></Period></MPD>""".encode()


def urls(text: bytes) -> list[list[str]]:
    return [[base.url for base in group] for group in read_alternates(text, URL)]


def test_one_base_has_no_alternatives() -> None:
    assert urls(mpd()) == []
    assert urls(mpd("<BaseURL>media/</BaseURL>")) == []


def test_bases_at_the_top_and_their_order() -> None:
    text = mpd("<BaseURL>http://b.test/x/</BaseURL><BaseURL>c/</BaseURL>")
    assert urls(text) == [["http://b.test/x/", "http://a.test/film/c/"]]
    (group,) = read_alternates(text, URL)
    assert group[0].priority < group[1].priority, "without attributes, the first is preferred"


def test_levels_multiply_up_to_a_bound() -> None:
    two = "<BaseURL>http://b.test/x/</BaseURL><BaseURL>http://c.test/y/</BaseURL>"
    text = mpd(two, "<BaseURL>p/</BaseURL><BaseURL>q/</BaseURL>")
    assert urls(text)[1] == [
        "http://b.test/x/p/",
        "http://c.test/y/p/",
        "http://b.test/x/q/",
        "http://c.test/y/q/",
    ]
    many = "".join(f"<BaseURL>http://h{n}.test/</BaseURL>" for n in range(100))
    assert len(urls(mpd(many, many))[0]) == BASE_COUNT_MAX


def test_priority_and_weight_are_read_and_nonsense_in_them_is_passed_over() -> None:
    text = mpd(
        '<BaseURL dvb:priority="2">http://b.test/</BaseURL>'
        '<BaseURL dvb:priority="1" dvb:weight="7">http://c.test/</BaseURL>'
        '<BaseURL dvb:priority="-1" dvb:weight="NaN">http://d.test/</BaseURL>'
    )
    (group,) = read_alternates(text, URL)
    assert [(base.priority, base.weight) for base in group] == [(2, 1.0), (1, 7.0), (1, 1.0)]


def test_bad_alternative_is_none_and_a_bad_first_is_an_error() -> None:
    bad = "<BaseURL>http://[</BaseURL>"
    assert urls(mpd("<BaseURL>b/</BaseURL>" + bad)) == []
    with pytest.raises(RemoteProtocolError):
        read_alternates(mpd(bad + "<BaseURL>b/</BaseURL>"), URL)


MASTER = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="en",LANGUAGE="en",URI="http://a.test/en.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="de",LANGUAGE="de",URI="http://a.test/de.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac-b",NAME="en",LANGUAGE="en",URI="http://b.test/en.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac-b",NAME="de",LANGUAGE="de",URI="http://b.test/de.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1000000,CODECS="avc1.64001f,mp4a.40.2",AUDIO="aac"
http://a.test/lo.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=1000000,CODECS="avc1.64001f,mp4a.40.2",AUDIO="aac-b"
http://b.test/lo.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3000000,CODECS="avc1.64001f,mp4a.40.2",AUDIO="aac"
http://a.test/hi.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3000000,CODECS="avc1.64001f,mp4a.40.2",AUDIO="aac-b"
http://b.test/hi.m3u8
"""


def master(text: str) -> HlsMaster:
    found = read_manifest(text.encode(), "http://a.test/master.m3u8")
    assert isinstance(found, HlsMaster)
    return found


def test_redundant_variants_and_their_audio_are_one_ladder() -> None:
    found = master(MASTER)
    assert [one.url for one in found.video] == ["http://a.test/lo.m3u8", "http://a.test/hi.m3u8"]
    assert [one.url for one in found.audio] == ["http://a.test/en.m3u8", "http://a.test/de.m3u8"]
    pairs = {tuple(base.url for base in group) for group in found.alternates}
    assert all(group[0].priority < group[1].priority for group in found.alternates)
    assert pairs == {
        (f"http://a.test/{name}.m3u8", f"http://b.test/{name}.m3u8")
        for name in ("lo", "hi", "en", "de")
    }


def test_streams_that_differ_in_anything_are_no_copies() -> None:
    found = master(MASTER.replace("BANDWIDTH=3000000", "BANDWIDTH=3000001", 1))
    assert len(found.video) == 3
    ranged = MASTER.replace(
        'AUDIO="aac-b"\nhttp://b.test/hi', 'VIDEO-RANGE=PQ,AUDIO="aac-b"\nhttp://b.test/hi'
    )
    assert len(master(ranged).video) == 3


def test_streams_of_one_rate_on_one_host_are_no_copies() -> None:
    assert len(master(MASTER.replace("http://b.test/", "http://a.test/b/")).video) == 4
    assert not master(MASTER.replace("http://b.test/", "http://a.test/b/")).alternates
