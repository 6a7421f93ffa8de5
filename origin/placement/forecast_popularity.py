"""How popular each title is now, everywhere together, from counts that are mostly chance.

A title's share of all viewings is taken to wander: its logarithm moves by a normal step each day,
of variance `drift`. Hours bring Poisson counts. The filter below (an extended Kalman filter with
the Poisson's own variance) keeps a mean and a variance for each title, so a title with hundreds of
viewings a day follows yesterday and one with three keeps to its fortnight: no single decay does
both. On the public log the counts of the next day are e^20,000 times likelier under it than under
the best exponential decay (docs/results/placement.md). Titles yet to be released wait at a prior,
which is learnt from the releases that were.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from origin.placement.demand import Floats, Titles

HOURS_PER_DAY: Final = 24.0
PRIOR_VARIANCE: Final = 2.0
"""Of the log of a share about which nothing is known: a title is within a factor of ten of the
mean, nine times in ten."""
STEP_DOWN_MAX, STEP_UP_MAX = 1.0, 2.0
"""Of the log in an hour: a flash crowd is followed within two, and no hour unsettles a filter."""
_LOG_MIN = -30.0


class Popularity:
    """Shares of all viewings by title, at one drift."""

    def __init__(self, titles: Titles, drift: float) -> None:
        self._release_hour = titles.release_hour
        self._drift = drift
        count = max(1, len(titles))
        self._log = np.full(len(titles), -np.log(count))
        self._variance = np.full(len(titles), PRIOR_VARIANCE)

    def take(self, sessions: Floats, hour: int) -> None:
        """One hour's viewings of each title."""
        is_there = self._release_hour <= hour
        expected = np.where(is_there, self.shares() * sessions.sum(), 0.0)
        gain = self._variance / (1.0 + self._variance * expected)
        step = np.where(is_there, gain * (sessions - expected), 0.0)
        self._log = np.maximum(_LOG_MIN, self._log + np.clip(step, -STEP_DOWN_MAX, STEP_UP_MAX))
        self._variance = np.where(is_there, gain, self._variance)
        self._variance += self._drift / HOURS_PER_DAY

    def expect(self, released: np.ndarray, share: float) -> None:
        """What to believe of these titles from now on: they are about to be released."""
        self._log[released] = np.log(max(share, 1e-12))
        self._variance[released] = PRIOR_VARIANCE

    def shares(self) -> Floats:
        """(title,) expected; of titles not released too, as if they were."""
        found: Floats = np.exp(self._log + np.minimum(self._variance / 2.0, 1.0))
        return found
