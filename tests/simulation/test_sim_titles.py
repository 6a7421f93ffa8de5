"""Titles foreseen in a whole network: what a right model brings, and what a wrong one costs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from predictor.recommend.markov import Markov
from predictor.recommend.recommendations import Recommendation
from predictor.recommend.rows import ScoredRecommender, TitleNumbers
from simulation.checks import Checker
from simulation.scenario import scenario_of
from simulation.world import Outcome, World

FILMS = 36
WATCHED = 18
IN_A_ROW = 3
FAR = {"rate_kbps": 12_000, "delay_ms": 60}
NEAR = {"rate_kbps": 30_000, "delay_ms": 5}
NAMES = tuple(f"film{number}" for number in range(1, FILMS + 1))
EVENINGS = tuple(tuple(range(first, first + IN_A_ROW)) for first in range(0, WATCHED, IN_A_ROW))
"""Everybody watches three films in a row; each is watched by one viewer, so that none is here
because of another."""


class Wrong:
    """As sure as can be of what nobody watches next."""

    def top(
        self, history: Sequence[str], count: int, *, exclude_seen: bool = True
    ) -> tuple[Recommendation, ...]:
        never = NAMES[NAMES.index(history[-1]) + WATCHED]
        return (Recommendation(title=never, probability=1.0),)


def learnt() -> ScoredRecommender:
    """A Markov chain of earlier evenings."""
    histories = [np.array(evening, dtype=np.int64) for evening in EVENINGS for _ in range(40)]
    return ScoredRecommender(Markov(histories, FILMS), TitleNumbers(NAMES))


@cache
def evening() -> Outcome:
    return play("off", "right", "wrong")


def play(*names: str, viewer_count: int = len(EVENINGS)) -> Outcome:
    """The same viewers at each of these edges."""
    settings: dict[str, Any] = {
        "prefetch.enabled": True,
        "prefetch.in_session_s": 0,
        "prefetch.lifetime_s": 60.0,
        "prefetch.rate_kbps": 2_000.0,
        "prefetch.burst_s": 20.0,
    }
    edges = [
        # The model comes from the test.
        {"name": name, "backhaul": FAR, "settings": {**settings, "titles.home_rows": name != "off"}}
        for name in names
    ]
    viewers = [
        {
            "id": f"v{number}",
            "titles": [NAMES[film] for film in films],
            "last_mile": NEAR,
            "start_s": 1.0 + 7.0 * number,
            "gap_s": 2.0,
        }
        for number, films in enumerate(EVENINGS[:viewer_count])
    ]
    table: dict[str, Any] = {
        "seed": 7,
        "catalog": {
            "film_count": FILMS,
            "film_s": 32,
            "segment_s": 4,
            "rungs_kbps": [600],
            "audio_kbps": 0,
        },
        "edges": edges,
        "viewers": viewers,
    }
    world = World(scenario_of(table, "test"))
    for name, model in (("right", learnt()), ("wrong", Wrong())):
        if name in names:
            world.edges[name].titles.use(model, NAMES, model_id=name)
    outcome = world.run()
    Checker().end(world)
    return outcome


def is_later(url: str) -> bool:
    """Whether it is not the first film of its viewer."""
    return NAMES.index(url.split("/")[-2]) % IN_A_ROW > 0


def later_startups_s(name: str) -> list[float]:
    sessions = evening().edges[name].sessions
    assert len(sessions) == WATCHED
    return [one.startup_s for one in sessions if one.startup_s is not None and is_later(one.url)]


def test_films_that_were_foreseen_start_from_the_edge() -> None:
    edges = evening().edges
    off, right = np.median(later_startups_s("off")), np.median(later_startups_s("right"))
    assert right < 0.4 * off
    warm = [one.started_from_edge for one in edges["right"].sessions if is_later(one.url)]
    # All but the first: that viewers here go on at all has to be seen.
    assert sum(map(bool, warm)) >= 0.8 * len(warm)
    assert not any(one.started_from_edge for one in edges["off"].sessions)
    status = edges["right"].status
    assert status.prefetch_precision is not None
    assert status.prefetch_precision > 0.8
    # Only beginnings: most of a film is fetched when it is watched.
    assert status.prefetch_bytes < 0.8 * edges["off"].status.origin_bytes * 2 / 3


def test_a_wrong_model_of_titles_is_soon_believed_less_and_wastes_little() -> None:
    edges = evening().edges
    off, right, wrong = (edges[name].status for name in ("off", "right", "wrong"))
    (source,) = wrong.prefetch_sources
    assert source.source == "titles"
    assert source.precision == 0.0
    assert source.trust < 1.0
    assert wrong.titles.belief < 0.5
    assert right.titles.belief > 0.9
    assert wrong.prefetch_bytes < 0.15 * off.origin_bytes
    assert np.median(later_startups_s("wrong")) < 1.1 * np.median(later_startups_s("off"))


def test_the_same_evening_comes_out_the_same() -> None:
    one, other = (play("right", viewer_count=2) for _ in range(2))
    assert one.edges["right"].status.prefetch_bytes > 0
    assert one.digest == other.digest
