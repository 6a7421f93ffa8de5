"""How popular each title is now, everywhere together, from counts that are mostly chance.

A title's share of all viewings is taken to wander: its logarithm moves by a normal step each day,
of variance `drift`. Hours bring Poisson counts. The filter below (an extended Kalman filter with
the Poisson's own variance) keeps a mean and a variance for each title, so a title with hundreds of
viewings a day follows yesterday and one with three keeps to its fortnight: no single decay does
both, and docs/results/placement.md says what that is worth. Titles begin at what earlier releases
began with, fade in their first week, and are less certain then.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from origin.placement.demand import Floats

HOURS_PER_DAY: Final = 24.0
PRIOR_VARIANCE: Final = 2.0
"""Of the log of a share about which nothing is known: a title is within a factor of ten of the
mean, nine times in ten."""
STEP_DOWN_MAX: Final = 1.0
STEP_UP_MAX: Final = 2.0
"""Of the log in an hour: a flash crowd is followed within two, and no hour unsettles a filter."""
YOUNG_DAYS: Final = 7.0
YOUNG_FADE: Final = 0.15
"""Of the log share a day while a title is young, as the decay table of predictor.demand has it for
most categories; what a title really does soon outweighs it."""
YOUNG_DRIFT: Final = 0.1
"""Added to the drift while it is young."""
_LOG_MIN: Final = -30.0


class Popularity:
    """Shares of all viewings, at one drift."""

    def __init__(self, release_hour: Floats, drift: float) -> None:
        self._release_hour = release_hour
        self._drift = drift
        self._log = np.full(len(release_hour), -np.log(max(1, len(release_hour))))
        self._variance = np.full(len(release_hour), PRIOR_VARIANCE)

    def take(self, sessions: Floats, hour: int) -> None:
        """One hour's viewings of each title."""
        age_days = (hour - self._release_hour) / HOURS_PER_DAY
        is_there = age_days >= 0
        is_young = is_there & (age_days < YOUNG_DAYS)
        expected = np.where(is_there, self.shares() * sessions.sum(), 0.0)
        gain = self._variance / (1.0 + self._variance * expected)
        step = np.where(is_there, gain * (sessions - expected), 0.0)
        step = np.clip(step, -STEP_DOWN_MAX, STEP_UP_MAX) - is_young * YOUNG_FADE / HOURS_PER_DAY
        self._log = np.maximum(_LOG_MIN, self._log + step)
        drift = self._drift + is_young * YOUNG_DRIFT
        self._variance = np.where(is_there, gain + drift / HOURS_PER_DAY, self._variance)

    def expect(self, released: NDArray[np.bool_], share: float) -> None:
        """What to believe of these titles from now on: they are being released."""
        self._log[released] = np.log(max(share, 1e-12))
        self._variance[released] = PRIOR_VARIANCE

    def shares(self) -> Floats:
        """(title,) expected; of titles not released too, as if they were."""
        found: Floats = np.exp(self._log + np.minimum(self._variance / 2.0, 1.0))
        return found
