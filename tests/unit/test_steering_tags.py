"""What manifests say of content steering: written, read back, and read from others."""

from __future__ import annotations

import pytest
from msgspec import structs

from nearcast.manifests import (
    HOME,
    HlsMaster,
    Pathway,
    read_alternates,
    read_dash_tag,
    read_manifest,
    write_master,
    write_mpd,
)
from nearcast.manifests.steering_tags import SteeringTag, read_hls_tag
from nearcast.media import Presentation
from tests.abr_world import BASE, MPD, presentation

SERVER = "https://origin.test/v1/steering/film?a=1&b=2"
HEAD = '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" mediaPresentationDuration="PT4S">'
VARIANTS = ("v0", "v1", "a0", "a1")
MEDIA = (
    '<Period><AdaptationSet contentType="video" mimeType="video/mp4">'
    '<Representation id="v" bandwidth="100000"><SegmentTemplate duration="2" media="$Number$.m4s"/>'
    "</Representation></AdaptationSet></Period></MPD>"
)


def mpd(inside: str) -> bytes:
    return f"{HEAD}{inside}{MEDIA}".encode()


def both(origin_url: str) -> tuple[Pathway, ...]:
    return HOME, Pathway(id="_origin", url=origin_url)


def tag(text: str) -> SteeringTag | None:
    return read_hls_tag(text.splitlines(), "http://a.test/film/master.m3u8")


def test_mpd_says_what_it_is_told_and_its_segments_stay_where_they_are() -> None:
    plain, steered = (
        write_mpd(presentation((1000.0, 2000.0), audio_kbps=96.0), steering_url=url)
        for url in ("", SERVER)
    )
    assert "ContentSteering" not in plain
    assert "BaseURL" not in plain
    assert read_manifest(steered.encode(), MPD) == read_manifest(plain.encode(), MPD)
    found = read_dash_tag(steered.encode(), MPD)
    assert found == SteeringTag(
        server_url=SERVER, protocol="DASH", pathways=("home",), query_before_start=True
    )
    ((base,),) = read_alternates(steered.encode(), MPD)
    assert (base.url, base.pathway) == (f"{BASE}/", "home")
    # As the schema has it: before the Periods, the BaseURL first (ISO/IEC 23009-1, 5.3.1.3).
    order = [steered.index(each) for each in ("<BaseURL", "<ContentSteering", "<Period")]
    assert order == sorted(order)


def test_master_says_what_it_is_told_and_lists_the_same() -> None:
    title_of = presentation((1000.0, 2000.0), audio_kbps=(64.0, 128.0))
    url = f"{BASE}/master.m3u8"
    plain, steered = (write_master(title_of, url=url, steering_url=each) for each in ("", SERVER))
    assert "STEERING" not in plain
    assert "PATHWAY" not in plain
    before, after = (read_manifest(each.encode(), url) for each in (plain, steered))
    assert isinstance(before, HlsMaster)
    assert isinstance(after, HlsMaster)
    # An audio group is called by its pathway: video.js looks for the groups of clones so.
    renamed = [structs.replace(each, audio_group="audio") for each in after.video]
    assert renamed == [structs.replace(each, audio_group="audio") for each in before.video]
    assert before.steering is None
    assert after.steering == SteeringTag(server_url=SERVER, protocol="HLS", pathways=("home",))
    assert not before.alternates
    named = {(group[0].url, group[0].pathway, group[0].stable_id) for group in after.alternates}
    assert named == {(f"{BASE}/{each}/playlist.m3u8", "home", each) for each in VARIANTS}


