"""A service's catalogue: series and films with popularity, releases, regions and genres.

A title is a season or a film, as in published tables of hours: 36 % of the titles are seasons, of 8
to 13 episodes, and they hold 69 % of the hours. Seasons of like popularity form a series. Part of
the titles appear during the drawn time: their demand decays week by week as charts do, down to a
floor, and in sum is what their weight says. Each region likes each title by a factor of its own.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from nearcast.config import Section
from nearcast.errors import InputError
from predictor.viewing.course import Floats, Ints
from predictor.viewing.shelf import EPISODES_PER_SEASON, draw_episode_s, draw_film_s
from simulation.workload.concentration import title_weights

GENRES: Final = (
    "drama", "comedy", "crime", "family", "documentary", "romance", "thriller", "animation",
)  # fmt: skip
WEEK_RATIOS: Final = (1.06, 0.46, 0.60, 0.69, 0.74, 0.86)
"""Hours of a week after release to those of the week before, the last one for all later weeks;
from the weekly charts of a large service."""
DEMAND_FLOOR: Final = 0.05  # of the first week's; assumed: charts do not show what falls out
SERIES_HOURS_SHARE: Final = 0.69
_GOES_ON = (
    0.92  # chance that an episode of a series taken up is followed by another, sooner or later
)
_TABLE_MAX = 100_000_000  # entries: weeks x regions x titles, 0.8 GB
_S_PER_WEEK = 7 * 86_400.0
_AGED_WEEKS_MAX = 400  # how long ago the oldest titles appeared


class CatalogueSpec(Section, frozen=True, kw_only=True):
    """How a catalogue is drawn."""

    title_count: int = 18_000
    """Seasons and films."""
    season_share: float = 0.36
    """Of the titles, those that are seasons."""
    popularity_power: float = 0.94
    """Of the published concentration of hours; below 1 is flatter, 0 likes all titles the same. Of
    several seasons the first are watched most, which 0.94 makes up for."""
    level_share: float = 0.0
    """Of the titles, those at the top that are all liked the same: a flat head."""
    new_share: float = 0.1
    """Of the titles, those that appear within the drawn time."""
    region_spread: float = 0.5
    """Of the log of a region's liking of a title."""
    seasons_mean: float = 4.0
    """Per series."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("title_count", 10, 1_000_000),
            ("season_share", 0.01, 0.99),
            ("popularity_power", 0.0, 2.0),
            ("level_share", 0.0, 1.0),
            ("new_share", 0.0, 1.0),
            ("region_spread", 0.0, 3.0),
            ("seasons_mean", 1.0, 50.0),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low:g} to {high:g}")


class Catalogue:
    """Titles as `predictor.viewing.shelf.Shelf` wants them, and how likely each is, when, where."""

    def __init__(
        self, spec: CatalogueSpec, *, weeks: int, regions: int, rng: np.random.Generator
    ) -> None:
        if spec.new_share and weeks * regions * spec.title_count > _TABLE_MAX:
            raise InputError(
                f"{spec.title_count} titles for {weeks} weeks in {regions} regions are too many: "
                f"their product must be at most {_TABLE_MAX}"
            )
        self.genres = GENRES
        weights = title_weights(
            spec.title_count, power=spec.popularity_power, level_share=spec.level_share
        )
        is_season = rng.random(len(weights)) < _season_odds(weights, spec.season_share)
        self.season_weights, self.film_weights = weights[is_season], weights[~is_season]
        # Neighbours in popularity form a series.
        season_count = len(self.season_weights)
        opens = rng.random(season_count) < 1.0 / spec.seasons_mean
        opens[:1] = True
        self.series_of_season: Ints = np.cumsum(opens) - 1
        series_count = int(opens.sum())
        self.season_count: Ints = np.bincount(self.series_of_season, minlength=series_count)
        self.season_length: Ints = rng.integers(*EPISODES_PER_SEASON, series_count)
        self.episode_count: Ints = self.season_count * self.season_length
        hours: Floats = np.bincount(
            self.series_of_season, self.season_weights, minlength=series_count
        ).astype(np.float64)
        self.episode_s = draw_episode_s(rng, series_count, hours)
        self.film_s = draw_film_s(rng, len(self.film_weights))
        self.series_genre: Ints = rng.integers(0, len(GENRES), series_count)
        self.film_genre: Ints = rng.integers(0, len(GENRES), len(self.film_s))
        self.series_release_s = _releases(spec.new_share, weeks, series_count, rng)
        self.film_release_s = _releases(spec.new_share, weeks, len(self.film_s), rng)
        # Shares to starts: of a longer series one start makes more plays. Run times are left out:
        # else short episodes would be watched more often than the viewers' statistics say.
        plays_per_start = (1.0 - _GOES_ON**self.episode_count) / (1.0 - _GOES_ON)
        # Where nothing appears, one week is as the other.
        self.weeks, self.regions = weeks if spec.new_share else 1, regions
        self._series = self._table(hours / plays_per_start, self.series_release_s, spec, rng)
        self._film = self._table(self.film_weights, self.film_release_s, spec, rng)

    def pick_series(self, start_s: Floats, region: Ints, rng: np.random.Generator) -> Ints:
        """By how popular each is in that week and region."""
        return self._pick(self._series, len(self.episode_s), start_s, region, rng)

    def pick_film(self, start_s: Floats, region: Ints, rng: np.random.Generator) -> Ints:
        return self._pick(self._film, len(self.film_s), start_s, region, rng)

    def _pick(
        self, table: Floats, titles: int, start_s: Floats, region: Ints, rng: np.random.Generator
    ) -> Ints:
        week = np.clip(start_s // _S_PER_WEEK, 0, self.weeks - 1).astype(np.int64)
        row = week * self.regions + region
        at = np.searchsorted(table, row + rng.random(len(row)), side="right")
        return np.clip(at - row * titles, 0, titles - 1)

    def _table(
        self, demand: Floats, release_s: Floats, spec: CatalogueSpec, rng: np.random.Generator
    ) -> Floats:
        """Row after row (a week in a region) of running sums, row r from r to r + 1: one search
        in it serves viewers of all weeks and regions at once."""
        liking = np.exp(spec.region_spread * rng.normal(size=(self.regions, len(demand))))
        by_week = weekly_demand(release_s, self.weeks) * demand[:, None]
        shares = by_week.T[:, None, :] * liking[None]
        shares /= np.maximum(shares.sum(axis=2, keepdims=True), 1e-300)
        rows = np.cumsum(shares, axis=2).reshape(self.weeks * self.regions, len(demand))
        # Rounding must not let one row reach into the next.
        return np.asarray((np.minimum(rows, 1.0) + np.arange(len(rows))[:, None]).ravel())


def weekly_demand(release_s: Floats, weeks: int) -> Floats:
    """(title, week) relative to the title's mean over these weeks: 1 for one long there."""
    first_week = np.floor(release_s / _S_PER_WEEK).astype(np.int64)[:, None]
    age = np.arange(weeks)[None] - first_week
    curve = demand_curve(weeks)
    demand = np.where(age >= 0, curve[np.clip(age, 0, weeks - 1)], 0.0)
    is_old = first_week[:, 0] < 0
    demand[is_old] = 1.0
    return np.asarray(demand / demand.mean(axis=1, keepdims=True))


