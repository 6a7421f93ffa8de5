"""From which probability on a successor is fetched, and of which event that is.

What a fetch now is for is a use that a fetch at the viewer's next moment would come too late for,
so each moment asks about another event:

    half-way, 75 %    going on within a day: who leaves before the end and goes on at once
    90 %, the end     going on within a week: nothing better will be known before
    left before 90 %  going on within half an hour: later ones mostly resume this title first,
                      and that play will ask again

The least probability at which each pays is the edge's own (`edge.prefetch.value`), at a price for
the room that an object takes: the higher `held_cost`, the stricter. What is fetched early may still
turn out not to be wanted, and there is another chance, so that price counts more there.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from edge.config import PrefetchConfig
from edge.prefetch.value import worth
from predictor.features import FINISHED_PROGRESS
from simulation.prefetch.moments import CHECKPOINT, LEFT, Moments
from simulation.prefetch.requests import Floats

NEVER: Final = 2.0  # no probability comes so far


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """Prices of the room, in fetches of an object; see edge/prefetch/value.py."""

    early: float
    late: float
    left: float

    def chances(self, moments: Moments, completion: Floats) -> tuple[Floats, Floats]:
        """(moment,) The probability that counts, and the least at which a fetch pays."""
        soon, day, week = moments.probabilities.astype(np.float64).T
        is_early = (moments.kind == CHECKPOINT) & (moments.share < FINISHED_PROGRESS)
        is_left = (moments.kind == LEFT) & (completion[moments.play] < FINISHED_PROGRESS)
        chance = np.where(is_early, day, np.where(is_left, soon, week))
        least = np.where(
            is_early,
            _least(self.early),
            np.where(is_left, _least(self.left), _least(self.late)),
        )
        may_fetch = (moments.kind == CHECKPOINT) | (moments.kind == LEFT)
        return chance, np.where(may_fetch, least, NEVER)


def _least(held_cost: float) -> float:
    price = worth(PrefetchConfig(), 0.0, "head", held_cost=held_cost)
    return NEVER if price.cost > price.gain else price.threshold
