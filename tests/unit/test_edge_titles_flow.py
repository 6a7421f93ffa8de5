"""From what viewers took up to beginnings fetched ahead, through the whole core."""

from __future__ import annotations

from edge.config import PrefetchConfig, TitlesConfig
from edge.effects import ServeObject
from edge.events import CatalogLearned
from edge.titles.events import (
    Recommend,
    Recommended,
    TitlesFigures,
    TitlesModelChanged,
)
from nearcast.messages import Catalog, TitleEntry
from predictor.recommend.recommendations import Recommendation
from tests.edge_world import CATALOG_URL, World

FILMS = ("e1", "e2", "e3")
TITLES = TitlesConfig(model="model")
HEAD = PrefetchConfig(head_s=8.0)


def films() -> Catalog:
    """The three titles of the world, each a film."""
    return Catalog(
        revision="films",
        titles=tuple(
            TitleEntry(
                id=film,
                name=f"Film {film}",
                duration_s=40.0,
                dash=f"/base/media/{film}/manifest.mpd",
                hls=f"/base/media/{film}/master.m3u8",
            )
            for film in FILMS
        ),
    )


class Cinema(World):
    """A world of films, and a model of titles that says what the test has it say."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**{"prefetch": HEAD, "titles": TITLES, **settings})
        self.run(CatalogLearned(base_url=CATALOG_URL, catalog=films()))
        self.run(TitlesModelChanged(model_id="t1", titles=FILMS))
        self.asked: list[Recommend] = []

    def _follow(self, effects):  # type: ignore[no-untyped-def]
        seen = super()._follow(effects)
        if hasattr(self, "asked"):
            self.asked += [one for one in seen if isinstance(one, Recommend)]
        return seen

    def say(self, **chances: float) -> None:
        """Answer the last question."""
        self.run(
            Recommended(
                question_id=self.asked[-1].question_id,
                titles=tuple(
                    Recommendation(title=title, probability=chance)
                    for title, chance in chances.items()
                ),
            )
        )

    def figures(self) -> TitlesFigures:
        return self.core.titles()


def test_towards_the_end_of_a_film_the_beginning_of_the_likeliest_is_fetched() -> None:
    world = Cinema()
    world.watch(1, 29.0)
    world.watch_on(1, 31.0)
    assert world.asked[-1].history == ("e1",)
    assert world.prefetched() == []
    world.say(e3=0.9, e2=0.01)
    assert world.prefetched() == [
        "/media/e3/manifest.mpd",
        "/media/e3/low/init.mp4",
        "/media/e3/sound/init.mp4",
        "/media/e3/low/1.m4s",
        "/media/e3/sound/1.m4s",
    ]
    world.watch_on(1, 40.0)
    for path in ("manifest.mpd", "low/init.mp4", "low/1.m4s", "sound/1.m4s"):
        assert isinstance(world.get(f"/media/e3/{path}")[0], ServeObject)