@pytest.mark.parametrize("fetched_from", ["http://edge.test", "https://origin.test"])
def test_origin_is_a_pathway_of_absolute_urls_wherever_the_manifest_came_from(
    fetched_from: str,
) -> None:
    """Stock players make clones of absolute URLs alone (Shaka)."""
    title_of = presentation((1000.0, 2000.0), audio_kbps=64.0)
    there = "https://origin.test/media/film"
    mpd_url, master_url = (f"{BASE}/{name}" for name in ("manifest.mpd", "master.m3u8"))
    text = write_mpd(
        title_of, url=mpd_url, steering_url=SERVER, pathways=both(f"{there}/manifest.mpd")
    )
    assert f'<BaseURL serviceLocation="_origin">{there}/</BaseURL>' in text
    got = f"{fetched_from}/media/film"
    (bases,) = read_alternates(text.encode(), f"{got}/manifest.mpd")
    assert [(base.url, base.pathway) for base in bases] == [
        (f"{got}/", "home"),
        (f"{there}/", "_origin"),
    ]
    master = write_master(
        title_of, url=master_url, steering_url=SERVER, pathways=both(f"{there}/master.m3u8")
    )
    found = read_manifest(master.encode(), f"{got}/master.m3u8")
    assert isinstance(found, HlsMaster)
    assert found.playlist_urls == tuple(
        f"{got}/{each}/playlist.m3u8" for each in ("v0", "v1", "a0")
    )
    told = {
        tuple((base.url, base.pathway, base.stable_id) for base in group)
        for group in found.alternates
    }
    assert told == {
        (
            (f"{got}/{each}/playlist.m3u8", "home", each),
            (f"{there}/{each}/playlist.m3u8", "_origin", each),
        )
        for each in ("v0", "v1", "a0")
    }


def test_audio_group_is_called_by_its_pathway() -> None:
    """video.js looks for the group to clone under the name of the base's pathway."""
    title_of = presentation((1000.0,), audio_kbps=(64.0, 128.0))
    master = write_master(
        title_of,
        url=f"{BASE}/master.m3u8",
        steering_url=SERVER,
        pathways=both(f"{BASE}/master.m3u8"),
    )
    for pathway in ("home", "_origin"):
        lines = [line for line in master.splitlines() if f'PATHWAY-ID="{pathway}"' in line]
        media = [line for line in lines if line.startswith("#EXT-X-MEDIA")]
        variants = [line for line in lines if line.startswith("#EXT-X-STREAM-INF")]
        assert f'GROUP-ID="{pathway}"' in media[0]
        assert f'AUDIO="{pathway}"' in variants[0]


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("", None),
        ("<ContentSteering/>", None),
        ("<ContentSteering>ftp://s.test/</ContentSteering>", None),
        ("<ContentSteering>http://[bad/</ContentSteering>", None),
        ("<ContentSteering> /s </ContentSteering>", ("http://a.test/s", (), False)),
        (
            '<ContentSteering defaultServiceLocation="beta alpha,beta" queryBeforeStart="1" '
            'proxyServerURL="http://127.0.0.1/" unknown="x">https://s.test/a?b=c</ContentSteering>',
            ("https://s.test/a?b=c", ("beta", "alpha"), True),
        ),
        (
            '<ContentSteering defaultServiceLocation="a b&lt;" queryBeforeStart="perhaps">'
            "http://s.test/</ContentSteering>",
            ("http://s.test/", ("a",), False),
        ),
        (
            '<ServiceDescription id="0"><ContentSteering>http://s.test/</ContentSteering>'
            "</ServiceDescription>",
            ("http://s.test/", (), False),
        ),
    ],
)
def test_what_an_mpd_says(inside: str, expected: tuple[str, tuple[str, ...], bool] | None) -> None:
    text = mpd(inside)
    found = read_dash_tag(text, "http://a.test/film/m.mpd")
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found.server_url, found.pathways, found.query_before_start) == expected
    assert isinstance(read_manifest(text, "http://a.test/film/m.mpd"), Presentation)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('SERVER-URI="/s?a=1,2",PATHWAY-ID="b"', ("http://a.test/s?a=1,2", ("b",))),
        ('PATHWAY-ID="b",X-NEW=1,SERVER-URI="https://s.test/"', ("https://s.test/", ("b",))),
        ('SERVER-URI="https://s.test/"', ("https://s.test/", ())),
        ('SERVER-URI="https://s.test/",PATHWAY-ID="not legal"', ("https://s.test/", ())),
        ('SERVER-URI="data:application/json,{}"', None),
        ('PATHWAY-ID="b"', None),
        ("", None),
        ('=,="', None),
    ],
)
def test_what_a_master_says(line: str, expected: tuple[str, tuple[str, ...]] | None) -> None:
    found = tag(f"#EXTM3U\n#EXT-X-CONTENT-STEERING:{line}\n")
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found.server_url, found.pathways) == expected


