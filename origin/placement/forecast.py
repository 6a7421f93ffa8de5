"""What edges will be asked for in the next day, from what they reported so far.

`Forecaster` is fed one `HourDemand` after the other and may be asked at any time; it looks at
nothing else, so the replay of a log and a live origin foresee the same from the same reports. The
expected viewings of a title at an edge are a weighted sum of signals (`forecast_signals.py`), the
weights fitted to what earlier forecasts should have said (`forecast_weights.py`). Viewings become
bytes by the mix of renditions and by how far people watch: each part of a file has a value of its
own, which falls along it.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Final

import msgspec
import numpy as np

from origin.placement.demand import WATCHED_BINS, Floats, HourDemand, Titles
from origin.placement.forecast_fading import Singles
from origin.placement.forecast_signals import Signals
from origin.placement.forecast_volume import guess_share
from origin.placement.forecast_weights import EVERY_HOURS, Weights

PARTS: Final = frozenset(
    {"popularity", "series", "taste", "own", "pending", "any", "releases", "watching"}
)
"""What a forecast is made of; each can be left out to see what it is worth."""
LEFT_EARLY_SHARE: Final = 0.4
WATCHED_VIEWINGS: Final = 50.0
"""What the guess at how far people watch weighs: four in ten leave anywhere, the rest stay."""


class Forecast(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """As of the start of `hour`."""

    hour: int
    sessions_per_day: Singles  # (edge, title)
    shares: Singles  # (edge, title, rendition)
    reach: Floats  # (2, WATCHED_BINS) of viewings of episodes and films, those that see each part
    guess_share: Floats  # (edge,) of what is expected there, taken from what others are asked for


class Forecaster:
    """Takes hours of demand in order; `forecast` tells what follows them."""

    def __init__(
        self,
        titles: Titles,
        edge_count: int,
        *,
        first_hour: int = 0,
        known_since: Floats | None = None,
        parts: frozenset[str] = PARTS,
    ) -> None:
        """`known_since`: the hour from which each edge could report; None: the first."""
        if known_since is None:
            known_since = np.full(edge_count, float(first_hour))
        assert known_since.shape == (edge_count,)
        self._known_since = np.maximum(known_since, float(first_hour))
        self._titles = titles
        self._parts = parts
        self._hour = first_hour
        self._signals = Signals(titles, self._known_since, parts)
        self._weights = Weights()
        guess = np.full(WATCHED_BINS, LEFT_EARLY_SHARE / WATCHED_BINS)
        guess[-1] += 1.0 - LEFT_EARLY_SHARE
        self._watched = np.tile(guess * WATCHED_VIEWINGS, (2, 1))

    @property
    def hour(self) -> int:
        """That is to be taken next."""
        return self._hour

    def copy(self) -> Forecaster:
        """One that goes on by itself from what this one has become."""
        return deepcopy(self)

    def take(self, demand: HourDemand) -> None:
        """What was reported of the hour `self.hour`, which then is over."""
        if self._hour % EVERY_HOURS == 0:
            self._weights.remember(self._signals.at(self._hour), self._hour)
        self._weights.take(self._signals.take(demand, self._hour), self._hour)
        self._watched += demand.watched
        self._hour += 1

    def forecast(self) -> Forecast:
        signals = self._signals.at(self._hour)
        rates: Singles = np.zeros(signals.shape[:2], dtype=np.float32)
        # One after the other: `@` adds up in an order that is the processor's, and so, to the last
        # digit, the plan and its id would be.
        for number, weight in enumerate(self._weights.of(signals.shape[2]).astype(np.float32)):
            rates += signals[:, :, number] * weight
        return Forecast(
            hour=self._hour,
            sessions_per_day=rates,
            shares=self._signals.rendition_shares(),
            reach=self._reach(),
            guess_share=guess_share(self._hour - self._known_since),
        )

    def _reach(self) -> Floats:
        """Those who stop within a part see half of it."""
        if "watching" not in self._parts:
            return np.ones((2, WATCHED_BINS))
        share = self._watched / self._watched.sum(axis=1, keepdims=True)
        beyond = 1.0 - np.cumsum(share, axis=1)
        beyond[:, -1] = share[:, -1]  # who stops in the last part is taken to see it
        reach: Floats = beyond + np.where(np.arange(WATCHED_BINS) < WATCHED_BINS - 1, share / 2, 0)
        return reach


def part_densities(forecast: Forecast, titles: Titles, edge: int) -> Singles:
    """(title, rendition, part): bytes a day that each byte of the WATCHED_BINS equal parts of a
    file saves at this edge, if it is there."""
    rate = forecast.sessions_per_day[edge][:, None] * forecast.shares[edge]
    reach = forecast.reach[titles.is_film.astype(np.int64)]
    values: Singles = (rate[:, :, None] * reach[:, None, :]).astype(np.float32)
    return values


def file_values(
    forecast: Forecast, titles: Titles, edge: int, head_share: Floats
) -> tuple[Floats, Floats]:
    """(title, rendition): bytes a day that a whole file saves, and its first `head_share` alone."""
    part_bytes = titles.size_bytes[:, :, None] / WATCHED_BINS
    values = part_densities(forecast, titles, edge).astype(np.float64) * part_bytes
    starts = np.arange(WATCHED_BINS) / WATCHED_BINS
    covered = np.clip((head_share[..., None] - starts) * WATCHED_BINS, 0.0, 1.0)
    return values.sum(axis=2), (values * covered).sum(axis=2)
