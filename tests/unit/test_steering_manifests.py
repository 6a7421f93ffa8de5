"""Manifests that speak of steering: everybody's, and those for one client."""

import pytest

from nearcast.manifests import HlsMaster, read_alternates, read_dash_tag, read_manifest
from nearcast.media import Presentation, Rendition
from origin.catalog import RenditionEntry, SegmentEntry, Title
from origin.manifests import DASH_TYPE, HLS_TYPE, TitleManifests
from origin.steering.clones import NamedEdge

SITE = "https://origin.test"
EDGES = (NamedEdge("ams-2", "https://two.test/"), NamedEdge("ams-1", "https://one.test:8443"))
PATHWAYS = ("ams-2", "ams-1", "_origin")
PLACES = ("https://two.test", "https://one.test:8443", SITE)
DASH, HLS = "manifest.mpd", "master.m3u8"
ASKED = f"{SITE}/v1/steering/film?base=_origin"


def entry(rendition_id: str, kind: str) -> RenditionEntry:
    segments = (SegmentEntry(0.0, 2.0, 50_000, 1), SegmentEntry(2.0, 2.0, 60_000, 2))
    rendition = Rendition(
        id=rendition_id,
        kind="audio" if kind == "audio" else "video",
        codecs="x",
        peak_kbps=240.0,
        average_kbps=220.0,
    )
    return RenditionEntry(
        rendition=rendition, init_size_bytes=700, init_crc32c=1, segments=segments
    )


def manifests(site_url: str = SITE, *ids: str) -> TitleManifests:
    renditions = (*(entry(each, "video") for each in ids or ("v0", "v1")), entry("a0", "audio"))
    title = Title(id="film", name="Film", duration_s=4.0, created_wall_s=0.0, renditions=renditions)
    return TitleManifests(title, site_url=site_url)


def for_client(made: TitleManifests, name: str, edges: tuple[NamedEdge, ...] = EDGES) -> bytes:
    found = made.for_client(name, edges)
    assert found is not None
    assert found.content_type == (DASH_TYPE if name == DASH else HLS_TYPE)
    return found.text


def test_mpd_lists_the_edges_the_best_first() -> None:
    text = for_client(manifests(), DASH)
    at = f"{SITE}/v1/play/film/{DASH}"
    (bases,) = read_alternates(text, at)
    assert tuple(base.pathway for base in bases) == PATHWAYS
    assert tuple(base.url for base in bases) == tuple(f"{each}/media/film/" for each in PLACES)
    tag = read_dash_tag(text, at)
    assert tag is not None
    assert tag.pathways == ("ams-2",)
    assert "listed=ams-2,ams-1" in tag.server_url
    assert isinstance(read_manifest(text, at), Presentation)
    assert b"home" not in text


def test_master_lists_the_edges_the_best_first() -> None:
    text = for_client(manifests(), HLS)
    found = read_manifest(text, f"{SITE}/v1/play/film/{HLS}")
    assert isinstance(found, HlsMaster)
    assert found.steering is not None
    assert found.steering.pathways == ("ams-2",)
    assert found.steering.server_url.startswith(ASKED)
    assert "format=hls&variants=v0,v1&renditions=a0&listed=ams-2,ams-1" in found.steering.server_url
    assert len(found.alternates) == 3
    for group in found.alternates:
        assert tuple(base.pathway for base in group) == PATHWAYS
        assert all(
            base.url == f"{place}/media/film/{base.stable_id}/playlist.m3u8"
            for base, place in zip(group, PLACES, strict=True)
        )
    assert b'GROUP-ID="ams-1"' in text
    assert b"home" not in text


def test_everybodys_lists_where_it_came_from_and_the_origin() -> None:
    made = manifests()
    (bases,) = read_alternates(made.by_name[DASH].text, f"https://edge.test/media/film/{DASH}")
    assert [(base.pathway, base.url) for base in bases] == [
        ("home", "https://edge.test/media/film/"),
        ("_origin", f"{SITE}/media/film/"),
    ]
    assert b"listed" not in made.by_name[DASH].text + made.by_name[HLS].text


def test_renditions_called_as_pathways_are_left_alone() -> None:
    """`home` and `_origin` are names that a title's renditions may have, too."""
    made = manifests(SITE, "home", "_origin")
    at = f"{SITE}/v1/play/film/"
    presentation = read_manifest(for_client(made, DASH), f"{at}{DASH}")
    assert isinstance(presentation, Presentation)
    assert {each.rendition.id for each in presentation.video} == {"home", "_origin"}
    master = read_manifest(for_client(made, HLS), f"{at}{HLS}")
    assert isinstance(master, HlsMaster)
    ids = {base.stable_id for group in master.alternates for base in group}
    assert ids == {"home", "_origin", "a0"}
    assert all(base.pathway in PATHWAYS for group in master.alternates for base in group)


@pytest.mark.parametrize("name", [DASH, HLS])
def test_without_edges_the_origin_is_left(name: str) -> None:
    text = for_client(manifests(), name, ())
    assert b"_origin" in text
    assert b"home" not in text
    assert b"listed" not in text


def test_nothing_is_made_for_a_client_where_nothing_speaks_of_steering() -> None:
    assert manifests("").for_client(DASH, EDGES) is None
    assert b"Steering" not in manifests("").by_name[DASH].text
    assert manifests().for_client("v0/playlist.m3u8", EDGES) is None
