from __future__ import annotations

import msgspec
import pytest

from nearcast.manifests import HlsMaster, read_manifest
from nearcast.media import Presentation, Rendition
from nearcast.messages import Catalog
from origin.catalog import RenditionEntry, SegmentEntry, Title, TitleDetail
from origin.core import OriginAnswer, OriginCore
from origin.library import FreshnessConfig, MemoryLibrary

SEGMENT = "/media/tide/216p/2.m4s"


def entry(rendition: Rendition, sizes_bytes: list[int]) -> RenditionEntry:
    return RenditionEntry(
        rendition=rendition,
        init_size_bytes=700,
        init_crc32c=1,
        segments=tuple(
            SegmentEntry(start_s=2.0 * index, duration_s=2.0, size_bytes=size, crc32c=index + 2)
            for index, size in enumerate(sizes_bytes)
        ),
    )


def make_title(**changes: object) -> Title:
    title = Title(
        id="tide",
        name="Tide & <time>",
        duration_s=4.0,
        created_wall_s=1_767_225_600.0,
        renditions=(
            entry(
                Rendition(
                    id="216p",
                    kind="video",
                    codecs="avc1.64000c",
                    peak_kbps=400.0,
                    average_kbps=300.0,
                    width=384,
                    height=216,
                    frame_rate=25.0,
                ),
                [100_000, 50_000],
            ),
            entry(
                Rendition(
                    id="audio",
                    kind="audio",
                    codecs="mp4a.40.2",
                    peak_kbps=128.0,
                    average_kbps=128.0,
                    sample_rate_hz=48_000,
                    channel_count=2,
                ),
                [32_000, 32_000],
            ),
        ),
    )
    return msgspec.structs.replace(title, **changes)


@pytest.fixture
def core() -> OriginCore:
    return OriginCore(MemoryLibrary([make_title()]))


def get(core: OriginCore, target: str, **headers: str) -> OriginAnswer:
    fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return core.answer("GET", target, fields)


def field(answer: OriginAnswer, name: str) -> str:
    return dict(answer.headers)[name]


def test_a_segment_may_be_kept_for_a_year(core: OriginCore) -> None:
    answer = get(core, SEGMENT)

    assert answer.status == 200
    assert answer.resource is not None
    assert answer.size_bytes == answer.resource.size_bytes == 50_000
    assert field(answer, "content-length") == "50000"
    assert field(answer, "content-type") == "video/mp4"
    assert field(answer, "cache-control") == "public, max-age=31536000, immutable"
    assert field(answer, "last-modified") == "Thu, 01 Jan 2026 00:00:00 GMT"
    assert field(answer, "etag").startswith('"')
    assert field(answer, "accept-ranges") == "bytes"
    assert field(answer, "access-control-allow-origin") == "*"


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [("bytes=0-99", 0, 99), ("bytes=49990-", 49_990, 49_999), ("bytes=-10", 49_990, 49_999)],
)
def test_a_range_gives_a_part(core: OriginCore, text: str, first: int, last: int) -> None:
    answer = get(core, SEGMENT, range=text)

    assert answer.status == 206
    assert answer.byte_range is not None
    assert (answer.byte_range.first, answer.byte_range.last) == (first, last)
    assert field(answer, "content-range") == f"bytes {first}-{last}/50000"
    assert field(answer, "content-length") == str(answer.size_bytes) == str(last - first + 1)


def test_a_range_past_the_end_is_refused_with_the_size(core: OriginCore) -> None:
    answer = get(core, SEGMENT, range="bytes=50000-")

    assert answer.status == 416
    assert field(answer, "content-range") == "bytes */50000"


def test_if_range_gives_the_whole_when_the_resource_has_changed(core: OriginCore) -> None:
    etag = field(get(core, SEGMENT), "etag")

    assert get(core, SEGMENT, range="bytes=0-9", if_range=etag).status == 206
    assert get(core, SEGMENT, range="bytes=0-9", if_range='"other"').status == 200


def test_known_validators_give_304_without_a_body(core: OriginCore) -> None:
    fresh = get(core, SEGMENT)

    for answer in (
        get(core, SEGMENT, if_none_match=field(fresh, "etag")),
        get(core, SEGMENT, if_modified_since=field(fresh, "last-modified")),
    ):
        assert answer.status == 304
        assert answer.size_bytes == 0
        assert field(answer, "etag") == field(fresh, "etag")
        assert field(answer, "cache-control") == field(fresh, "cache-control")
    assert get(core, SEGMENT, if_match='"other"').status == 412


def test_head_has_the_headers_of_get_and_no_body(core: OriginCore) -> None:
    head = core.answer("HEAD", SEGMENT, (("range", "bytes=0-9"),))

    assert head.headers == get(core, SEGMENT).headers
    assert head.size_bytes == 0
    assert not head.send_body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "CONNECT"])
def test_other_methods_are_not_allowed(core: OriginCore, method: str) -> None:
    answer = core.answer(method, SEGMENT, ())

    assert answer.status == 405
    assert field(answer, "allow") == "GET, HEAD, OPTIONS"


def test_browsers_may_ask_first(core: OriginCore) -> None:
    answer = core.answer("OPTIONS", SEGMENT, (("origin", "https://player.example"),))

    assert answer.status == 204
    assert "CMCD-Session" in field(answer, "access-control-allow-headers")
    assert answer.size_bytes == 0


