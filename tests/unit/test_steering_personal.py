"""A manifest for one client."""

import pytest

from nearcast.manifests import (
    HlsMaster,
    read_alternates,
    read_dash_tag,
    read_manifest,
    write_master,
    write_mpd,
)
from origin.steering.personal import NamedEdge, personal
from tests.abr_world import BASE, presentation

ORIGIN = "https://origin.test"
EDGES = (NamedEdge("ams-2", "https://two.test"), NamedEdge("ams-1", "https://one.test:8443"))
PATHWAYS = ("ams-2", "ams-1", "_origin")
PLACES = ("https://two.test", "https://one.test:8443", ORIGIN)
AT = f"{ORIGIN}/v1/play/film/"
TITLE = presentation((1000.0, 2000.0), audio_kbps=64.0)
STEERING = f"{ORIGIN}/v1/steering/film?base=_origin&variants=v0,v1"


def test_mpd_lists_the_edges_the_best_first() -> None:
    text = write_mpd(
        TITLE,
        url=f"{BASE}/manifest.mpd",
        steering_url=STEERING,
        origin_url=f"{ORIGIN}/media/film/manifest.mpd",
    )
    made = personal(text, EDGES, ORIGIN)
    assert made is not None
    (bases,) = read_alternates(made.encode(), f"{AT}manifest.mpd")
    assert tuple(base.pathway for base in bases) == PATHWAYS
    assert tuple(base.url for base in bases) == tuple(f"{each}/media/film/" for each in PLACES)
    assert 'defaultServiceLocation="ams-2"' in made
    tag = read_dash_tag(made.encode(), AT)
    assert tag is not None
    assert "?base=_origin&listed=ams-2,ams-1&" in tag.server_url
    assert "home" not in made


def test_master_lists_the_edges_the_best_first() -> None:
    text = write_master(
        TITLE,
        url=f"{BASE}/master.m3u8",
        steering_url=STEERING,
        origin_url=f"{ORIGIN}/media/film/master.m3u8",
    )
    made = personal(text, EDGES, ORIGIN)
    assert made is not None
    found = read_manifest(made.encode(), f"{AT}master.m3u8")
    assert isinstance(found, HlsMaster)
    assert found.steering is not None
    assert found.steering.pathways == ("ams-2",)
    listed = STEERING.replace("base=_origin", "base=_origin&listed=ams-2,ams-1")
    assert found.steering.server_url == listed
    assert len(found.alternates) == 3
    for group in found.alternates:
        assert tuple(base.pathway for base in group) == PATHWAYS
        assert all(
            base.url == f"{place}/media/film/{base.stable_id}/playlist.m3u8"
            for base, place in zip(group, PLACES, strict=True)
        )
    assert 'GROUP-ID="ams-1"' in made
    assert "home" not in made


@pytest.mark.parametrize("write", [write_mpd, write_master])
def test_without_edges_the_origin_is_left_and_without_steering_nothing(write: object) -> None:
    name = "manifest.mpd" if write is write_mpd else "master.m3u8"
    url, origin_url = f"{BASE}/{name}", f"{ORIGIN}/media/film/{name}"
    text = write(TITLE, url=url, steering_url=STEERING, origin_url=origin_url)  # type: ignore[operator]
    made = personal(text, (), ORIGIN)
    assert made is not None
    assert "_origin" in made
    assert "home" not in made
    assert personal(write(TITLE, url=url), EDGES, ORIGIN) is None  # type: ignore[operator]
