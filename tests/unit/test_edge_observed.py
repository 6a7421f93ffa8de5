"""Foresight in front of any origin: by the names of manifests, and by what viewers went on to."""

from __future__ import annotations

import json

import pytest

from edge.config import EdgeConfig, PrefetchConfig
from edge.config.watching import SeriesConfig
from edge.events import CatalogLearned, Purge
from edge.numbered import Numbers
from edge.records import PrefetchDecided
from edge.services import Services
from edge.successors import Successors
from nearcast.config import load
from nearcast.errors import ConfigError
from nearcast.messages import Catalog
from tests.edge_bench import UPSTREAM
from tests.edge_world import CATALOG_URL, World, episode_catalog

NAMES = SeriesConfig(pattern=r".*/(?P<series>[^/]+)/s(?P<season>\d+)/e(?P<episode>\d+)\.mpd")
E = SeriesConfig(pattern=r"/base/media/e(?P<episode>[0-9]+)/manifest\.mpd")


def without_catalog(**settings: object) -> World:
    world = World(prefetch=PrefetchConfig(**settings))  # type: ignore[arg-type]
    empty = Catalog(revision="0", titles=())
    world.run(CatalogLearned(base_url=CATALOG_URL, catalog=empty))
    return world


@pytest.mark.parametrize(
    ("url", "next_url", "previous_url"),
    [
        ("http://o/x/s1/e9.mpd?k=1", "http://o/x/s1/e10.mpd?k=1", "http://o/x/s1/e8.mpd?k=1"),
        ("http://o/x/s1/e09.mpd", "http://o/x/s1/e10.mpd", "http://o/x/s1/e08.mpd"),
        ("http://o/x/s1/e099.mpd", "http://o/x/s1/e100.mpd", "http://o/x/s1/e098.mpd"),
        ("http://o/x/s1/e0.mpd", "http://o/x/s1/e1.mpd", None),
    ],
)
def test_the_next_number_is_the_successor(url: str, next_url: str, previous_url: str) -> None:
    numbered = Numbers((NAMES,)).read(url)
    assert numbered is not None
    assert (numbered.next_url, numbered.previous_url) == (next_url, previous_url)
    assert (numbered.series, numbered.season_no) == ("x", 1)


def test_what_has_no_number_has_no_successor() -> None:
    numbers = Numbers((NAMES,))
    for url in ("http://o/film.mpd", "http://o/x/s1/e\u0663.mpd", "http://o", "/" + "e" * 5000):
        assert numbers.read(url) is None
    assert Numbers(()).read("http://o/x/s1/e1.mpd") is None


def test_a_catalogue_knows_better() -> None:
    successors = Successors(Services(EdgeConfig(upstream=UPSTREAM)), Numbers((E,)))
    last = f"{UPSTREAM}/media/e3/manifest.mpd"
    assert successors.after(last) == f"{UPSTREAM}/media/e4/manifest.mpd"
    successors.learn(CatalogLearned(base_url=CATALOG_URL, catalog=episode_catalog()))
    assert successors.after(last) is None  # there are three, says the catalogue


def test_a_series_named_by_a_pattern_is_foreseen_without_a_catalogue() -> None:
    world = without_catalog(series=(E,), head_s=8.0)
    world.watch(1, 21.0)
    assert "/media/e2/low/2.m4s" in world.prefetched()


@pytest.mark.parametrize("pattern", ["(", "/e[0-9]+", "/(?P<episode>x)(?P<other>y)"])
def test_patterns_that_cannot_work_are_refused(pattern: str) -> None:
    series = json.dumps([{"pattern": pattern}])
    with pytest.raises(ConfigError, match="pattern"):
        load(EdgeConfig, role="edge", assignments=[f"prefetch.series={series}"])


def watch_pair(world: World, client: str, second: int) -> None:
    """Watch the first title, and another one at once."""
    world.watch(1, 40.0, client=client)
    world.move_to(world.now_s + 2.0)
    world.watch(second, 40.0, client=client)
    world.move_to(world.now_s + 500.0)


def test_what_enough_viewers_went_on_to_is_foreseen() -> None:
    world = without_catalog(observed_min=3, head_s=8.0, lifetime_s=600.0)
    for no in range(3):
        watch_pair(world, f"viewer {no}", 3)
    assert world.prefetched() == []
    world.run(Purge(purge_id=1, kind="prefix", value="/media/e3"))
    world.watch(1, 21.0, client="another")
    assert "/media/e3/low/1.m4s" in world.prefetched()
    (decided,) = [r for r in world.recorder.records if isinstance(r, PrefetchDecided)]
    assert decided.by == "observed"
    assert decided.probability == pytest.approx(3 / (4 + 3) * (600 / 1800) ** 0.1)


def test_viewers_who_go_on_to_different_titles_foresee_nothing() -> None:
    world = without_catalog(observed_min=3)
    for no in range(4):
        watch_pair(world, f"viewer {no}", 2 + no % 2)
    world.watch(1, 40.0, client="another")
    assert world.prefetched() == []
