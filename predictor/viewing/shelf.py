"""What there is to watch: series and films as arrays, and how a viewer picks one.

The plain shelf knows no popularity: enough where only behaviour matters, as for training. A
catalogue with popularity, releases and regions is `simulation.workload.catalogue`, which is why
picking is a method behind a small protocol.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from predictor.viewing.course import Floats, Ints

# Assumed (half-hour comedies, dramas, long ones), so that sittings last as measured: shares,
# minutes, spread of the log.
RUNTIME_KINDS = ((0.17, 11.0, 0.12), (0.46, 22.0, 0.06), (0.31, 37.5, 0.12), (0.06, 51.0, 0.12))
EPISODES_PER_SEASON = (8, 14)
FILM_MIN = 92.0
FILM_SPREAD = 0.2
_S_PER_MIN = 60.0


class Shelf(Protocol):
    """Titles by number; episodes of a series count from 0 through all its seasons."""

    @property
    def episode_count(self) -> Ints: ...  # (series,)

    @property
    def season_length(self) -> Ints: ...  # (series,)

    @property
    def episode_s(self) -> Floats: ...  # (series,) run time of an episode

    @property
    def film_s(self) -> Floats: ...  # (film,)

    def pick_series(self, start_s: Floats, region: Ints, rng: np.random.Generator) -> Ints:
        """A series for each viewer who starts one then and there."""

    def pick_film(self, start_s: Floats, region: Ints, rng: np.random.Generator) -> Ints: ...


class PlainShelf:
    """Many series and films, each as likely as the other."""

    def __init__(self, rng: np.random.Generator, *, series: int = 4000, films: int = 4000) -> None:
        self.season_length = rng.integers(*EPISODES_PER_SEASON, series)
        self.episode_count = self.season_length * np.minimum(rng.geometric(0.2, series), 15)
        self.episode_s = draw_episode_s(rng, series)
        self.film_s = draw_film_s(rng, films)

    def pick_series(self, start_s: Floats, region: Ints, rng: np.random.Generator) -> Ints:
        return rng.integers(0, len(self.episode_s), len(start_s))

    def pick_film(self, start_s: Floats, region: Ints, rng: np.random.Generator) -> Ints:
        return rng.integers(0, len(self.film_s), len(start_s))


def draw_episode_s(rng: np.random.Generator, count: int, weights: Floats | None = None) -> Floats:
    """Run times of the episodes of each series.

    Where `weights` say how much of it is watched, RUNTIME_KINDS are shares of what is watched: else
    the few most watched series would decide how long sittings last.
    """
    shares = np.array([share for share, _, _ in RUNTIME_KINDS])
    if weights is None:
        kinds = rng.choice(len(shares), count, p=shares)
    else:
        # Each in turn gets the kind that lacks most, from a random state.
        lacking = shares * rng.uniform(0.0, weights.mean(), len(shares))
        kinds = np.empty(count, dtype=np.int64)
        for at in np.argsort(-weights, kind="stable").tolist():
            lacking += shares * weights[at]
            kinds[at] = kind = int(lacking.argmax())
            lacking[kind] -= weights[at]
    middle = np.array([minutes for _, minutes, _ in RUNTIME_KINDS])[kinds]
    spread = np.array([sd for _, _, sd in RUNTIME_KINDS])[kinds]
    return np.asarray(_S_PER_MIN * middle * np.exp(spread * rng.normal(size=count)))


def draw_film_s(rng: np.random.Generator, count: int) -> Floats:
    return np.asarray(_S_PER_MIN * FILM_MIN * np.exp(FILM_SPREAD * rng.normal(size=count)))