def demand_curve(weeks: int) -> Floats:
    """(week,) since release, the first one 1."""
    ratios = [*WEEK_RATIOS[: weeks - 1], *[WEEK_RATIOS[-1]] * (weeks - 1 - len(WEEK_RATIOS))]
    return np.asarray(np.maximum(np.cumprod([1.0, *ratios]), DEMAND_FLOOR))


def _releases(new_share: float, weeks: int, count: int, rng: np.random.Generator) -> Floats:
    """When each title appeared: some in the drawn weeks (at a midnight), the others before."""
    is_new = rng.random(count) < new_share
    new_s = np.floor(rng.uniform(0.0, weeks * 7.0, count)) * 86_400.0
    old_s = -np.floor(7.0 * rng.uniform(1.0, _AGED_WEEKS_MAX, count)) * 86_400.0
    return np.where(is_new, new_s, old_s)


def _season_odds(weights: Floats, season_share: float) -> Floats:
    """Chances to be a season, rising with the weight: the right share of titles and of hours."""
    log_weight = np.log(weights) - np.log(weights).mean()

    def odds(slope: float) -> Floats:
        low, high = -60.0, 60.0
        for _ in range(60):  # bisection: the share of titles rises with the level
            level = (low + high) / 2.0
            chance = 1.0 / (1.0 + np.exp(-(level + slope * log_weight)))
            low, high = (level, high) if chance.mean() < season_share else (low, level)
        return np.asarray(chance)

    if log_weight.std() < 1e-9:
        return np.full(len(weights), season_share)
    low, high = -5.0, 5.0
    for _ in range(40):  # and the share of hours with the slope
        slope = (low + high) / 2.0
        held = float((odds(slope) * weights).sum())
        low, high = (slope, high) if held < SERIES_HOURS_SHARE else (low, slope)
    return odds(slope)
