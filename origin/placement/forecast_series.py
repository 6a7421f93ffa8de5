"""Which episode of a series is wanted next: where its viewers have got to.

Who got half through an episode waits for the one that follows, until they get half through that.
So the viewers of an edge who wait for an episode are those who came less those who went on, and
both are counts of the same report. Of a series as a whole popularity is known far better than of
its episodes: it is spread over them by who waits where, and at its first by who begins.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from origin.placement.demand import Floats, Titles
from origin.placement.forecast_fading import Fading, Singles
from origin.placement.forecast_popularity import HOURS_PER_DAY, Popularity

SERIES_DRIFTS: Final = (0.03, 0.1)
MIX_DAYS: Final = 10.0
WAITING_DAYS: Final = 10.0
"""Whoever has not gone on after so long hardly will."""
MIX_SESSIONS: Final = 5.0
"""Spread evenly over a series' episodes, before any were viewed."""
WAITING_SESSIONS: Final = 3.0
"""An edge's own waiting viewers count fully once they are far more than these."""
FINISHED_SHARE: Final = 0.6
"""Of those who begin the last episode: nothing follows it whose reports would tell."""


class Series:
    """Popularity of whole series and the progress of their viewers."""

    def __init__(self, titles: Titles, edge_count: int) -> None:
        self._titles = titles
        self._count = int(titles.series.max(initial=-1)) + 1
        release = np.full(self._count, np.inf)
        np.minimum.at(release, titles.series, titles.release_hour)
        self._popularity = [Popularity(release, drift) for drift in SERIES_DRIFTS]
        self._mix = Fading((len(titles),), MIX_DAYS)
        self._waiting: Singles = np.zeros((edge_count, len(titles)), dtype=np.float32)
        self._keep = float(np.exp(-1.0 / (HOURS_PER_DAY * WAITING_DAYS)))
        self._has_next = titles.successor >= 0
        self._is_first = titles.episode == 0

    def take(self, sessions: Singles, came: Singles, hour: int) -> None:
        """One hour: viewings begun, and viewers who began to wait, both (edge, title)."""
        everywhere = sessions.sum(axis=0, dtype=np.float64)
        of_series: Floats = np.bincount(self._titles.series, everywhere, self._count).astype(float)
        for popularity in self._popularity:
            popularity.take(of_series, hour)
        self._mix.take((np.arange(len(everywhere)),), everywhere)
        went = FINISHED_SHARE * sessions
        went[:, self._has_next] = came[:, self._titles.successor[self._has_next]]
        self._waiting = np.maximum(0.0, self._waiting * self._keep + came - went)
        self._waiting[:, self._is_first] = 0.0

    def signals(self, liked: Singles, hour: int) -> list[Singles]:
        """One for each drift, (edge, title); `liked`: viewings a day of an edge, times its taste
        in the title's genre, 0 where the title is not there yet."""
        mix = self._episode_mix(hour)
        return [
            (popularity.shares()[self._titles.series] * mix * liked).astype(np.float32)
            for popularity in self._popularity
        ]

    def _episode_mix(self, hour: int) -> Floats:  # (edge, title), each series adds up to 1
        series = self._titles.series
        is_there = (self._titles.release_hour <= hour).astype(np.float64)
        even = is_there / np.maximum(1.0, np.bincount(series, is_there, self._count))[series]
        total = self._mix.total()
        seen = np.bincount(series, total, self._count)[series]
        usual = (total + MIX_SESSIONS * even) / (seen + MIX_SESSIONS)
        later = np.where(self._is_first, 0.0, usual)
        later_share = np.bincount(series, later, self._count)[series]
        among_later = later / np.maximum(later_share, 1e-9)
        waiting = np.zeros((len(self._waiting), self._count))
        np.add.at(waiting.T, series, self._waiting.T)
        own = (self._waiting + WAITING_SESSIONS * among_later) / (
            waiting[:, series] + WAITING_SESSIONS
        )
        mix: Floats = np.where(self._is_first, usual, own * later_share)
        return mix
