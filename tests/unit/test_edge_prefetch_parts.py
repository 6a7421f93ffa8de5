"""Settings, successors and restarts of the prefetching edge."""

from __future__ import annotations

import pytest

from edge.config import EdgeConfig, PrefetchConfig
from edge.effects import Commit, ReadObject
from edge.events import CatalogLearned, ObjectRead, Restored
from edge.services import Services
from edge.successors import Successors
from nearcast.config import load
from nearcast.errors import ConfigError
from nearcast.messages import Catalog, TitleEntry
from tests.edge_bench import UPSTREAM
from tests.edge_world import CATALOG_URL, World, episode_catalog


def test_the_successor_is_of_the_same_format() -> None:
    successors = Successors(Services(EdgeConfig(upstream=UPSTREAM)))
    successors.learn(CatalogLearned(base_url=CATALOG_URL, catalog=episode_catalog()))
    e1, e2 = f"{UPSTREAM}/media/e1", f"{UPSTREAM}/media/e2"
    assert successors.after(f"{e1}/manifest.mpd") == f"{e2}/manifest.mpd"
    assert successors.after(f"{e1}/master.m3u8") == f"{e2}/master.m3u8"
    assert successors.before(f"{e2}/master.m3u8") == f"{e1}/master.m3u8"
    assert successors.after(f"{UPSTREAM}/media/e3/manifest.mpd") is None
    episode = successors.episode(f"{e2}/manifest.mpd")
    assert episode is not None
    assert (episode.series, episode.season_no, episode.episode_no) == ("Series", 1, 2)


def test_a_catalogue_cannot_send_the_edge_elsewhere() -> None:
    titles = tuple(
        TitleEntry(
            id=f"e{no}",
            name="x",
            duration_s=10.0,
            dash=f"http://elsewhere/{no}.mpd" if no == 2 else f"/base/{no}.mpd",
            hls=f"/outside/{no}.m3u8",
            series="S",
            season_no=1,
            episode_no=no,
        )
        for no in (1, 2)
    )
    successors = Successors(Services(EdgeConfig(upstream=UPSTREAM)))
    successors.learn(
        CatalogLearned(base_url=CATALOG_URL, catalog=Catalog(revision="1", titles=titles))
    )
    assert successors.after(f"{UPSTREAM}/1.mpd") is None
    assert successors.after("http://origin:8000/outside/1.m3u8") is None


def test_a_film_has_no_successor() -> None:
    film = TitleEntry(id="f", name="f", duration_s=1.0, dash="/base/f.mpd", hls="/base/f.m3u8")
    successors = Successors(Services(EdgeConfig(upstream=UPSTREAM)))
    successors.learn(
        CatalogLearned(base_url=CATALOG_URL, catalog=Catalog(revision="1", titles=(film,)))
    )
    assert successors.after(f"{UPSTREAM}/f.mpd") is None
    assert successors.episode(f"{UPSTREAM}/f.mpd") is None


def test_after_a_restart_stored_manifests_are_read_and_prefetching_goes_on() -> None:
    before = World(prefetch=PrefetchConfig(enabled=False))
    kept = {}
    for path in before.texts:
        if path.endswith("manifest.mpd") and "/e1/" in path:
            for effect in before.get(path):
                if isinstance(effect, Commit):
                    kept[effect.stored.object_id] = (effect.stored, before.texts[path])
    assert kept
    world = World()
    stored = tuple(one for one, _ in kept.values())
    for effect in world.run(Restored(objects=stored)):
        if isinstance(effect, ReadObject):
            text = kept[effect.object_id][1]
            world.run(ObjectRead(object_id=effect.object_id, text=text))
    assert world.core.status(0.0).title_count == 1
    world.watch(1, 21.0)
    assert "/media/e2/low/1.m4s" in world.prefetched()
    assert "/media/e1/manifest.mpd" not in [path for _, path in world.fetched]


def test_a_garbage_manifest_of_a_successor_is_fetched_once() -> None:
    world = World()
    world.texts["/media/e2/manifest.mpd"] = b"<MPD>"
    world.watch(1, 40.0)
    assert world.prefetched() == ["/media/e2/manifest.mpd"]
    assert world.core.status(world.now_s).manifests_ignored == 1


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("upstream=ftp://x", "http"),
        ("upstream=http://x/?q", "query"),
        ("upstream=http://user:secret@x", "user"),
        ("upstream=http://x y", "upstream"),
        ("name=two words", "name"),
        ("prefetch.rest_at=0.2", "head_at"),
        ("prefetch.rate_kbps=-1", "rate_kbps"),
        ("prefetch.threshold=1.5", "threshold"),
        ("capacity_bytes=0", "capacity_bytes"),
        ("sessions.idle_s=soon", "idle_s"),
        ("memory_bytes=0", "memory_bytes"),
        ("prefetch.nonsense=1", "nonsense"),
    ],
)
def test_settings_out_of_range_name_themselves(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(EdgeConfig, role="edge", assignments=[assignment])


def test_without_a_store_everything_lives_in_memory() -> None:
    config = EdgeConfig(upstream=UPSTREAM, memory_bytes=1000, capacity_bytes=10**9)
    cache = config.cache()
    assert cache.capacity_bytes == cache.memory_capacity_bytes == 1000