@pytest.mark.parametrize(
    "target",
    [
        "/media/tide/216p/../../../etc/passwd",
        "/media/tide/216p/%2e%2e/%2e%2e/catalog.db",
        "/media/tide/216p/..%2f..%2fcatalog.db",
        "/media/tide/216p/%00",
        "/media/tide/216p/0.m4s",
        "/media/tide/216p/01.m4s",
        "/media/tide/216p/3.m4s",
        "/media/tide/216p/99999999999999999999.m4s",
        "/media/tide/216p/1.m4s/",
        "/media/tide/216p",
        "/media/tide/",
        "/media/",
        "/media/none/manifest.mpd",
        "/v1/titles/none",
        "//media/tide/manifest.mpd",
        "media",
        "*",
        "",
        "/%ff%fe",
        "http://elsewhere.example/",
    ],
)
def test_what_the_catalogue_does_not_name_is_not_found(core: OriginCore, target: str) -> None:
    assert get(core, target).status == 404


def test_a_target_without_end_is_refused(core: OriginCore) -> None:
    assert get(core, "/" + "a" * 10_000).status == 414


def test_the_query_does_not_matter(core: OriginCore) -> None:
    answer = get(core, SEGMENT + "?CMCD=bl%3D2000%2Csid%3D%22..%2F..%22")

    assert answer.status == 200


def test_the_catalogue_is_asked_for_anew_each_time(core: OriginCore) -> None:
    answer = get(core, "/v1/catalog")

    assert answer.resource is not None
    assert answer.resource.body is not None
    catalog = msgspec.json.decode(answer.resource.body, type=Catalog)
    assert [title.id for title in catalog.titles] == ["tide"]
    assert field(answer, "etag") == f'"{catalog.revision}"'
    assert field(answer, "cache-control") == "no-cache"
    assert get(core, "/v1/catalog", if_none_match=field(answer, "etag")).status == 304


def test_a_title_lists_every_file_with_size_and_checksum(core: OriginCore) -> None:
    answer = get(core, "/v1/titles/tide")

    assert answer.resource is not None
    assert answer.resource.body is not None
    detail = msgspec.json.decode(answer.resource.body, type=TitleDetail)
    files = [file for rendition in detail.renditions for file in rendition.files]
    assert sum(file.size_bytes for file in files) == detail.size_bytes == 215_400
    for file in files:
        head = core.answer("HEAD", file.path, ())
        assert head.status == 200
        assert field(head, "content-length") == str(file.size_bytes)
        assert file.crc32c in field(head, "etag")


def test_manifests_lead_to_segments_that_are_there(core: OriginCore) -> None:
    base = "http://origin.example"
    dash = get(core, "/media/tide/manifest.mpd")
    hls = get(core, "/media/tide/master.m3u8")
    assert dash.resource is not None
    assert hls.resource is not None
    assert field(dash, "cache-control") == "public, max-age=60, stale-if-error=86400"
    assert dash.resource.body is not None
    assert hls.resource.body is not None

    one = read_manifest(dash.resource.body, base + "/media/tide/manifest.mpd")
    master = read_manifest(hls.resource.body, base + "/media/tide/master.m3u8")
    assert isinstance(master, HlsMaster)
    playlists = {}
    for url in master.playlist_urls:
        playlist = get(core, url.removeprefix(base)).resource
        assert playlist is not None
        assert playlist.body is not None
        playlists[url] = playlist.body
    other = master.assemble(playlists)

    assert isinstance(one, Presentation)
    for presentation in (one, other):
        for _, representations in presentation.tracks():
            for representation in representations:
                assert representation.init is not None
                for segment in (representation.init, *representation.segments):
                    assert get(core, segment.url.removeprefix(base)).status == 200
                assert len(representation.segments) == 2


def test_freshness_is_a_setting() -> None:
    core = OriginCore(
        MemoryLibrary([make_title()], freshness=FreshnessConfig(manifest_s=5, catalog_s=3))
    )

    assert (
        field(get(core, "/media/tide/manifest.mpd"), "cache-control")
        == "public, max-age=5, stale-if-error=86400"
    )
    assert (
        field(get(core, "/v1/catalog"), "cache-control")
        == "public, max-age=3, stale-if-error=86400"
    )


def test_a_new_edition_changes_the_revision() -> None:
    revisions = {
        MemoryLibrary([make_title(edition_no=number)]).catalog.revision for number in (1, 2)
    }

    assert len(revisions) == 2


def test_the_page_for_people_escapes_names(core: OriginCore) -> None:
    answer = get(core, "/")

    assert answer.resource is not None
    assert answer.resource.body is not None
    assert b"Tide &amp; &lt;time&gt;" in answer.resource.body


def test_steering_puts_the_title_into_the_url_and_changes_the_etag() -> None:
    title, url = make_title(), "https://o.test:8443"
    plain, steered = (OriginCore(MemoryLibrary([title], site_url=each)) for each in ("", url))
    etags: dict[str, tuple[str, str]] = {}
    for name in ("manifest.mpd", "master.m3u8", "216p/playlist.m3u8"):
        one, two = get(plain, f"/media/tide/{name}"), get(steered, f"/media/tide/{name}")
        etags[name] = dict(one.headers)["etag"], dict(two.headers)["etag"]
        assert one.resource is not None
        assert two.resource is not None
        is_named = name != "216p/playlist.m3u8"
        assert (f"{url}/v1/steering/tide".encode() in (two.resource.body or b"")) == is_named
        assert b"steering" not in (one.resource.body or b"")
    assert etags["manifest.mpd"][0] != etags["manifest.mpd"][1]
    assert etags["master.m3u8"][0] != etags["master.m3u8"][1]
    assert etags["216p/playlist.m3u8"][0] == etags["216p/playlist.m3u8"][1]