def test_bases_are_known_by_their_service_locations() -> None:
    text = mpd(
        '<BaseURL serviceLocation="alpha">http://a.test/x/</BaseURL>'
        '<BaseURL serviceLocation="beta">http://b.test/y/</BaseURL>'
        '<BaseURL serviceLocation="not legal">http://c.test/z/</BaseURL>'
    ).replace(b"<SegmentTemplate", b"<BaseURL>hd/</BaseURL><SegmentTemplate")
    outer, inner = read_alternates(text, "http://a.test/m.mpd")
    assert [(base.url, base.pathway) for base in outer] == [
        ("http://a.test/x/", "alpha"),
        ("http://b.test/y/", "beta"),
        ("http://c.test/z/", ""),
    ]
    assert [(base.url, base.pathway) for base in inner] == [
        ("http://a.test/x/hd/", "alpha"),
        ("http://b.test/y/hd/", "beta"),
        ("http://c.test/z/hd/", ""),
    ]


def test_absolute_base_below_a_pathway_is_of_none() -> None:
    text = mpd('<BaseURL serviceLocation="alpha">./</BaseURL>').replace(
        b"<SegmentTemplate", b"<BaseURL>http://far.test/</BaseURL><SegmentTemplate"
    )
    groups = read_alternates(text, "http://a.test/m.mpd")
    assert [[(base.url, base.pathway) for base in group] for group in groups] == [
        [("http://a.test/", "alpha")]
    ]


MASTER = """#EXTM3U
#EXT-X-CONTENT-STEERING:SERVER-URI="http://s.test/",PATHWAY-ID="one"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a1",NAME="en",URI="one/en.m3u8",STABLE-RENDITION-ID="en"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a2",NAME="en",URI="two/en.m3u8",STABLE-RENDITION-ID="en"
#EXT-X-STREAM-INF:BANDWIDTH=900000,AUDIO="a1",PATHWAY-ID="one",STABLE-VARIANT-ID="v"
one/v.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=900000,AUDIO="a2",PATHWAY-ID="two",STABLE-VARIANT-ID="v"
two/v.m3u8
"""


def test_pathways_of_a_master_are_copies_even_at_one_host() -> None:
    found = read_manifest(MASTER.encode(), "http://a.test/master.m3u8")
    assert isinstance(found, HlsMaster)
    told = [[(base.url, base.pathway, base.stable_id) for base in g] for g in found.alternates]
    assert told == [
        [("http://a.test/one/v.m3u8", "one", "v"), ("http://a.test/two/v.m3u8", "two", "v")],
        [("http://a.test/one/en.m3u8", "one", "en"), ("http://a.test/two/en.m3u8", "two", "en")],
    ]
    assert found.playlist_urls == ("http://a.test/one/v.m3u8", "http://a.test/one/en.m3u8")


def test_without_the_tag_variants_at_one_host_stay_apart() -> None:
    lines = [line for line in MASTER.splitlines() if "STEERING" not in line]
    found = read_manifest("\n".join(lines).encode(), "http://a.test/master.m3u8")
    assert isinstance(found, HlsMaster)
    assert not found.alternates
    assert len(found.playlist_urls) == 4
