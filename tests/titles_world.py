"""The world of edge_world with films in place of episodes, and a model of titles to speak for."""

from __future__ import annotations

from typing import Any

from edge.config import PrefetchConfig, TitlesConfig
from edge.effects import Effect
from edge.events import CatalogLearned
from edge.status import TitlesFigures
from edge.titles.events import Recommend, Recommended, TitlesModelChanged
from nearcast.messages import Catalog, TitleEntry
from predictor.recommend.recommendations import Recommendation
from tests.edge_world import CATALOG_URL, World

FILMS = ("e1", "e2", "e3")


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
    """Its model of titles says what the test has it say."""

    def __init__(self, **settings: Any) -> None:
        self.asked: list[Recommend] = []
        defaults: dict[str, Any] = {
            "prefetch": PrefetchConfig(),
            "titles": TitlesConfig(model="model"),
        }
        super().__init__(**{**defaults, **settings})
        self.run(CatalogLearned(base_url=CATALOG_URL, catalog=films()))
        self.run(TitlesModelChanged(model_id="t1", titles=FILMS))

    def _follow(self, effects: list[Effect]) -> list[Effect]:
        seen = super()._follow(effects)
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

    def titles(self) -> TitlesFigures:
        return self.core.status(self.now_s).titles
